"""``penstock diff``: equal only if every file is; what differs is told by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli.given import compile_to
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Projects of one network (a, again), on other hardware (b), and of other weights (c)."""
    folder = tmp_path_factory.mktemp("made")
    for name, seed, hardware in (
        ("a", 0, Hardware(pes=2)), ("again", 0, Hardware(pes=2)),
        ("b", 0, Hardware(pes=4, lanes=2)), ("c", 1, Hardware(pes=2)),
    ):  # fmt: skip
        compile_model(random_model(pes=2, seed=seed), None, hardware).write(folder / name)
    return folder


@pytest.fixture
def projects(made, work):
    """The same, to be spoiled."""
    for path in made.iterdir():
        shutil.copytree(path, work / path.name)
    return work


@pytest.fixture
def diff(penstock, projects):
    """-> (exit status, section -> name -> (a, b))."""

    def run(*words):
        done = penstock("diff", *words, "--json")
        values = json.loads(done.out)
        assert done.err == "" and values["equal"] == (done.status == 0)
        assert (values["schema"], values["a"], values["b"]) == (1, words[0], words[1])
        return done.status, {
            section["name"]: {row["name"]: (row["a"], row["b"]) for row in section["rows"]}
            for section in values["sections"]
        }

    return run


def test_the_same_compile_is_equal(diff, penstock):
    status, found = diff("a", "again")
    assert status == 0 and not any(found.values())
    done = penstock("diff", "a", "again")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("A: a\nB: again\nequal: ") and done.out.count("\n") == 3


def test_other_hardware_differs_in_what_the_report_says_of_it(diff):
    status, found = diff("a", "b")
    a, b = (json.loads(Path(name, "report.json").read_text()) for name in "ab")
    assert status == 1
    assert found["settings"]["pes"] == (2, 4) and found["settings"]["lanes"] == (1, 2)
    assert "clock_mhz" not in found["settings"]
    for name in ("cycles_per_step", "microseconds_per_step", "steps_per_second"):
        assert found["cycles"][name] == (a["timeline"][name], b["timeline"][name])
    assert found["bits"]["words"] == (a["totals"]["words"], b["totals"]["words"])
    dsp = tuple(report["resources"]["totals"]["dsp"]["used"] for report in (a, b))
    assert found["fit"]["dsp.used"] == dsp
    assert found["network"] == {} and "kernel/config.h" in found["files"]


def test_the_other_way_round_the_same_differs(diff):
    """So nothing is left out that only one of them has."""
    (_, one), (_, other) = diff("a", "b"), diff("b", "a")
    assert one == {
        section: {name: (a, b) for name, (b, a) in rows.items()} for section, rows in other.items()
    }
    alone = [name for rows in one.values() for name, (a, b) in rows.items() if a is None]
    assert alone


def test_other_formats_and_errors_are_told_tensor_by_tensor(diff, penstock, projects):
    for name, bits in (("m8", "8"), ("m12", "12")):
        assert compile_to(penstock, name, "--weight-bits", bits).status == 0
    status, found = diff("m8", "m12")
    assert status == 1 and found["settings"] == {}
    assert [value.split(".")[0] for value in found["formats"]["l0.W_ix"]] == ["s8", "s12"]
    a, b = found["error"]["output.relative_error"]
    assert a > b > 0
    a, b = found["error"]["tensors.l0.c.relative_error"]
    assert a > b > 0


def test_of_other_weights_alone_it_is_the_files_that_differ(diff):
    status, found = diff("a", "c")
    assert status == 1 and found["settings"] == {}
    assert {"graph.safetensors", "graph.json", "weights/manifest.json"} & {*found["files"]}
    assert any(name.endswith(".bin") for name in found["files"])


def test_with_all_what_is_equal_is_told_too(diff):
    status, found = diff("a", "again", "--all")
    assert status == 0
    assert found["settings"]["pes"] == (2, 2) and found["files"]["report.json"][0]
    assert {*found} == {
        "network", "settings", "formats", "cycles", "bits", "fit", "error", "notes",
        "provenance", "files",
    }  # fmt: skip


def test_a_file_that_was_edited_differs_however_it_was_edited(diff, projects):
    for name, text in (("a", "// one\n"), ("again", "// another\n")):
        with (projects / name / "kernel/config.h").open("a") as file:
            file.write(text)
    status, found = diff("a", "again")
    assert status == 1
    assert {*found["files"]} == {"kernel/config.h"} and len(
        {*found["files"]["kernel/config.h"]}
    ) == 2


def test_a_file_that_is_gone_is_told_by_name(diff, penstock, projects):
    (projects / "a/kernel/config.h").unlink()
    status, found = diff("a", "again")
    assert status == 1 and found["files"]["kernel/config.h"][0] is None
    done = penstock("diff", "a", "again")
    assert "files that differ: kernel/config.h (only in B)\n1 of " in done.out


def test_the_text_has_both_values_and_the_change(penstock, projects):
    done = penstock("diff", "a", "b")
    assert done.status == 1
    (row,) = (line for line in done.out.splitlines() if " pes " in line)
    assert row.split()[1:8:2] == ["pes", "2", "4", "+100.0"]
    assert done.out.splitlines()[-1].endswith(" values and files differ")


def test_what_only_one_has_is_a_dash(penstock, projects):
    out = penstock("diff", "a", "b").out
    assert any("drain" in line and "\N{EN DASH}" in line for line in out.splitlines())


@pytest.mark.parametrize("words", [("a", "x.npy"), ("x.npy", "a"), ("nowhere", "a"), ("a", ".")])
def test_what_is_no_project_is_refused(words, refused, projects):
    assert refused("diff", *words).startswith("this is not a Penstock project (")


@pytest.mark.parametrize("name", ["report.json", "weights/manifest.json"])
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_damaged_project_is_refused(name, order, refused, projects):
    (projects / "a" / name).write_bytes(b"{")
    assert refused("diff", *order) == (
        f"{name} is not the file that the compiler wrote (its sha256 differs) (a); hint: "
        "compile the model again"
    )
