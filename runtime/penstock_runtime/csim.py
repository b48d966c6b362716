"""C simulation without the vendor's tools: build a project with g++, run its test bench.

AMD's Apache-2.0 headers (ap_int.h, ap_fixed.h) come from the installed hls4ml wheel, or from the
folder named by PENSTOCK_AP_INCLUDE; hls_stream.h and ap_axi_sdata.h are our own.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import PenstockError
from penstock.locking import locked
from penstock.project import reading

SHIMS = Path(__file__).resolve().parent / "include"
FLAGS = (
    "-O2", "-std=c++14", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-label",
    # AMD's ap_private.h reads members in its constructors before they are set.
    "-Wno-uninitialized", "-Wno-maybe-uninitialized",
)  # fmt: skip
LONGEST_BUILD_SECONDS = 600.0
SOURCES = ("kernel/lstm_top.cpp", "tb/lstm_tb.cpp")


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


def compiler() -> str:
    """The C++ compiler: $CXX or g++. Raises PenstockError if it is not there."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        raise PenstockError(f"{name} is not on PATH", "C simulation", "install g++ or set CXX")
    return name


def build(folder: Path, extra_flags: tuple[str, ...] = ()) -> Path:
    """Compile the project's kernel and test bench into ``csim/``; unchanged sources build once.

    A second build in the folder waits for the first. Raises PenstockError with the compiler's first
    error, or if ``csim/`` can't be written.
    """
    command = [compiler(), *FLAGS, *extra_flags, *include_flags(), "-Ikernel"]
    with reading(folder), _building(folder / "csim"):
        return _build(folder, command, extra_flags)


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
            "remove csim/, or copy the project to where you can write",
        ) from error


def _build(folder: Path, command: list[str], extra_flags: tuple[str, ...]) -> Path:
    target = folder / "csim" / f"lstm_tb_{_digest(folder, command)}"
    if target.is_file():
        return target
    for path in target.parent.iterdir():  # what another kernel, or other flags, left
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    objects = [f"csim/{Path(source).stem}.o" for source in SOURCES]
    jobs = [
        subprocess.Popen(
            [*command, "-c", source, "-o", made], cwd=folder, text=True, stderr=subprocess.PIPE
        )
        for source, made in zip(SOURCES, objects, strict=True)
    ]
    errors = [job.communicate()[1] for job in jobs]
    if any(job.returncode for job in jobs):
        _fail(folder, "".join(errors))
    linked = subprocess.run(
        [compiler(), *extra_flags, *objects, "-o", "csim/linking"],
        cwd=folder, text=True, capture_output=True,
    )  # fmt: skip
    if linked.returncode:
        _fail(folder, linked.stderr)
    (folder / "csim/build.log").write_text("".join(errors))
    (folder / "csim/linking").rename(target)
    return target


def _digest(folder: Path, command: list[str]) -> str:
    digest = hashlib.sha256(" ".join(command).encode())
    for part in ("kernel", "tb"):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and path.suffix in (".h", ".cpp", ".inc"):
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    for path in sorted(SHIMS.glob("*.h")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _fail(folder: Path, log: str) -> None:
    (folder / "csim/build.log").write_text(log)
    first = next((line for line in log.splitlines() if "error" in line), "no message")
    raise PenstockError(
        f"the C++ does not compile: {first.strip()}", str(folder), "see csim/build.log"
    )


def run_testbench(folder: Path, executable: Path, *arguments: str | Path) -> CsimRun:
    """Run the test bench in the project folder; ``arguments``: vectors, results, trace files.

    Raises PenstockError if another command has removed it since it was built.
    """
    try:
        done = subprocess.run(
            [str(executable.resolve()), *map(str, arguments)],
            cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise PenstockError(
            "the test bench was removed while it was in use", str(folder), "try again"
        ) from error
    return CsimRun(done.returncode == 0, done.stdout)


def vitis_command() -> list[str] | None:
    """The vendor's C simulation, if on PATH: ``vitis-run`` (2023.2 on), else ``vitis_hls``."""
    if shutil.which("vitis-run"):
        return ["vitis-run", "--mode", "hls", "--csim", "--config", "hls_config.cfg",
                "--work_dir", "vitis"]  # fmt: skip
    if shutil.which("vitis_hls"):
        return ["vitis_hls", "-f", "run_hls.tcl"]
    return None


def csim(folder: Path) -> CsimRun:
    """C simulation on the project's golden vectors: Vitis if it is on PATH, else g++."""
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
