"""penstock.json: what it holds, and that nothing else is read in its place."""

from __future__ import annotations

import json
import os

import pytest

from penstock import PenstockError
from penstock.marker import AFRESH, LARGEST_BYTES, Marker, read_marker

FILES = {"weights/group_0.bin": b"\x00\x01", "graph.json": b"{}"}
NO_DIGEST = "0" * 64


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "weights").mkdir()
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "penstock.json").write_text(Marker.of(FILES).text())
    return tmp_path


def refusal(folder):
    with pytest.raises(PenstockError) as caught:
        read_marker(folder)
    line = caught.value.line()
    assert line.isprintable()
    return line


def test_reads_what_was_written(folder):
    assert read_marker(folder) == Marker.of(FILES)
    assert list(Marker.of(FILES).files) == sorted(FILES)


def test_the_text_is_the_same_in_any_order_of_the_files():
    turned = dict(reversed(FILES.items()))
    assert Marker.of(turned).text() == Marker.of(FILES).text()


def test_names_the_files_that_were_edited_or_are_gone(folder):
    marker = read_marker(folder)
    assert marker.edited(folder) == []
    (folder / "graph.json").write_bytes(b"[]")
    assert marker.edited(folder) == ["graph.json"]
    (folder / "weights/group_0.bin").unlink()
    assert marker.edited(folder) == ["graph.json", "weights/group_0.bin"]
    (folder / "graph.json").unlink()
    os.mkfifo(folder / "graph.json")
    assert marker.edited(folder) == ["graph.json", "weights/group_0.bin"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "Object missing required field `schema`"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (b'{"schema": 2, "files": ' + b"[" * 200_000, "Expected `object`, got `array`"),
    ],
)  # fmt: skip
def test_what_is_no_marker_is_refused(text, reason, folder):
    (folder / "penstock.json").write_bytes(text)
    line = refusal(folder)
    assert line.startswith(f"penstock.json is damaged: {reason}") and line.endswith(AFRESH)


@pytest.mark.parametrize(
    "name",
    ["../x.npy", "/etc/passwd", "a/../../x.npy", "./a", "a//b", "", ".", "a\nb", "penstock.json",
     "penstock.json/a", "graph.json/a", "a\u0000"],
)  # fmt: skip
def test_a_path_out_of_the_folder_or_through_a_file_is_refused(name, folder):
    marker = Marker({**Marker.of(FILES).files, name: NO_DIGEST})
    (folder / "penstock.json").write_text(marker.text())
    assert refusal(folder).startswith("penstock.json is damaged: ")


@pytest.mark.parametrize("change", ["digest", "added", "removed", "renamed"])
def test_a_changed_list_of_files_is_refused(change, folder):
    content = json.loads((folder / "penstock.json").read_text())
    files = content["files"]
    if change == "digest":
        files["graph.json"] = NO_DIGEST
    elif change == "added":
        files["a"] = NO_DIGEST
    else:
        digest = files.pop("graph.json")
        if change == "renamed":
            files["graph.txt"] = digest
    (folder / "penstock.json").write_text(json.dumps(content))
    assert "its sha256 does not match its list of files" in refusal(folder)


def test_another_schema_is_named(folder):
    (folder / "penstock.json").write_text('{"schema": 1, "files": ["graph.json"]}')
    assert refusal(folder) == (
        "another version of Penstock wrote the project (schema 1, not 2) "
        f"({folder}); hint: {AFRESH}"
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("large", "is damaged: it is not a file of at most 4,194,304 bytes"),
     ("folder", "can't be read: Is a directory"),
     ("fifo", "is damaged: it is not a file of at most 4,194,304 bytes")],
)  # fmt: skip
def test_what_is_no_small_file_is_refused_unread(kind, reason, folder):
    path = folder / "penstock.json"
    path.unlink()
    if kind == "large":
        with path.open("wb") as file:
            file.truncate(LARGEST_BYTES + 1)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert refusal(folder).startswith(f"penstock.json {reason} (")


def test_a_folder_without_a_marker_is_no_project(tmp_path):
    hint = "give the folder that penstock compile wrote"
    for folder in (tmp_path, tmp_path / "none"):
        assert refusal(folder) == f"this is not a Penstock project ({folder}); hint: {hint}"
