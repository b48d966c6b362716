"""A real project: its compile is killed, its C simulation meets another compile."""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError, locking
from penstock.driver import compile_model
from penstock_runtime import Interpreter, csim
from penstock_runtime.csim import build, run_testbench

FRAMES = np.random.default_rng(0).normal(size=(3, 4))


@pytest.fixture(scope="module")
def compiled():
    models = [random_model(cells=(6,), inputs=4, pes=2, seed=seed) for seed in (1, 2)]
    return [compile_model(model, None, Hardware(pes=2)) for model in models]


def killed_at_rename(number, act):
    child = os.fork()
    if child == 0:
        rename, count = os.rename, [0]

        def hooked(*words, **options):
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(*words, **options)

        os.rename = hooked
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(("number", "state"), [(1, 0), (2, 1), (13, 1), (25, 1), (37, 1)])
def test_a_project_whose_compile_was_killed_runs_as_the_old_or_the_new(
    number, state, compiled, tmp_path
):
    old, new = compiled
    folder = old.write(tmp_path / "project")
    killed_at_rename(number, lambda: new.write(folder))
    assert list(folder.glob(".penstock.*"))
    expected = Interpreter(compiled[state].write(tmp_path / "other")).run(FRAMES).raw
    assert (Interpreter(folder).run(FRAMES).raw == expected).all()
    assert (folder / "penstock.json").read_text() == (tmp_path / "other/penstock.json").read_text()
    old.write(folder)
    assert not list(folder.glob(".penstock.*"))


def test_a_cut_off_compile_that_cannot_be_completed_says_so(compiled, tmp_path, monkeypatch):
    old, new = compiled
    folder = old.write(tmp_path / "project")
    killed_at_rename(9, lambda: new.write(folder))

    def refuse(*words, **options):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(PenstockError) as caught:
            Interpreter(folder)
    assert caught.value.line() == (
        "a compile into this folder was interrupted and can't be completed: Permission denied "
        f"({folder}); hint: grant write access to the folder and everything in it"
    )
    Interpreter(folder)


def test_a_compile_during_a_build_is_refused_and_the_build_goes_on(compiled, tmp_path, monkeypatch):
    old, new = compiled
    folder = old.write(tmp_path / "project")
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.05)
    build_unlocked, lines = csim._compile, []

    def build_meanwhile(*words):
        with pytest.raises(PenstockError) as caught:
            new.write(folder)
        lines.append(caught.value.line())
        return build_unlocked(*words)

    monkeypatch.setattr(csim, "_compile", build_meanwhile)
    executable = build(folder)
    assert lines == [
        f"another penstock command is using this folder ({folder}); "
        "hint: try again when it has finished"
    ]
    assert run_testbench(folder, executable).passed
    new.write(folder)
    with pytest.raises(PenstockError, match="the test bench was removed while it was in use"):
        run_testbench(folder, executable)


def test_a_build_during_a_compile_is_refused(compiled, tmp_path, monkeypatch):
    folder = compiled[0].write(tmp_path / "project")
    monkeypatch.setattr(locking, "WAIT_SECONDS", 0.05)
    with (
        locking.locked(folder),
        pytest.raises(PenstockError, match="another penstock command is using this folder"),
    ):
        build(folder)
    assert not (folder / "csim").exists()


def test_a_link_or_a_file_in_place_of_csim_is_not_built_through(compiled, tmp_path):
    folder, outside = compiled[0].write(tmp_path / "project"), tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (folder / "csim").symlink_to(outside)
    for reason in ("it is a link", "File exists"):
        with pytest.raises(PenstockError) as caught:
            build(folder)
        assert caught.value.line() == (
            f"C simulation can't be built in csim/: {reason} ({folder}); "
            "hint: remove csim/, or copy the project to a writable folder"
        )
        (folder / "csim").unlink()
        (folder / "csim").write_text("a file")
    assert [path.name for path in outside.iterdir()] == ["precious"]


def test_a_vanished_folder_is_no_project(compiled, tmp_path):
    folder = compiled[0].write(tmp_path / "project")
    shutil.rmtree(folder)
    with warnings.catch_warnings(), pytest.raises(PenstockError, match="this is not a Penstock"):
        warnings.simplefilter("error")
        Interpreter(Path(folder))
