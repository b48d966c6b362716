"""Random graphs and networks on random hardware: interpreter against C simulation.

    python tests/fuzz/differential.py --seconds 600 [--seed N] [--jobs 2] [--keep-going]
    python tests/fuzz/differential.py --seed N --case K       one case of a batch again
    python tests/fuzz/differential.py --saved FOLDER          a case that failed, by its saved graph

A case agrees in every value of every step, or is refused by a clear error; all else is a failure.
At the first, its graph is saved below build/fuzz, made smaller, and the line that makes it again is
printed; exit status 1. Each seed is a batch, built as one program.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from figures import row, show_figures
from fuzz.networks import compile_network
from fuzz.random_graphs import Case, drawn_cases
from fuzz.reduce import reduce_case
from fuzz.trial import FAILURES, Attempt, Outcome, run_batch

from penstock.ir.io import load_graph, save_graph
from penstock.ops import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
FAILED = ROOT / "build/fuzz"
GRAPHS, NETWORKS = 26, 2
"""Cases of a batch."""
SHOWN = 400


def cases_of(seed: int) -> list[Attempt]:
    """The cases of one batch: graphs, then networks."""
    networks = [partial(compile_network, NETWORKS * seed + n) for n in range(NETWORKS)]
    return [*drawn_cases(seed, GRAPHS), *networks]


def batch(seed: int) -> list[Outcome]:
    """Run one batch."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        return run_batch(cases_of(seed), Path(scratch), seed)


def batches(seeds: Iterator[int], end: float, jobs: int) -> Iterator[tuple[int, list[Outcome]]]:
    """Run batches side by side until ``end``; their seeds and outcomes as they come."""
    with ProcessPoolExecutor(jobs) as pool:
        running: dict[Future[list[Outcome]], int] = {}
        while time.monotonic() < end or running:
            while len(running) < jobs and time.monotonic() < end:
                seed = next(seeds)
                running[pool.submit(batch, seed)] = seed
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()


def save(case: Case, folder: Path) -> None:
    """Keep a case, so that it can be run again by whatever version of Hypothesis."""
    folder.mkdir(parents=True, exist_ok=True)
    save_graph(case.graph, folder)
    (folder / "hardware.json").write_text(json.dumps(case.hardware))


def saved(folder: Path) -> Case:
    """Inverse of ``save``."""
    return Case(load_graph(folder, REGISTRY), json.loads((folder / "hardware.json").read_text()))


def show_failure(seed: int, number: int, outcome: Outcome, is_reduced: bool) -> None:
    """Print how a case fails and how to see it again; its graph is saved, then made smaller."""
    print(f"FAIL with --seed {seed} --case {number}: {outcome.kind}: {outcome.text[:SHOWN]}")
    case = cases_of(seed)[number]
    if not isinstance(case, Case):
        return
    folder = FAILED / f"seed_{seed}_case_{number}"
    save(case, folder)
    print(f"  --saved {folder.relative_to(ROOT)}", flush=True)
    if is_reduced:
        small, again = reduce_case(case, outcome)
        save(small, folder / "small")
        print(f"  --saved {(folder / 'small').relative_to(ROOT)}: {again.text[:SHOWN]}")
        show(small)


def show(case: Case) -> None:
    """A case in lines that can be read."""
    print(f"  {case.hardware}, sweeps {[str(sweep) for sweep in case.graph.sweeps]}")
    for node in case.graph.nodes():
        what = node.op if node.op.kind != "const" else f"Const{node.tensor.shape}"
        print(f"  {node.sweep} {node.name}: {node.tensor.type} = {what} of {list(node.inputs)}")


def run_one(case: Attempt) -> int:
    """Run a single case; exit status 1 if it fails."""
    if isinstance(case, Case):
        show(case)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        (outcome,) = run_batch([case], Path(scratch))
    print(f"{outcome.kind}: {outcome.text}")
    return int(outcome.is_failure)


def run_many(options: argparse.Namespace) -> int:
    """Batch after batch; exit status 1 if a case fails."""
    start = time.monotonic()
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    seeds = iter(range(options.seed, sys.maxsize))
    for seed, outcomes in batches(seeds, start + options.seconds, options.jobs):
        counts.update(outcome.kind for outcome in outcomes)
        counts["values"] += sum(outcome.values for outcome in outcomes)
        for outcome in outcomes:
            reasons[outcome.reason] += outcome.kind == "refused"
            covered.update(outcome.features)
        for number, outcome in enumerate(outcomes):
            if outcome.is_failure and not failures[outcome.stem]:
                show_failure(seed, number, outcome, not options.keep_going)
            failures[outcome.stem] += outcome.is_failure
            if outcome.is_failure and not options.keep_going:
                return 1
    for stem, count in (+failures).most_common():
        print(f"  {count} x {stem}")
    hours = (time.monotonic() - start) / 3600
    command = f"make fuzz FUZZ_SECONDS={options.seconds:.0f} JOBS={options.jobs}"
    show_figures("random_graphs", command, table(counts, hours), options.write)
    print(listed("refused with this hint", reasons), listed("cases with", covered), sep="\n")
    print(f"{'FAIL' if +failures else 'PASS'}: {rate(counts, hours):,.0f} cases an hour")
    return int(bool(+failures))


def rate(counts: Counter[str], hours: float) -> float:
    """Cases an hour."""
    return (counts.total() - counts["values"]) / hours


def listed(title: str, counts: Counter[str]) -> str:
    """A line for each thing that was counted, zeros too, the most frequent first."""
    lines = [f"{count:6,} {what}" for what, count in counts.most_common() if what]
    return "\n".join([f"{title}:", *lines])


def table(counts: Counter[str], hours: float) -> str:
    """Markdown. counts: cases by their outcome, and values that were compared."""
    cases = counts.total() - counts["values"]
    outcomes = [
        ("random graphs and networks", f"{cases:,} in {hours:.2f} h"),
        ("compiled, and equal in every value", f"{counts['equal']:,}"),
        ("values compared", f"{counts['values']:,}"),
        ("refused by the compiler", f"{counts['refused']:,}"),
        *((f"**{kind}**", f"{counts[kind]:,}") for kind in FAILURES),
        ("cases an hour", f"{rate(counts, hours):,.0f}"),
    ]
    return "\n".join([row("what", "measured"), row("---", "---:"), *(row(*o) for o in outcomes)])


def main() -> int:
    """Exit status 1 if a case fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0, help="of the first batch")
    parser.add_argument("--jobs", type=int, default=2, help="batches side by side")
    parser.add_argument("--case", type=int, help="only this case of the first batch")
    parser.add_argument("--saved", type=Path, metavar="FOLDER", help="only this saved case")
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    parser.add_argument("--keep-going", action="store_true", help="show all kinds of failures")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    if options.saved is not None:
        return run_one(saved(options.saved))
    if options.case is not None:
        return run_one(cases_of(options.seed)[options.case])
    return run_many(options)


if __name__ == "__main__":
    sys.exit(main())
