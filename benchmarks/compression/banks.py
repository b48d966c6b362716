"""The phone network dense, PE-balanced and balanced for banks, on the same seeds and data.

    python benchmarks/compression/banks.py --data DATA [--seeds 0 1 2] [--every N] [--write]

Both patterns are trained alike, with the settings of the PE-balanced network in ``tasks.py``;
nothing was chosen for banks. ``--every N`` takes every N-th chunk and recording of the training,
validation and test data alike. Results are kept, and what is there is not run again; the table has
the seeds that are complete.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penstock import Compiled, Hardware
from penstock.calibration import Ranges
from penstock.compress import BankInterleaved, Pattern, PeBalanced
from penstock.compress.dataset import Dataset
from penstock.compress.qat import QuantizedNetwork
from penstock.driver import compile_model
from penstock.report.text import plural
from report import markdown, of
from report import percent as percent_of_seeds
from run import RESULTS, Format, Runner, sizes
from tasks import PES, PHONES, Task

from story import RESULTS as PAGE  # isort: skip
from story import replace_section  # isort: skip

BANKS, ROWS = 16, 8
FORMAT = Format(0.1, 12)
LEVELS = (0.5, 0.2, 0.1)
TITLES = {"pe_balanced": f"PE-balanced, {PES} PEs", "banks": f"{BANKS} banks, {ROWS} rows"}
HARDWARE = {
    "pe_balanced": Hardware(pes=PES),
    "banks": Hardware(dataflow="bank", rows=ROWS, banks=BANKS),
}


@dataclass(frozen=True)
class Compared(Task):
    """The task with these two patterns alone."""

    def patterns(self) -> dict[str, Pattern | dict[str, Pattern]]:
        return {"pe_balanced": PeBalanced(PES), "banks": BankInterleaved(BANKS)}


ORDINAL = {2: "nd", 3: "rd"}


def task(every: int) -> Compared:
    """The phone network down to the density that is compared, on every so many-th sequence."""

    def load(folder: Path) -> Dataset:
        data = PHONES.load(folder)
        return replace(data, **{
            name: split.part(np.arange(0, len(split), every))
            for name in ("train", "valid", "test")
            if (split := getattr(data, name)) is not None
        })  # fmt: skip

    known = {one.name: getattr(PHONES, one.name) for one in fields(PHONES)}
    return Compared(**known | {"load": load, "levels": LEVELS})


def compile_for(pattern: str, network: QuantizedNetwork, ranges: Ranges) -> Compiled:
    """On the hardware that the pattern was made for."""
    model = network.to_model(quantized=True)
    return compile_model(model, ranges, HARDWARE[pattern], network.trained_precision)


def measure(runner: Runner) -> None:
    """Everything of one seed."""
    runner.dense()
    for pattern in runner.task.patterns():
        runner.prune(pattern)
        run = f"quantized/{pattern}"
        if run in runner.done:
            continue
        network, ranges, forward = runner.in_fixed_point(FORMAT, pattern)
        loop = runner.fit_quantized(run, network, forward)
        found = runner.score(loop, forward)
        compiled = compile_for(pattern, network, ranges)
        waste = sum(sum(one.waste.values()) for one in compiled.machine.plan.products)
        runner.record(run, format=asdict(FORMAT), waste=int(waste), **found, **sizes(compiled))


def results(every: int) -> Path:
    """Where they are kept."""
    return RESULTS / (f"banks-every-{every}" if every > 1 else "banks")


def complete(every: int) -> list[dict[str, Any]]:
    """Of each seed that has run to its end, results by name."""
    found = []
    for path in sorted(results(every).glob("*.jsonl")):
        lines = map(json.loads, path.read_text().splitlines())
        runs = {line["run"]: line for line in lines}
        if all(f"quantized/{pattern}" in runs for pattern in TITLES):
            found.append(runs)
    return found


def percent(values: np.ndarray) -> str:
    """Mean and standard deviation, in %; of a single seed, what it is."""
    return percent_of_seeds(values) if len(values) > 1 else f"{100 * values.mean():.1f}"


def text(every: int) -> str:
    """The table, and what was run for it."""
    runs = complete(every)
    if not runs:
        return "No seed is complete yet."
    rows: list[Iterable[str]] = [
        ["dense, float", "100%", percent(of(runs, "dense", "error")),
         percent(of(runs, "dense", "per")), *"----"]
    ]  # fmt: skip
    for pattern, title in TITLES.items():
        pruned, fixed = f"{pattern}/{LEVELS[-1]}", f"quantized/{pattern}"
        density = f"{of(runs, pruned, 'density').mean():.1%}"
        rows.append([f"{title}, float", density, percent(of(runs, pruned, "error")),
                     percent(of(runs, pruned, "per")), *"----"])  # fmt: skip
        rows.append([
            f"{title}, {FORMAT.weights} bits, trained in them",
            f"{of(runs, fixed, 'density').mean():.1%}", percent(of(runs, fixed, "error")),
            percent(of(runs, fixed, "per")), f"{of(runs, fixed, 'waste').mean():,.0f}",
            f"{of(runs, fixed, 'bits_per_nonzero').mean():.1f}",
            f"{of(runs, fixed, 'cycles').mean():,.0f}",
            str(HARDWARE[pattern].pes or ROWS * BANKS),
        ])  # fmt: skip
    head = ("phones", "density", "frame error, %", "phone error rate, %", "empty entries",
            "bits per non-zero", "cycles a step", "multipliers")  # fmt: skip
    last = runs[-1][f"quantized/{[*TITLES][-1]}"]
    data = "all of the data" if every == 1 else (
        f"every {every}{ORDINAL.get(every, 'th')} chunk of the training data and as few recordings "
        "of the validation and test data (so all networks are worse than on all of it)"
    )  # fmt: skip
    epochs = PHONES.epochs
    return "\n".join([
        markdown(head, rows), "",
        f"{'Mean +- standard deviation over' if len(runs) > 1 else 'Of'} "
        f"{plural(len(runs), 'seed')}, on {data}. Trained for "
        f"{epochs.dense} epochs; at each of {', '.join(f'{d:.0%}' for d in LEVELS)} of the "
        f"weights for {epochs.pruned}; in fixed point for {epochs.quantized}. Of one dense "
        "network, both patterns alike; no setting was chosen for banks.", "",
        f"Measured by `make bench-bank-accuracy{f' EVERY={every}' * (every > 1)}` on "
        f"{last['date']}, {last['machine']}.",
    ])  # fmt: skip


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with speechocean_phones/; without: print")
    parser.add_argument("--scratch", type=Path, default=Path("build/compression-banks"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--every", type=int, default=1, help="every so many-th sequence")
    parser.add_argument("--write", action="store_true", help="put the table into docs/results.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in options.seeds if options.data else ():
        folder = options.scratch / str(options.every) / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        results(options.every).mkdir(parents=True, exist_ok=True)
        path = results(options.every) / f"{seed}.jsonl"
        measure(Runner(task(options.every), seed, options.data, folder, path))
    print(text(options.every))
    if options.write:
        replace_section(PAGE, "bank-accuracy", text(options.every))


if __name__ == "__main__":
    main()
