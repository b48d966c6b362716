"""What several tests share: AMD's headers, the compiler, and builds that happen once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import Done

from penstock.cli import main
from penstock.errors import PenstockError
from penstock.program import INTERRUPTED
from penstock_runtime import csim


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """Not the user's: one for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(shared / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def width_of_a_line():
    """Nobody says how wide it may be; xdist would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def cpp_flags():
    """Flags for g++ with AMD's headers; skips where they are not installed, never in CI."""
    try:
        csim.compiler()
        return [*csim.FLAGS, *csim.include_flags()]
    except PenstockError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def run_cpp(cpp_flags, tmp_path):
    """Compile one C++ text, run it on what is given, and return what it prints."""

    def run(source: str, *flags: str, status: int = 0, given: bytes = b"") -> str:
        (tmp_path / "main.cpp").write_text(source)
        subprocess.run(
            [csim.compiler(), *cpp_flags, "-O1", *flags, "main.cpp", "-o", "main"],
            cwd=tmp_path, check=True,
        )  # fmt: skip
        done = subprocess.run([tmp_path / "main"], capture_output=True, input=given)
        assert done.returncode == status, done.stderr
        return (done.stdout + done.stderr).decode()

    return run


@pytest.fixture
def run_penstock(monkeypatch, capfd):
    """Run the command line in this process: words -> Done."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["penstock", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as exit_:
            status = exit_.code
        except KeyboardInterrupt:  # told by penstock.program, in a process of its own
            status = INTERRUPTED
        return Done(status, *capfd.readouterr())

    return run


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/files")
