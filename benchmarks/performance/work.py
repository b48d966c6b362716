"""What is counted instead of timed: a guard against work that creeps in.

    python benchmarks/performance/work.py [--write]

Instructions that the native engine executes for a step of ESE's layer, under valgrind, built for
AVX2 (valgrind knows no AVX-512); Python calls of a streamed frame. Both are the same on every run.
More than ``results/work.json`` allows, by more than TOLERANCE, ends with exit status 1; --write
puts what is counted now in its place. Another compiler counts differently: then WIDE is allowed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from children import RESULTS, load, save
from networks import ESE, SMALL, frames, project

NAME = "work"
BATCHES, STEPS = (1, 8, 32), 4
TOLERANCE, WIDE = 1.03, 1.3
FLAGS = ("-mavx2",)


def counted(folder: Path) -> list[int]:
    """Instructions of a step, for each of BATCHES."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
            "--toggle-collect=penstock_run", "--dump-after=penstock_run",
            sys.executable, __file__, "--run", str(folder),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        parts = range(1, 1 + STEPS * len(BATCHES))  # a file for each step
        texts = [Path(f"{out}.{number}").read_text() for number in parts]
    totals = [int(re.findall(r"^summary: (\d+)", text, re.M)[0]) for text in texts]
    return [sum(totals[start : start + STEPS]) // STEPS for start in range(0, len(totals), STEPS)]


def run(folder: Path) -> None:
    """What valgrind looks at: each batch, step by step."""
    from penstock.ir.evaluate import initial_state
    from penstock_runtime import load_project
    from penstock_runtime.engines.native import NativeEngine

    graph = load_project(folder).graph
    executable = NativeEngine(flags=FLAGS, threads=1).prepare(graph)
    x = graph["x"].tensor.type.quantize(frames(ESE, max(BATCHES), STEPS))
    for lanes in BATCHES:
        stream = executable.stream(lanes, initial_state(graph, lanes))
        for step in range(STEPS):
            stream.step(x[:lanes, step])


def calls_of_a_frame(folder: Path) -> int:
    """Functions, of Python and of C, that a streamed frame calls."""
    from penstock_runtime import Session

    session, frame = Session(folder), frames(SMALL, 1, 1)[0, 0]
    session.step(frame)
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    session.step(frame)
    sys.setprofile(None)
    return calls


def compiler() -> str:
    """Its first line about itself."""
    done = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def rows(scratch: Path) -> list[dict[str, Any]]:
    """What is counted, and of what."""
    ese, small = project(ESE, scratch), project(SMALL, scratch)
    run(ese)  # the library is built before valgrind looks
    found = [
        {"what": f"instructions of a step, {lanes} side by side", "count": count}
        for lanes, count in zip(BATCHES, counted(ese), strict=True)
    ]
    found.append({"what": "calls of a streamed frame", "count": calls_of_a_frame(small)})
    return [row | {"compiler": compiler()} for row in found]


def is_more(now: dict[str, Any], then: dict[str, Any]) -> bool:
    """True if the work has grown."""
    allowed = TOLERANCE if now["compiler"] == then["compiler"] else WIDE
    return bool(now["count"] > allowed * then["count"])


def main() -> int:
    """Exit status 1 if the work has grown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep what is counted now")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        found = rows(Path(scratch))
    if given.write:
        save(NAME, found)
    allowed = {row["what"]: row for row in load(NAME)["rows"]}
    grown = [row for row in found if is_more(row, allowed[row["what"]])]
    for row in found:
        then = allowed[row["what"]]["count"]
        print(f"{row['what']}: {row['count']:,} ({RESULTS.name}/{NAME}.json: {then:,})")
    for row in grown:
        print(f"FAIL: {row['what']} has grown")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
