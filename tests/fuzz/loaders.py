"""Damaged files of every kind that Penstock reads: only PenstockError, or the right result.

    python tests/fuzz/loaders.py --seconds 600 [--seed N] [--target NAME] [--case N]

The rule for a success, by what protects the file:

* covered by a digest (formats in a checkpoint with their tensors, stages of training, a project):
  the result is bit by bit that of the file before it was damaged. Formats that were removed as a
  whole leave an ordinary checkpoint, and any result of it is right.
* not covered, because a user may edit it (checkpoints, densities, arrays): the result is what an
  independent reader of a few lines finds in the damaged file.
* signed anew, so that only schema and bounds are left (``formats, signed``): any result.

In no case may a warning be given, memory grow by more than the limit, or ``SLOWEST`` seconds pass.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from figures import row, show_figures
from targets import Target, all_targets

from penstock import PenstockError

SLOWEST = 10
MEMORY = 1 << 30
"""Bytes that a case may take beyond what the process has when it begins."""
EXPECTED_WARNINGS = (
    "the mask leaves no weight", "out of range and cut off", "the outputs' RMS error is",
    "are not those of the float network",
)  # fmt: skip
REFUSED = object()
OUTCOMES = ("refused", "same", "other, rightly", "fault")


class TooSlow(BaseException):
    """The alarm of a case."""


@dataclass
class Tally:
    """What has been seen of a target. faults: (case, what)."""

    seen: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0


def run_case(target: Target, seed: int, case: int, folder: Path) -> str:
    """One of ``OUTCOMES``; raises AssertionError, with what is wrong, for the last."""
    rng = random.Random(f"{target.name} {seed} {case}")
    shutil.rmtree(folder, ignore_errors=True)
    name = rng.choice(sorted(target.mutators))
    content = target.files[name]
    damaged = target.mutators[name](rng, content)
    for other, whole in target.files.items():
        path = folder / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged if other == name else whole)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        found = _loaded(target, folder)
    texts = [str(one.message) for one in given]
    unexpected = [text for text in texts if not any(part in text for part in EXPECTED_WARNINGS)]
    assert not unexpected, f"{name}: warning: {unexpected[0]}"
    if found is REFUSED:
        return "refused"
    if found == target.wanted:
        return "same"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the independent reader
        assert target.is_right(folder, found), "another result"
    return "other, rightly"


def _loaded(target: Target, folder: Path) -> Any:
    """The result, or ``REFUSED`` by an error as it should be."""
    try:
        return target.load(folder)
    except PenstockError as error:
        cause: BaseException | None = error
        while cause is not None:  # no error that hides a try to take all memory
            is_memory = isinstance(cause, MemoryError) or "allocate memory" in str(cause)
            assert not is_memory, f"memory: {error.line()[:200]}"
            cause = cause.__cause__
        assert len(error.line()) < 5000, "an error without end"
        return REFUSED


def run_target(target: Target, tally: Tally, seed: int, case: int, folder: Path) -> None:
    """A case within its limits, into the tally."""
    signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, SLOWEST)
    start = time.perf_counter()
    try:
        outcome = run_case(target, seed, case, folder)
    except (Exception, TooSlow) as error:
        outcome = "fault"
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        tally.faults.append((case, f"{type(error).__name__}: {str(error)[:200]} ({where})"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    tally.slowest = max(tally.slowest, time.perf_counter() - start)
    tally.seen[outcome] += 1


def _too_slow(*_):
    raise TooSlow(f"more than {SLOWEST} s")


def limit_memory() -> None:
    """What the process has now, and ``MEMORY`` more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(words: list[str] | None = None) -> int:
    """0 if no fault was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cases", type=int, help="of each target, whatever the time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    asked = parser.parse_args(words)
    faulthandler.enable()
    with tempfile.TemporaryDirectory(prefix="penstock.") as name:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            targets = all_targets(Path(name) / "base")
        chosen = [target for target in targets if asked.target in (None, target.name)]
        tallies = {target.name: Tally() for target in chosen}
        limit_memory()
        start, case = time.perf_counter(), asked.case or 0
        while True:
            for target in chosen:
                tally = tallies[target.name]
                before = len(tally.faults)
                run_target(target, tally, asked.seed, case, Path(name) / "case")
                for _, what in tally.faults[before:]:
                    again = f"--seed {asked.seed} --target '{target.name}' --case {case}"
                    print(f"fault: {again}: {what}", flush=True)
            case += 1
            took = time.perf_counter() - start
            if asked.case is not None or (
                case >= asked.cases if asked.cases else took > asked.seconds
            ):
                break
    command = f"make fuzz-loaders FUZZ_SECONDS={asked.seconds:.0f}"
    show_figures("loaders", command, table(tallies), asked.write)
    total = sum(sum(tally.seen.values()) for tally in tallies.values())
    faults = sum(len(tally.faults) for tally in tallies.values())
    print(f"{total} cases in {took:.0f} s, {3600 * total / took:.0f} an hour; {faults} faults")
    return int(faults > 0)


def table(tallies: dict[str, Tally]) -> str:
    """Markdown: a row for each target."""
    lines = [row("damaged", *OUTCOMES, "slowest, s"), row("---", *["---:"] * (len(OUTCOMES) + 1))]
    for name, tally in tallies.items():
        counts = [f"{tally.seen[outcome]:,}" for outcome in OUTCOMES]
        lines.append(row(name, *counts, f"{tally.slowest:.2f}"))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
