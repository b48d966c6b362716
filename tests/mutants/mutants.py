"""The mutation audit: is every planted fault noticed?

    python tests/mutants/mutants.py [--only TEXT] [--jobs N] [--since FILE] [--check] [--list]
                                      [--write]

Each fault of ``faults/`` is planted in a copy of the working tree, and the tests that fit it run
until one fails; if none does, ``penstock check`` runs on a few projects that the faulty compiler
makes. Prints progress, then a table by area for docs/results.md. Exit status 1 if a fault survives
without an explanation, if one that is said to be equivalent is noticed, or if one has no place in
the code any more.

What was found is kept, a line of JSON for a fault, in build/mutants/outcomes.jsonl; with --since
(the same file, or another) faults that were noticed then are not planted again. Nothing outside
build/mutants is written, and a killed audit's copies are removed by the next.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import Queue

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from audit import CHECK, SURVIVES, TESTS, TIMEOUT, Outcome, Tree
from figures import show_figures
from planted import ROOT, Fault, planted

HOME = ROOT / "build/mutants"
OUTCOMES = HOME / "outcomes.jsonl"


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    asked = _arguments().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copies are removed
    faults = [fault for fault in planted() if asked.only in f"{fault.area}: {fault.title}"]
    misplaced = _misplaced(faults)
    if misplaced or asked.list:
        print("\n".join(misplaced or [f"{fault.area}: {fault.title}" for fault in faults]))
        return 1 if misplaced else 0
    known = _known(asked.since, faults) if asked.since else {}
    todo = [fault for fault in faults if fault.title not in known]
    found = known | _audited(todo, asked.jobs, asked.timeout, asked.check)
    show_figures("mutants", "make mutants", "\n" + table(faults, found), asked.write)
    return 0 if _verdict(faults, found) else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Is every planted fault noticed?")
    parser.add_argument("--only", default="", help="faults with this in their area or title")
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    parser.add_argument("--jobs", type=int, default=1, help="faults at once")
    parser.add_argument("--since", type=Path, help="outcomes of an earlier audit, to go on from")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds of each command")
    parser.add_argument("--check", action="store_true", help="penstock check for every fault")
    parser.add_argument("--list", action="store_true", help="name the faults, and do nothing")
    return parser


def _misplaced(faults: list[Fault]) -> list[str]:
    found = []
    for fault in faults:
        try:
            fault.mutated(ROOT)
        except (OSError, ValueError) as error:
            found.append(str(error))
    return found


def _known(path: Path, faults: list[Fault]) -> dict[str, Outcome]:
    """Of the faults as they are now, those that were noticed."""
    texts = {fault.title: (fault.old, fault.new) for fault in faults}
    lines = path.read_text().splitlines() if path.exists() else []
    known: dict[str, Outcome] = {}
    for line in lines:
        outcome = Outcome(**json.loads(line))
        known.pop(outcome.title, None)
        if outcome.by != SURVIVES and texts.get(outcome.title) == (outcome.old, outcome.new):
            known[outcome.title] = outcome
    return known


def _audited(
    faults: list[Fault], jobs: int, timeout: float, with_check: bool
) -> dict[str, Outcome]:
    """Plant all ``faults``, ``jobs`` at once, each in a tree that none else uses."""
    found: dict[str, Outcome] = {}
    if not faults:
        return found
    with _scratch() as scratch, ThreadPoolExecutor(jobs) as pool:
        trees = [Tree(scratch / str(number), timeout) for number in range(jobs)]
        free: Queue[Tree] = Queue()
        for tree in trees:
            free.put(tree)

        def audit(fault: Fault) -> Outcome:
            tree = free.get()
            try:
                return tree.audit(fault, with_check)
            finally:
                free.put(tree)

        running = [pool.submit(audit, fault) for fault in faults]
        try:
            for done in as_completed(running):
                outcome = done.result()
                found[outcome.title] = outcome
                with OUTCOMES.open("a") as file:
                    file.write(json.dumps(outcome.to_json()) + "\n")
                print(f"{len(found):>4}/{len(faults)} {outcome.by:<8} {outcome.seconds:>6.1f} s  "
                      f"{outcome.title}: {outcome.killer or '-'}", flush=True)  # fmt: skip
        finally:
            for one in running:
                one.cancel()
            for tree in trees:
                tree.stop()
    return found


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for the copies; those of audits that were killed are removed."""
    HOME.mkdir(parents=True, exist_ok=True)
    for lock in HOME.glob("scratch-*/lock"):
        _remove_if_left(lock)
    with (
        tempfile.TemporaryDirectory(prefix="scratch-", dir=HOME) as folder,
        (Path(folder) / "lock").open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def _remove_if_left(lock: Path) -> None:
    """Remove the folder of an audit that is at work no more."""
    with lock.open() as held, contextlib.suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent, ignore_errors=True)


def table(faults: Iterable[Fault], found: dict[str, Outcome]) -> str:
    """Markdown: a row for each area, then what survives and why."""
    rows: dict[str, dict[str, int]] = {}
    notes = []
    for fault in faults:
        outcome = found[fault.title]
        row = rows.setdefault(fault.area, dict.fromkeys(
            ("planted", TESTS, CHECK, TIMEOUT, "equivalent", SURVIVES), 0))  # fmt: skip
        row["planted"] += 1
        is_explained = outcome.by == SURVIVES and fault.equivalent is not None
        row["equivalent" if is_explained else outcome.by] += 1
        if outcome.by == SURVIVES:
            why = f"equivalent: {fault.equivalent}" if fault.equivalent else "**survives**"
            notes.append(f"* {fault.title} ({fault.file}): {why}")
    total = {name: sum(row[name] for row in rows.values()) for name in next(iter(rows.values()))}
    head = ("area", "planted", "killed by tests", "by `penstock check`", "by timeout",
            "equivalent", "survive")  # fmt: skip
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    lines += [_row([area, *row.values()]) for area, row in rows.items()]
    lines += [_row(["all", *total.values()])]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _verdict(faults: list[Fault], found: dict[str, Outcome]) -> bool:
    """Every fault is noticed, but for those that are equivalent."""
    sound = True
    for fault in faults:
        survives = found[fault.title].by == SURVIVES
        if survives and fault.equivalent is None:
            print(f"survives: {fault.title}")
        if not survives and fault.equivalent is not None:
            print(f"said to be equivalent, but noticed: {fault.title}")
        sound = sound and survives == (fault.equivalent is not None)
    return sound


if __name__ == "__main__":
    sys.exit(main())
