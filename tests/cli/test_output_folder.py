"""Where compile writes: never over what is not ours, and whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli.given import ANOTHER, PES, compile_to, tree

from penstock.marker import Marker, read_marker

NOT_OURS = (
    "the target folder is neither empty nor a Penstock project ({}); "
    "hint: choose a new or empty folder"
)
NO_FOLDER = "the target is not a folder ({}); hint: choose another folder"


@pytest.mark.parametrize("name", ["precious.txt", ".git", "penstock.json/x", "graph.json"])
def test_a_folder_that_is_not_ours_is_refused(name, refused):
    path = Path("out", name)
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    assert compile_to(refused, "out") == NOT_OURS.format("out")
    assert compile_to(refused, "out/") == NOT_OURS.format("out")
    assert compile_to(refused, Path("out").resolve()) == NOT_OURS.format(Path("out").resolve())


def test_the_program_refuses_a_folder_that_is_not_ours(refused_by_program):
    assert compile_to(refused_by_program, ".") == NOT_OURS.format(".")
    assert compile_to(refused_by_program, "/") == NOT_OURS.format("/")


def test_the_working_folder_and_what_is_above_it_are_refused(refused):
    for output in (".", "..", "../work", ""):
        assert compile_to(refused, output) == NOT_OURS.format(output or ".")


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to a folder", "broken link"])
def test_a_target_that_is_no_folder_is_refused(kind, refused):
    Path("file").write_text("precious")
    Path("folder").mkdir()
    targets = {"link to a file": "file", "link to a folder": "folder", "broken link": "none"}
    if kind != "file":
        Path("out").symlink_to(targets[kind])
    output = "file" if kind == "file" else "out"
    assert compile_to(refused, output) == NO_FOLDER.format(output)


def test_a_target_below_a_file_is_refused(refused):
    Path("file").write_text("precious")
    line = compile_to(refused, "file/out")
    assert line.startswith("the project can't be written: ") and line.endswith(
        f"(file/out); hint: {ANOTHER}"
    )


def test_a_name_that_is_too_long_is_refused(refused):
    name = "a" * 300
    assert compile_to(refused, name) == (
        f"the target can't be written: File name too long ({name}); hint: {ANOTHER}"
    )
    assert "File name too long" in refused("run", name, "-i", "x.npy", "-o", "y.npy")
    assert "File name too long" in refused("run", name, "-i", "x.npy", "-o", name)


def test_a_place_where_nothing_may_be_written_is_refused(refused, monkeypatch):
    def refuse(*words, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    assert compile_to(refused, "out") == (
        f"the project can't be written: Permission denied (out); hint: {ANOTHER}"
    )


@pytest.mark.parametrize(
    "output", ["out", "out/", "./out", "a/b/out", "a/../out", "empty", "{absolute}/out"]
)
def test_a_new_or_empty_folder_is_made_a_project(output, penstock, work):
    Path("empty").mkdir()
    Path("a").mkdir()
    output = output.format(absolute=work)
    assert compile_to(penstock, output).status == 0
    assert penstock("run", output, "-i", "x.npy", "-o", "y.npy").status == 0
    strays = {"model.safetensors", "x.npy", "y.npy", "empty", "a", Path(output).name}
    assert {path.name for path in work.iterdir()} <= strays


def test_an_empty_working_folder_is_made_a_project_and_again(penstock, work, monkeypatch):
    (work / "here").mkdir()
    monkeypatch.chdir(work / "here")
    inode = Path.cwd().stat().st_ino
    for _ in range(2):
        assert penstock("compile", "../model.safetensors", "-o", ".", *PES).status == 0
        assert penstock("run", ".", "-i", "../x.npy", "-o", "../y.npy").status == 0
        assert Path().resolve().stat().st_ino == inode
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]
    assert sorted(path.name for path in work.iterdir()) == [
        "here", "model.safetensors", "x.npy", "y.npy",
    ]  # fmt: skip


def test_a_new_compile_replaces_our_files_and_no_others(penstock, work):
    assert compile_to(penstock, "out", "--pes", 3, "--table-entries", 64).status == 0
    old = tree(work / "out")
    Path("out/csim").mkdir()
    Path("out/csim/lstm_tb_old").write_text("built")
    Path("out/notes/empty").mkdir(parents=True)
    mine = {"out/notes/mine.txt": "mine", "out/weights/mine.bin": "too", "out/vitis/log": "long"}
    for name, content in mine.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    Path("out/notes/link").symlink_to("mine.txt")
    note = r"^out: vitis was built from an earlier kernel; it is now vitis\.stale$"
    with pytest.warns(UserWarning, match=note):
        assert compile_to(penstock, "out").status == 0
    mine["out/vitis.stale/log"] = mine.pop("out/vitis/log")
    assert {name: Path(name).read_text() for name in mine} == mine
    assert Path("out/notes/link").is_symlink() and Path("out/notes/empty").is_dir()
    assert not Path("out/csim").exists()
    assert compile_to(penstock, "fresh").status == 0
    fresh, new = tree(work / "fresh"), tree(work / "out")
    assert old.keys() - fresh.keys(), "some tables have another name"
    assert new.items() >= fresh.items()
    added = {"notes", "notes/mine.txt", "notes/link", "notes/empty", "weights/mine.bin",
             "vitis.stale", "vitis.stale/log"}  # fmt: skip
    assert new.keys() - fresh.keys() == added


def test_edited_files_are_replaced_only_if_asked_to(refused, penstock):
    assert compile_to(penstock, "out").status == 0
    original = Path("out/kernel/config.h").read_bytes()
    Path("out/kernel/config.h").write_text("edited")
    Path("out/README.md").unlink()
    assert compile_to(refused, "out") == (
        "files of the project were edited: kernel/config.h (out); hint: choose another folder, "
        "or discard the edits: --overwrite (in Python: overwrite=True)"
    )
    for name in ("Makefile", "graph.json", "run_hls.tcl", "host/Makefile"):
        Path("out", name).write_text("edited")
    assert compile_to(refused, "out", "--table-entries", 64).startswith(
        "files of the project were edited: "
        "Makefile, graph.json, host/Makefile, kernel/config.h and 1 more (out); hint: "
    )
    assert compile_to(penstock, "out", "--overwrite").status == 0
    assert Path("out/kernel/config.h").read_bytes() == original
    assert compile_to(penstock, "fresh").status == 0
    assert tree(Path("out")) == tree(Path("fresh"))


def test_a_file_of_the_user_is_not_overwritten_by_one_of_ours(refused, penstock):
    assert compile_to(penstock, "out").status == 0
    files = read_marker(Path("out")).files
    del files["report.html"]
    Path("out/penstock.json").write_text(Marker(files).text())
    assert compile_to(refused, "out") == (
        "the project contains report.html, which the compiler did not write (out); "
        "hint: move it away, or choose another folder"
    )


@pytest.mark.parametrize(
    "marker",
    [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 200_000,
     *(Marker({name: "0" * 64}).text().encode()
       for name in ("../work/x.npy", "/etc/passwd", "a/../../x.npy"))],
    ids=repr,
)  # fmt: skip
def test_a_damaged_marker_is_refused_and_nobody_elses_file_removed(marker, refused):
    Path("out").mkdir()
    Path("out/penstock.json").write_bytes(marker)
    line = compile_to(refused, "out")
    assert line.startswith("penstock.json is damaged: ")
    assert line.endswith("(out); hint: compile the model again, into a new folder")


@pytest.mark.parametrize("failing", [1, 5, 12])
@pytest.mark.parametrize("exists", [False, True])
def test_a_write_that_fails_midway_changes_nothing(failing, exists, refused, penstock, monkeypatch):
    if exists:
        assert compile_to(penstock, "out", "--table-entries", 64).status == 0
    count, write = [0], Path.write_bytes

    def fail(path, content):
        count[0] += 1
        if count[0] == failing:
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert compile_to(refused, "out") == (
        f"the project can't be written: No space left on device (out); hint: {ANOTHER}"
    )
    assert count[0] == failing and Path("out").exists() == exists


@pytest.mark.parametrize("failing", [1, 2, 15, 30])
@pytest.mark.parametrize(
    ("error", "status"), [(OSError(5, "Input/output error"), 2), (KeyboardInterrupt(), 130)]
)
def test_a_move_that_fails_midway_is_taken_back(
    failing, error, status, penstock, work, monkeypatch
):
    assert compile_to(penstock, "out", "--table-entries", 64).status == 0
    Path("out/mine.txt").write_text("mine")
    before = tree(work)
    count, rename = [0], os.rename

    def fail(source, target, **folders):
        count[0] += 1
        if count[0] == failing:
            raise error
        return rename(source, target, **folders)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        assert compile_to(penstock, "out").status == status
    assert count[0] >= failing
    assert tree(work) == before
