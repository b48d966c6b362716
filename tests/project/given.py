"""Two projects, what a user and synthesis put beside them, and what a folder holds after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from penstock.marker import Marker
from penstock.project import reading

OLD = {
    "Makefile": b"old", "README.md": b"same", "graph.json": b"old", "kernel/top.cpp": b"old",
    "kernel/same.h": b"same", "kernel/tables/old.inc": b"old", "tb/tb.cpp": b"same",
}  # fmt: skip
NEW = {
    "Makefile": b"new", "README.md": b"same", "graph.json": b"new", "kernel/top.cpp": b"new",
    "kernel/same.h": b"same", "kernel/more/new.inc": b"new", "tb/tb.cpp": b"same",
}  # fmt: skip
MINE = {"mine.txt": b"1", "kernel/mine.h": b"2", "kernel/tables/mine.inc": b"3"}
SYNTHESIS = {"vitis/csynth.rpt": b"4", "csim/lstm_tb": b"5"}
CHANGES = ("rename", "unlink", "rmdir", "mkdir")


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def contents(folder):
    paths = sorted(folder.rglob("*"))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths if p.is_file()}


def whole(files):
    return {**files, "penstock.json": Marker.of(files).text().encode()}


def killed_at(moment, act):
    """Run ``act`` in a process that gets SIGKILL before its change of that number.

    -> whether it was killed: False, it had fewer.
    """
    child = os.fork()
    if child == 0:
        count = [0]

        def hooked(change):
            def call(*words, **options):
                count[0] += 1
                if count[0] == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return change(*words, **options)

            return call

        for name in CHANGES:
            setattr(os, name, hooked(getattr(os, name)))
        Path.write_bytes = hooked(Path.write_bytes)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def open_project(folder):
    with reading(folder):
        pass


def state(folder):
    """Whether an opened folder holds the old project or the new one, and all that is the user's."""
    found = {k: v for k, v in contents(folder).items() if not k.startswith(".penstock.")}
    after = {**MINE, "vitis.stale/csynth.rpt": b"4"}
    if found == {**whole(OLD), **MINE, **SYNTHESIS}:
        return "old"
    assert found == {**whole(NEW), **after}
    assert not (folder / "kernel/old").exists()
    return "new"
