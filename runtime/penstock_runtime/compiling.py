"""One test bench compiled with as little work as its sources allow.

A kernel that differs in comments alone from one that was compiled before (the same machine for
other weights, say) is not compiled again; from the fourth compile on, the headers that stand
outside of all projects are compiled beforehand. Both lie in the user's cache, and are done without
where there is none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from penstock.errors import PenstockError
from penstock_runtime import cache

UNIT = """\
#include "lstm_constants.cpp"
#define main lstm_testbench
#include "lstm_tb.cpp"
"""
"""Kernel and test bench in one piece: AMD's headers cost more than either."""
HEADERS = """\
#include <ap_fixed.h>
#include <ap_int.h>
#include <hls_stream.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
"""
COMPILES_BEFORE = 3
"""Compiling the headers beforehand costs as much as it saves in so many compiles."""


def compiler() -> str:
    """The C++ compiler: $CXX or g++. Raises PenstockError if it is not there."""
    name = os.environ.get("CXX", "g++")
    if shutil.which(name) is None:
        raise PenstockError(f"{name} is not on PATH", "C simulation", "install g++ or set CXX")
    return name


def told(command: list[str]) -> str:
    """A compiler, by its name, and its flags; it changes when the compiler does."""
    found = Path(shutil.which(command[0]) or command[0]).resolve()
    state = found.stat()
    return " ".join([*command, str(found), str(state.st_size), str(state.st_mtime_ns)])


def first_error(text: str) -> str:
    """The first line of what a compiler says that tells of an error."""
    found = next((line for line in text.splitlines() if "error" in line), "no message")
    return found.strip()


def sources(folder: Path, parts: tuple[str, ...] = ("kernel", "tb")) -> list[Path]:
    """Every file of these folders that goes into the executable: all but vectors."""
    return [
        path
        for part in parts
        for path in sorted((folder / part).rglob("*"))
        if path.is_file() and path.suffix != ".dat"
    ]


def compile_testbench(folder: Path, command: list[str], headers: Path, target: Path) -> str:
    """Compile kernel and test bench of a project to ``target``, and return what was warned of.

    command: the compiler and its flags. headers: the folder of AMD's. Raises ValueError with the
    compiler's text if it does not compile.
    """
    known_by = digest_of([_identity(command, headers), *contents(folder)])
    if cache.take("testbenches", known_by, target):
        return ""
    done = _compile(folder, [*command, *_precompiled(command, headers)], target)
    if done.returncode:  # nothing beforehand may stand between the user and an error
        done = _compile(folder, command, target)
    if done.returncode:
        raise ValueError(done.stderr)
    cache.give("testbenches", known_by, target)
    return done.stderr


def _compile(folder: Path, command: list[str], target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "-Ikernel", "-Itb", "-x", "c++", "-", "-o", str(target.resolve())],
        cwd=folder, input=UNIT, text=True, capture_output=True,
    )  # fmt: skip


def _precompiled(command: list[str], headers: Path) -> list[str]:
    """Flags by which the headers are found compiled; none if they are not, and need not be."""
    known_by = digest_of([_identity(command, headers), HEADERS.encode()])
    place = cache.folder("headers")
    if place is None:
        return []
    try:
        counted = place / f"{known_by}.count"  # a dot for each compile without them
        with counted.open("ab") as file:
            file.write(b".")
        if counted.stat().st_size <= COMPILES_BEFORE:
            return []
    except OSError:
        return []

    def make(made: Path) -> None:
        (made / "headers.h").write_text(HEADERS)
        language = [*command, "-x", "c++-header", "headers.h", "-o", "headers.h.gch"]
        done = subprocess.run(language, cwd=made, capture_output=True)
        if done.returncode:  # then the text itself is as good
            (made / "headers.h.gch").unlink(missing_ok=True)

    made = cache.kept("headers", known_by, make)
    return ["-include", str(made / "headers.h")] if made is not None else []


def _identity(command: list[str], headers: Path) -> bytes:
    """Of the compiler, its flags, and the headers outside the project."""
    own = Path(__file__).resolve().parent / "include"
    files = sorted([*own.glob("*.h"), *headers.glob("ap_*.h"), *headers.glob("etc/*.h")])
    return digest_of([told(command).encode(), *(file.read_bytes() for file in files)]).encode()


def contents(folder: Path, parts: tuple[str, ...] = ("kernel", "tb")) -> Iterable[bytes]:
    """Of each of these sources its name, and its text without comments."""
    for path in sources(folder, parts):
        yield path.relative_to(folder).as_posix().encode()
        yield without_comments(path.read_bytes())


def without_comments(text: bytes) -> bytes:
    """C++ without the lines that are comments; as it is, where that takes more than a look.

    Two texts that are the same after that are the same to the compiler.
    """
    if any(word in text for word in (b"/*", b'R"', b"??/")):
        return text
    kept, is_continued = [], False
    for line in text.split(b"\n"):
        continues = line.rstrip().endswith(b"\\")
        if is_continued or continues or not line.lstrip().startswith(b"//"):
            kept.append(line)
        is_continued = continues
    return b"\n".join(kept)


def digest_of(parts: Iterable[bytes]) -> str:
    """What tells these parts, in this order, from any others."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]
