"""Where the native engine can't be had, the reference runs and says so once."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError
from penstock.driver import compile_model
from penstock.ir.evaluate import ReferenceEngine
from penstock_runtime import Interpreter, engines
from penstock_runtime.engines.native import library as built
from penstock_runtime.engines.native.engine import NativeExecutable


@pytest.fixture(autouse=True)
def forgotten():
    """As in a new process."""
    built.attempt.cache_clear()
    engines._note.cache_clear()
    yield
    built.attempt.cache_clear()
    engines._note.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("unavailable") / "project"
    return compile_model(random_model(), None, Hardware(pes=2)).write(place)


def no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    return "no-such-compiler is not on PATH"


def broken_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "false")
    return r"its C\+\+ does not compile: no message"


def big_endian(monkeypatch):
    monkeypatch.setattr(sys, "byteorder", "big")
    return "the processor is big-endian"


def broken_library(monkeypatch):
    monkeypatch.setattr(built, "_build", lambda _, made: (made / built.LIBRARY).write_text("no"))
    monkeypatch.setenv("PENSTOCK_CACHE", "")
    return "the built engine can't be loaded: .*"


FAULTS = [no_compiler, broken_compiler, big_endian, broken_library]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_reference_runs_with_one_note(folder, monkeypatch, fault):
    reason = fault(monkeypatch)
    x = np.ones((3, 5))
    wanted = Interpreter(folder, engine="numpy").run(x).raw
    with pytest.warns(UserWarning, match=f"many times slower than it could: {reason}") as told:
        got = [Interpreter(folder).run(x).raw for _ in range(2)]
    assert (got[0] == wanted).all() and (got[1] == wanted).all() and len(told) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_that_is_asked_for_is_refused_in_one_line(folder, monkeypatch, fault):
    reason = fault(monkeypatch)
    with pytest.raises(PenstockError, match=f"the native engine can't be had: {reason}"):
        Interpreter(folder, engine="native")


@pytest.mark.parametrize("cache", ["", "/proc/no-such-place"])
def test_without_a_cache_it_is_built_for_the_process(folder, monkeypatch, cache):
    monkeypatch.setenv("PENSTOCK_CACHE", cache)
    interpreter = Interpreter(folder, engine="native")
    assert isinstance(interpreter.executable, NativeExecutable)
    assert (interpreter.run(np.ones((3, 5))).raw == reference(folder)).all()


def reference(folder):
    return Interpreter(folder, engine="numpy").run(np.ones((3, 5))).raw


def test_processes_that_start_at_once_build_it_once(folder, tmp_path):
    program = (
        "import sys, numpy as np; from penstock_runtime import Interpreter\n"
        "print(Interpreter(sys.argv[1], engine='native').run(np.ones((3, 5))).raw.tolist())"
    )
    command = [sys.executable, "-c", program, str(folder)]
    environment = {**os.environ, "PENSTOCK_CACHE": str(tmp_path)}
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    printed = {process.communicate()[0].strip() for process in started}
    assert printed == {str(reference(folder).tolist())}
    assert len([own for own in (tmp_path / "engine").iterdir() if own.is_dir()]) == 1


def test_a_build_that_is_there_is_not_made_again(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    Interpreter(folder, engine="native")
    built.attempt.cache_clear()
    monkeypatch.setattr(built, "_build", lambda *_: pytest.fail("built again"))
    assert (
        Interpreter(folder, engine="native").run(np.ones((3, 5))).raw == reference(folder)
    ).all()


def test_another_processor_has_a_build_of_its_own(monkeypatch):
    command = ["/bin/sh"]
    own = built._key(command)
    monkeypatch.setattr(built, "_processor", lambda: "another")
    assert built._key(command) != own


def test_the_fast_engine_is_the_default(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(Interpreter(folder).executable, NativeExecutable)
    assert ReferenceEngine().name == "numpy"
