"""The engine's C++, built once for a machine and kept in the user's cache."""

from __future__ import annotations

import ctypes as ct
import functools
import hashlib
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from penstock.errors import PenstockError
from penstock_runtime import cache
from penstock_runtime.compiling import compiler, first_error, told
from penstock_runtime.engines import UnavailableError
from penstock_runtime.engines.native.program import Call, header

HERE = Path(__file__).resolve().parent
SOURCES = ("engine.cpp", "matvec.h")
FLAGS = (
    "-O1", "-ftree-vectorize", "-fno-tree-slp-vectorize", "-std=c++17", "-fPIC", "-shared",
    "-fwrapv", "-fno-exceptions", "-fno-rtti",
)  # fmt: skip
"""-O1 with vectors is as fast as -O3 here, and built in a quarter of the time. -fwrapv: padding may
hold anything, and sums of it may overflow."""
LIBRARY = "engine.so"
NATIVE = ("-march=native",)
"""Whatever this processor has."""


class Library:
    """The engine, loaded. can_permute: a single lane's matrices may be packed in blocks."""

    def __init__(self, path: Path) -> None:
        try:
            built = ct.CDLL(str(path))
        except OSError as error:
            raise UnavailableError(f"the built engine can't be loaded: {error}") from error
        self._run, self._run_all = built.penstock_run, built.penstock_run_all
        self._run.argtypes = [ct.POINTER(Call), ct.c_int64, ct.c_int64, ct.c_int64]
        self._run_all.argtypes = [ct.POINTER(Call)]
        self._run.restype = self._run_all.restype = None
        self.can_permute = bool(built.penstock_can_permute())

    def run(self, call: Call, sweep: int, first: int, last: int) -> None:
        """Steps ``first`` to ``last`` of a sweep, in its order."""
        self._run(call, sweep, first, last)

    def run_all(self, call: Call) -> None:
        """All steps of all sweeps; an interrupt waits for the last."""
        self._run_all(call)


def library(flags: tuple[str, ...] = NATIVE) -> Library:
    """The engine, built for this processor unless it was before. Raises UnavailableError.

    flags: what the compiler may use of the processor; without any, whatever all of its kind have.
    """
    found = attempt(flags)
    if isinstance(found, UnavailableError):
        raise found
    return found


@functools.cache
def attempt(flags: tuple[str, ...]) -> Library | UnavailableError:
    """Tried once: what fails is not built again and again."""
    try:
        return _library(flags)
    except UnavailableError as error:
        return error


def _library(flags: tuple[str, ...]) -> Library:
    if sys.byteorder != "little":
        raise UnavailableError("the processor is big-endian")
    try:
        command = [compiler(), *FLAGS, *flags]
        kept = cache.kept("engine", _key(command), lambda made: _build(command, made))
    except PenstockError as error:  # no compiler; or another process builds, and does not end
        raise UnavailableError(error.what) from error
    if kept is not None:
        return Library(kept / LIBRARY)
    with tempfile.TemporaryDirectory(prefix="penstock-engine-") as made:
        _build(command, Path(made))
        return Library(Path(made) / LIBRARY)  # it stays in memory when the file is gone


def _build(command: list[str], made: Path) -> None:
    (made / "program.h").write_text(header())
    done = subprocess.run(
        [*command, f"-I{made}", f"-I{HERE}", str(HERE / SOURCES[0]), "-o", str(made / LIBRARY)],
        text=True, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        raise UnavailableError(f"its C++ does not compile: {first_error(done.stderr)}")


def _key(command: list[str]) -> str:
    """Of everything that decides what is built: the sources, the compiler, the processor."""
    parts = [told(command), header(), _processor()]
    parts += [(HERE / name).read_text() for name in SOURCES]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    """What -march=native looks at: a cache may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    kinds = ("flags", "Features", "model name", "vendor_id", "cpu family", "model\t")
    return platform.machine() + "".join(sorted({own for own in lines if own.startswith(kinds)}))
