"""What C simulation and the native engine are built with."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from penstock.cli.environment.item import (
    BROKEN,
    LONGEST_SECONDS,
    MISSING,
    OK,
    Item,
    answer,
    first_line,
    tried,
)

WITHOUT = "penstock check does not run, nor csim without Vitis; run computes with NumPy"
MEND = "mend what is missing above, or set CXX to a compiler that works"
CLANG = "clang++"
TRIAL = """\
#include <ap_fixed.h>
#include <hls_stream.h>
int main() {
  const ap_fixed<12, 4, AP_RND, AP_SAT> value = 1.5;
  return value + value == 3 ? 0 : 1;
}
"""


def headers(needed_by: tuple[str, ...]) -> Item:
    """AMD's ap_int.h and ap_fixed.h."""

    def find() -> str:
        from penstock_runtime.csim import ap_include

        return str(ap_include())

    return tried("AMD's headers", find, WITHOUT, MEND, needed_by)


def compiler(needed_by: tuple[str, ...]) -> Item:
    """$CXX or g++, and whether clang++ could take its place."""

    def find() -> str:
        from penstock_runtime.compiling import compiler

        name = compiler()
        return f"{answer([name, '--version'])} ({shutil.which(name)})"

    item = tried("C++ compiler", find, WITHOUT, MEND, needed_by)
    other = shutil.which(CLANG)
    if other is None or CLANG in item.found:
        return item
    if item.state == OK:
        return replace(item, found=f"{item.found}; {other} is there, too (CXX={CLANG})")
    return replace(item, remedy=f"export CXX={CLANG}, or {item.remedy}")


def trial(needed_by: tuple[str, ...]) -> Item:
    """A program with AMD's headers, compiled and run as C simulation is."""

    def find() -> str:
        from penstock_runtime.compiling import compiler, first_error
        from penstock_runtime.csim import FLAGS, include_flags

        with tempfile.TemporaryDirectory(prefix="penstock-doctor-") as made:
            source, program = Path(made) / "trial.cpp", Path(made) / "trial"
            source.write_text(TRIAL)
            command = [compiler(), *FLAGS, "-O0", *include_flags(), str(source), "-o", str(program)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS)
            if done.returncode != 0:
                raise OSError(first_error(done.stderr))
            if subprocess.run([program], timeout=LONGEST_SECONDS).returncode != 0:
                raise OSError("a program with AMD's headers gives a wrong result")
        return "a program with AMD's headers compiles and runs"

    return tried("C simulation", find, WITHOUT, MEND, needed_by)


def cache_folder() -> Item:
    """Where what takes long to build is kept."""
    name, costs = "cache folder", "test benches and the engine of run are built again every time"
    try:
        from penstock_runtime import cache

        place = cache.folder("doctor")
    except ImportError as error:
        return Item(name, BROKEN, first_line(str(error)), costs, MEND)
    if place is None:
        found = "it can't be written, or others can write there"
        return Item(name, MISSING, found, costs, "set PENSTOCK_CACHE to a folder of your own")
    with suppress(OSError):  # another doctor may be looking
        place.rmdir()
    return Item(name, OK, str(place.parent))


def make() -> Item:
    """For the Makefile of a project."""
    found = shutil.which("make")
    if found is None:
        return Item("make", MISSING, "", "the Makefile in a project is of no use", "install make")
    return Item("make", OK, found)
