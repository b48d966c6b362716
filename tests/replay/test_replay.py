"""Replay: which files of which projects differ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import compile_corpus
import replay
from corpus import cases

from penstock import Hardware
from penstock.fixed import Fixed


@pytest.fixture
def sides(tmp_path):
    """Two equal folders of projects: one project, two files."""
    for side in ("base", "tree"):
        (tmp_path / side / "one/kernel").mkdir(parents=True)
        (tmp_path / side / "one/kernel/top.h").write_text("int a;\nint b;\n")
        (tmp_path / side / "one/weights.bin").write_bytes(b"\xff\x00")
    return tmp_path / "base", tmp_path / "tree"


def test_equal_folders_are_clean(sides, capsys):
    assert replay.report(*sides)
    assert capsys.readouterr().out == "1 projects, 2 files compared, 0 differ\n"


def test_every_kind_of_difference_is_named(sides, capsys):
    base, tree = sides
    (tree / "one/kernel/top.h").write_text("int a;\nint c;\n")
    (tree / "one/new.h").write_text("")
    (tree / "one/weights.bin").unlink()
    assert not replay.report(base, tree, with_diff=True)
    shown = capsys.readouterr().out
    for line in ("differs  kernel/top.h", "added    new.h", "removed  weights.bin", "-int b;"):
        assert f"    {line}\n" in shown
    assert shown.endswith("1 projects, 3 files compared, 3 differ\n")


def test_ignored_files_do_not_count(sides, capsys):
    base, tree = sides
    (tree / "one/kernel/top.h").write_text("")
    assert replay.report(base, tree, ("kernel/*",))
    assert capsys.readouterr().out == "1 projects, 1 files compared, 0 differ\n"


def test_a_project_that_neither_side_compiles_is_not_clean(sides, capsys):
    for side in sides:
        (side / "one/ERROR.txt").write_text("ValueError: no\n")
    assert not replay.report(*sides)
    assert "one: the working tree does not compile it\n    ValueError: no\n" in (
        capsys.readouterr().out
    )


def test_a_setting_is_found_under_its_old_and_its_new_name(monkeypatch):
    monkeypatch.setattr(compile_corpus, "RENAMED", (("processing_elements", "pes"),))
    assert compile_corpus.arguments(Hardware, {"processing_elements": 3}) == Hardware(pes=3)
    with pytest.raises(TypeError, match="unheard_of"):
        compile_corpus.arguments(Hardware, {"unheard_of": 3})


def test_a_saved_case_compiles_alone_and_twice_the_same(tmp_path):
    """Of mixed directions and a Fixed, which a state dict and JSON can't hold as they are."""
    chosen = {case.name: case for case in cases() if case.head or case.precision}
    for name in ("forward below, bidirectional above, head at every step",
                 "narrow weights and activations, types of several scales"):  # fmt: skip
        chosen[name].save(tmp_path / "corpus")
    processes = []
    for side in ("base", "tree"):
        (tmp_path / side).mkdir()
        log = tmp_path / f"{side}.log"
        processes.append(replay.start(replay.ROOT, tmp_path / "corpus", tmp_path / side, log))
        replay.finish(processes[-1], log)
    assert replay.report(tmp_path / "base", tmp_path / "tree")
    kernels = list((tmp_path / "tree").glob("*/kernel/lstm_top.cpp"))
    assert len(kernels) == 2
    assert compile_corpus._value({"l0.c": {"fixed": [9, 5, True, "AP_TRN", "AP_WRAP"]}}) == {
        "l0.c": Fixed(9, 5, True, "AP_TRN", "AP_WRAP")
    }


def test_the_sources_given_are_the_ones_imported(tmp_path):
    (tmp_path / "corpus").mkdir()
    script = Path(compile_corpus.__file__)
    done = subprocess.run(
        [sys.executable, script, tmp_path, tmp_path / "corpus", tmp_path / "out"],
        env=os.environ | {"PYTHONPATH": str(replay.ROOT / "compiler")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "is not below" in done.stderr
