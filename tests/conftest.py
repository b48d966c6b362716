"""What several tests share: AMD's headers, the compiler, and builds that happen once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from penstock.errors import PenstockError
from penstock_runtime import csim

os.environ.setdefault("PENSTOCK_CACHE", str(Path(__file__).resolve().parents[1] / "build/cache"))


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
    """Compile one C++ text, run it to the given exit status, and return what it prints."""

    def run(source: str, *flags: str, status: int = 0) -> str:
        (tmp_path / "main.cpp").write_text(source)
        subprocess.run(
            [csim.compiler(), *cpp_flags, "-O1", *flags, "main.cpp", "-o", "main"],
            cwd=tmp_path, check=True,
        )  # fmt: skip
        done = subprocess.run([tmp_path / "main"], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/files")
