"""C simulation without the vendor's tools: build a project with g++ or clang++, run its test bench.

AMD's Apache-2.0 headers (ap_int.h, ap_fixed.h) come from the installed hls4ml wheel, or from the
folder named by PENSTOCK_AP_INCLUDE; hls_stream.h is our own. $CXX names the compiler.
"""

from __future__ import annotations

import atexit
import errno
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError
from penstock.locking import locked
from penstock.project import reading
from penstock_runtime.compiling import compile_testbench, compiler, first_error, sources
from penstock_runtime.golden import read_golden
from penstock_runtime.project import load_project

SHIMS = Path(__file__).resolve().parent / "include"
FLAGS = (
    "-O1", "-std=c++14", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-label",
    # AMD's ap_private.h reads members in its constructors before they are set.
    "-Wno-uninitialized", "-Wno-maybe-uninitialized",
    "-Wno-unknown-warning-option",  # clang++ does not know the last
)  # fmt: skip
SOURCES = {"tb/lstm_constants.cpp": (), "tb/lstm_tb.cpp": ("-Dmain=lstm_testbench",)}
"""lstm_constants.cpp is the kernel (it includes it), and what prints its constants.

-O1 compiles faster than -O2, and simulates as fast: AMD's types go through memory at every step.
"""
BUILD = "csim"
LONGEST_BUILD_SECONDS = 600.0
WATCH_SECONDS = 0.1


@dataclass(frozen=True)
class CsimRun:
    """One run of a test bench."""

    passed: bool
    output: str


def ap_include() -> Path:
    """The folder of AMD's ap_int.h. Raises PenstockError if there is none."""
    named = os.environ.get("PENSTOCK_AP_INCLUDE")
    candidates = [Path(named)] if named else []
    spec = importlib.util.find_spec("hls4ml")
    if spec is not None and spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        candidates.append(root / "templates/vivado/ap_types")
    for folder in candidates:
        if (folder / "ap_int.h").is_file():
            return folder
    raise PenstockError(
        "AMD's ap_int.h is not installed",
        "C simulation",
        "pip install 'penstock[csim]', or set PENSTOCK_AP_INCLUDE",
    )


def include_flags() -> list[str]:
    """Flags that find our shims, then AMD's headers (some wheels carry an hls_stream.h)."""
    return ["-isystem", str(SHIMS), "-isystem", str(ap_include())]


def build(folder: Path, extra_flags: tuple[str, ...] = ()) -> Path:
    """Compile the project's kernel and test bench into ``csim/``; unchanged sources build once.

    A project that can't be written is built in a temporary folder, kept until the program ends. A
    second build in the folder waits for the first. Raises PenstockError with the compiler's first
    error, or if ``csim/`` can't be written.
    """
    command = [compiler(), *FLAGS, *include_flags()]
    home = folder / BUILD if os.access(folder, os.W_OK) else _temporary_home()
    with reading(folder), _building(home):
        target = home / f"lstm_tb_{_digest(folder, [*command, *extra_flags])}"
        if not target.is_file():
            with tempfile.TemporaryDirectory(prefix="build-", dir=home) as made:
                _compile(folder, command, extra_flags, Path(made), home / "build.log")
                for old in home.glob("lstm_tb_*"):  # what another kernel, or other flags, left
                    old.unlink(missing_ok=True)
                (Path(made) / "lstm_tb").replace(target)
        return target


@contextmanager
def _building(place: Path) -> Iterator[None]:
    """Make ``place`` and keep it to this build. A link is refused: it may lead anywhere."""
    try:
        if place.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a link")
        place.mkdir(exist_ok=True)
        with locked(place, wait_seconds=LONGEST_BUILD_SECONDS):
            yield
    except OSError as error:
        raise PenstockError(
            f"C simulation can't be built in csim/: {error.strerror}",
            str(place.parent),
            "remove csim/, or copy the project to a writable folder",
        ) from error


@functools.cache
def _temporary_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="penstock-csim-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def _compile(
    folder: Path, command: list[str], extra_flags: tuple[str, ...], made: Path, log: Path
) -> None:
    """Compile kernel and test bench to ``made / "lstm_tb"``."""
    try:
        log.write_text(
            compile_testbench(folder, [*command, *extra_flags], ap_include(), made / "lstm_tb")
        )
    except ValueError as error:
        _fail(folder, str(error), log)


def _digest(folder: Path, command: list[str]) -> str:
    """Of everything that goes into the executable."""
    digest = hashlib.sha256(" ".join(command).encode())
    for path in sources(folder):
        name = path.relative_to(folder).as_posix()
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for path in sorted(SHIMS.glob("*.h")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _fail(folder: Path, text: str, log: Path) -> None:
    log.write_text(text)
    place = log.relative_to(folder) if log.is_relative_to(folder) else log
    raise PenstockError(
        f"the C++ does not compile: {first_error(text)}", str(folder), f"see {place}"
    )


def run_testbench(
    folder: Path, executable: Path, *arguments: str | Path, watch: Callable[[], None] | None = None
) -> CsimRun:
    """Run the test bench in the project folder; ``arguments``: vectors, results, trace files.

    watch: called several times a second while it runs. Raises PenstockError if another command has
    removed it since it was built.
    """
    try:
        with subprocess.Popen(
            [str(executable.resolve()), *map(str, arguments)],
            cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as done:  # fmt: skip
            output = _output_of(done, watch)
    except FileNotFoundError as error:
        raise PenstockError(
            "the test bench was removed while it was in use", str(folder), "try again"
        ) from error
    return CsimRun(done.returncode == 0, output)


def _output_of(running: subprocess.Popen[str], watch: Callable[[], None] | None) -> str:
    """What it prints until it ends."""
    while True:
        try:
            return running.communicate(timeout=WATCH_SECONDS if watch is not None else None)[0]
        except subprocess.TimeoutExpired:
            assert watch is not None
            watch()


def vitis_command() -> list[str] | None:
    """The vendor's C simulation, if on PATH: ``vitis-run`` (2023.2 on), else ``vitis_hls``."""
    if shutil.which("vitis-run"):
        return ["vitis-run", "--mode", "hls", "--csim", "--config", "hls_config.cfg",
                "--work_dir", "vitis"]  # fmt: skip
    if shutil.which("vitis_hls"):
        return ["vitis_hls", "-f", "run_hls.tcl"]
    return None


def csim(folder: Path) -> CsimRun:
    """C simulation on the project's golden vectors: Vitis if it is on PATH, else g++.

    Raises PenstockError unless the vectors are as many, and as long, as the manifest says.
    """
    read_golden(load_project(folder))
    command = vitis_command()
    if command is None:
        return run_testbench(folder, build(folder))
    done = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    passed = done.returncode == 0 and "CSim done with 0 errors" in done.stdout
    return CsimRun(passed, done.stdout)


if __name__ == "__main__":
    if sys.argv[1:] != ["--include-flags"]:
        sys.exit("usage: python -m penstock_runtime.csim --include-flags")
    print(" ".join(include_flags()))
