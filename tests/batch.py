"""Many projects in one C++ build: AMD's templates are read once, and instantiated once a chunk.

Each project becomes a namespace of one translation unit, its sources in one piece. The executable
takes the project's number before the test bench's own arguments.
"""

from __future__ import annotations

import atexit
import bisect
import functools
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_runtime import Project, csim
from penstock_runtime.compare import CheckResult, check

SYSTEM = re.compile(r"^#include (<.*>)$", re.M)
OWN = re.compile(r'^#include "(.*)"$', re.M)
DEFINED = re.compile(r"^#define (\w+)", re.M)
CHEAP = ("-O0", "--param=ggc-min-heapsize=400000")
"""-O0 costs least in all; so does collecting garbage seldom, above 400 MB."""
FLAGS = (*CHEAP, "-std=c++14", "-w")
STRICT = (*(flag for flag in csim.FLAGS if flag != "-O2"), *CHEAP, "-Werror")
"""A warning is an error."""


@dataclass(frozen=True)
class Source:
    """One project's sources in one piece. system: the headers that stand outside."""

    body: str
    system: tuple[str, ...]
    macros: tuple[str, ...]


def amalgamate(folder: Path) -> Source:
    """Inline what the kernel and the test bench include; ``main`` gets another name."""
    system: dict[str, None] = {}
    guards: dict[str, None] = {}
    seen: set[Path] = set()

    def text_of(path: Path) -> str:
        path = path.resolve()
        if path.suffix != ".inc":
            if path in seen:
                return ""
            seen.add(path)
        text = path.read_text()
        system.update(dict.fromkeys(SYSTEM.findall(text)))
        guards.update(dict.fromkeys(DEFINED.findall(text)))
        return OWN.sub(lambda found: text_of(_find(found[1], path.parent)), SYSTEM.sub("", text))

    def _find(name: str, beside: Path) -> Path:
        places = (beside, folder / "kernel")
        return next(place / name for place in places if (place / name).is_file())

    bodies = [
        text_of(folder / source).replace("int main(", f"int {_main_of(flags)}(")
        for source, flags in csim.SOURCES.items()
    ]
    body = "".join(bodies).replace('extern "C" ', "")
    shared = DEFINED.findall((csim.SHIMS / "hls_stream.h").read_text())
    return Source(body, tuple(system), tuple(guards.keys() - set(shared)))


def _main_of(flags: tuple[str, ...]) -> str:
    """What ``main`` is renamed to; the one that is called first becomes ``testbench``."""
    renamed = [flag.partition("-Dmain=")[2] for flag in flags if flag.startswith("-Dmain=")]
    return renamed[0] if renamed else "testbench"


def build(
    folders: Sequence[Path], scratch: Path, flags: tuple[str, ...] = FLAGS
) -> dict[Path, Path | str]:
    """Each project's test bench, or what the C++ compiler says of it.

    scratch: an existing folder for what the build leaves. Projects that an error points at are
    built again alone, and the others without them.
    """
    sources = [amalgamate(folder) for folder in folders]
    target = scratch / f"batch_{folders[0].name}_{len(folders)}"
    log, blamed = _compile(sources, target, flags)
    if log is None:
        return {folder: _wrapper(folder, target, n) for n, folder in enumerate(folders)}
    if len(folders) == 1:
        lines = log.splitlines()
        return {folders[0]: next((line for line in lines if "error" in line), log[:500])}
    guilty = [folders[n] for n in sorted(blamed)] or list(folders)
    made: dict[Path, Path | str] = {}
    for folder in guilty:
        made |= build([folder], scratch, flags)
    others = [folder for folder in folders if folder not in guilty]
    return made | (build(others, scratch, flags) if others else {})


def checked(
    projects: dict[str, Project], scratch: Path, flags: tuple[str, ...] = STRICT
) -> Iterator[tuple[str, Project, CheckResult]]:
    """Each project, checked in one build: the interpreter, the golden vectors, the counts of loops.

    A project that does not build or pass fails the test that asks.
    """
    folders = [project.folder for project in projects.values()]
    made = build(folders, scratch, flags)
    failed = {name: made[own.folder] for name, own in projects.items()
              if isinstance(made[own.folder], str)}  # fmt: skip
    assert failed == {}
    for name, project in projects.items():
        executable = Path(made[project.folder])
        result = check(project, executable=executable)
        assert result.passed, (name, result.difference)
        assert result.values["accumulators"] > 0 and result.values["outputs"] > 0, name
        golden = csim.run_testbench(project.folder, executable)
        assert golden.passed and "0 different" in golden.output, name
        yield name, project, result


def _wrapper(folder: Path, executable: Path, number: int) -> Path:
    """A script that runs one project's test bench."""
    script = folder / "testbench.sh"
    script.write_text(f'#!/bin/sh\nexec "{executable.resolve()}" {number} "$@"\n')
    script.chmod(0o755)
    return script


def _compile(
    sources: list[Source], target: Path, flags: tuple[str, ...]
) -> tuple[str | None, set[int]]:
    """Compile one translation unit and link it: (None, ...), or errors and the projects blamed."""
    header = _precompiled(sources, flags)
    parts, ends = ["#include <cstdlib>\n"], []
    for number, source in enumerate(sources):
        parts.append(f"namespace project_{number} {{\n{source.body}\n}}\n")
        parts += [f"#undef {name}\n" for name in source.macros]
        ends.append(sum(part.count("\n") for part in parts))
    table = ", ".join(f"project_{number}::testbench" for number in range(len(sources)))
    parts.append(
        "int main(int argc, char **argv) {\n"
        f"  int (*const testbench[])(int, char **) = {{{table}}};\n"
        "  return testbench[std::atoi(argv[1])](argc - 1, argv + 1);\n}\n"
    )
    unit = target.with_suffix(".cpp")
    unit.write_text("".join(parts))
    command = [csim.compiler(), *flags, *csim.include_flags(), "-include", str(header)]
    done = subprocess.run(
        [*command, unit.name, "-o", target.name], cwd=target.parent, text=True, capture_output=True
    )
    if done.returncode == 0:
        return None, set()
    lines = {int(line) for line in re.findall(rf"^{unit.name}:(\d+):", done.stderr, re.M)}
    blamed = {bisect.bisect_left(ends, line) for line in lines}
    return done.stderr, {number for number in blamed if number < len(sources)}


def _precompiled(sources: list[Source], flags: tuple[str, ...]) -> Path:
    """The headers that stand outside all projects, compiled once a process."""
    system = sorted({name for source in sources for name in source.system})
    known_by = hashlib.sha256(" ".join([*flags, *system]).encode()).hexdigest()[:16]
    header = _headers() / f"{known_by}.h"
    if not header.is_file():
        header.write_text("".join(f"#include {name}\n" for name in system))
        command = [csim.compiler(), *flags, *csim.include_flags(), "-x", "c++-header"]
        subprocess.run([*command, header, "-o", f"{header}.gch"], check=True)
    return header


@functools.cache
def _headers() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="penstock-headers-")
    atexit.register(folder.cleanup)
    return Path(folder.name)
