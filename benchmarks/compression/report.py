"""Tables and pictures of what ``run.py`` has measured.

python benchmarks/compression/report.py [--write]

``--write`` puts the tables into docs/results.md and the pictures into docs/pictures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot

from tasks import PES, TASKS, Task  # also finds the examples

from story import replace_section  # isort: skip

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
PICTURES = ROOT / "docs/pictures"
DENSE, MORE = "dense", "dense, trained on"
Runs = list[dict[str, dict[str, Any]]]
"""Of each seed, results by their names."""


def load(task: Task) -> Runs:
    """All seeds that were run."""
    found = []
    for path in sorted(RESULTS.glob(f"{task.name}-*.jsonl")):
        lines = map(json.loads, path.read_text().splitlines())
        found.append({line["run"]: line for line in lines})
    return found


def of(runs: Runs, name: str, *keys: str) -> np.ndarray:
    """A figure of the run ``name``, of every seed that has it."""
    values = []
    for run in runs:
        if name in run:
            value: Any = run[name]
            for key in keys:
                value = value[key]
            values.append(value)
    return np.array(values, dtype=float)


def spread(values: np.ndarray) -> float:
    """Standard deviation over the seeds."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def percent(values: np.ndarray) -> str:
    """Mean and standard deviation, in %."""
    if not len(values):
        return "-"
    return f"{100 * values.mean():.1f} +- {100 * spread(values):.1f}"


def quantized(runs: Runs) -> list[str]:
    """The runs in fixed point that every seed has, from the most bits down."""
    common = set.intersection(*(set(run) for run in runs))
    formats = {name: runs[0][name]["format"] for name in common if "format" in runs[0][name]}
    return sorted(formats, key=lambda name: (-formats[name]["density"], -formats[name]["weights"],
                                             name))  # fmt: skip


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def densities_table(task: Task, runs: Runs) -> str:
    """Error by pattern and density."""
    patterns = list(task.patterns())
    rows = []
    for name, title in ((DENSE, "dense"), (MORE, "dense, trained on")):
        rows.append([title, *[percent(of(runs, name, "error"))] * len(patterns)])
    for density in task.levels:
        rows.append([f"{density:.0%}", *(cell(runs, pattern, density) for pattern in patterns)])
    return markdown(["density", *patterns], rows)


def cell(runs: Runs, pattern: str, density: float) -> str:
    """The error; and the density that was reached, if it is not that of unstructured pruning."""
    shown = percent(of(runs, f"{pattern}/{density}", "error"))
    mine, free = (of(runs, f"{name}/{density}", "density") for name in (pattern, "unstructured"))
    if mine.size and free.size and mine.mean() > 1.05 * free.mean():
        return f"{shown} (at {mine.mean():.1%})"
    return shown


def formats_table(runs: Runs) -> str:
    """Number formats: errors, what is lost, what it is worth."""
    names = quantized(runs)
    limit = of(runs, DENSE, "standard_error").mean()
    rows = []
    for name in names:
        trained = of(runs, name, "trained", "error")
        dense = np.array([run[DENSE]["error"] for run in runs if name in run])
        lost = trained - dense
        rows.append([
            name.removeprefix("quantized/"),
            percent(of(runs, name, "post_training", "error")), percent(trained),
            f"{100 * lost.mean():+.2f}", "yes" if lost.mean() <= limit else "no",
            f"{of(runs, name, 'ratio').mean():.1f}x",
            f"{of(runs, name, 'bits_per_nonzero').mean():.1f}",
            f"{of(runs, name, 'cycles').mean():,.0f}",
            *packed(runs, name),
        ])  # fmt: skip
    head = ["density, weights", "post-training", "trained in fixed point", "over dense",
            "within one standard error", "compression", "bits per non-zero", "cycles",
            "packed smallest", "its cycles"]  # fmt: skip
    return markdown(head, rows)


def packed(runs: Runs, name: str) -> tuple[str, str]:
    """Compression and cycles with the index bits that take the fewest bytes."""
    smallest = name.replace("quantized/", "smallest/")
    ratio, cycles = (of(runs, smallest, key) for key in ("ratio", "cycles"))
    if len(ratio) < len(runs):
        return "-", "-"
    return f"{ratio.mean():.1f}x", f"{cycles.mean():,.0f}"


def summary_table() -> str:
    """The claim: how far each task can be compressed at no loss."""
    rows = []
    for task in TASKS.values():
        runs = load(task)
        limit = of(runs, DENSE, "standard_error").mean()
        found = []
        for name in quantized(runs):
            dense = np.array([run[DENSE]["error"] for run in runs])
            lost = (of(runs, name, "trained", "error") - dense).mean()
            if lost <= limit:
                found.append((of(runs, name, "ratio").mean(), name))
        ratio, best = max(found, default=(0.0, ""))
        shown = f"{ratio:.1f}x" if found else "none" if quantized(runs) else "not measured"
        rows.append([task.title, percent(of(runs, DENSE, "error")), f"{100 * limit:.2f}", shown,
                     *packed(runs, best)[:1], best.removeprefix("quantized/")])  # fmt: skip
    head = ["task", "dense error, %", "one standard error", "compression at no loss",
            "packed smallest", "with"]  # fmt: skip
    return markdown(head, rows)


def section(task: Task) -> str:
    """All of one task."""
    runs = load(task)
    named = task.make().named_parameters()
    count = sum(value.numel() for name, value in named if not name.startswith("embedding"))
    story = f"{task.story} {count:,} parameters; pruned and compiled for {PES} PEs."
    parts = [f"### {task.title}", story, densities_table(task, runs)]
    if "per" in runs[0][DENSE]:
        pairs = [(DENSE, "dense"), *((f"pe_balanced/{d}", f"{d:.0%}") for d in task.levels)]
        rates = ", ".join(f"{title} {percent(of(runs, name, 'per'))}" for name, title in pairs)
        parts.append(f"Phone error rate in %, PE-balanced: {rates}.")
    longer = [(density, of(runs, f"longer/{density}", "error")) for density in (1.0, *task.longer)]
    if all(len(errors) == len(runs) for _, errors in longer) and task.longer:
        titles = {1.0: "dense, with itself as the teacher"}
        rates = ", ".join(f"{titles.get(d, f'{d:.0%}')} {percent(errors)}" for d, errors in longer)
        parts.append(
            f"Retrained longer, for as many epochs and at the rate that the dense network was "
            f"trained, PE-balanced, each density from the dense network: {rates}."
        )
    parts += [
        f"Error in %, mean +- standard deviation over {len(runs)} seeds; one standard error of the "
        f"dense baseline over the test set is {100 * of(runs, DENSE, 'standard_error').mean():.2f} "
        f"points.",
        formats_table(runs)
        if quantized(runs)
        else "Number formats are not measured yet on all seeds.",
    ]
    return "\n\n".join(parts)


def text() -> str:
    """What goes into docs/results.md."""
    lines = [line for task in TASKS.values() for run in load(task) for line in run.values()]
    dates = sorted({line["date"] for line in lines})
    machines = ", ".join(sorted({line["machine"] for line in lines}))
    parts = [summary_table(), "![error against density](pictures/density.svg)",
             "![error against compression](pictures/formats.svg)",
             "A line of the second picture is a density and a number format, with the compression "
             "that it comes to, everything counted.",
             *(section(task) for task in TASKS.values()),
             f"Measured by `python benchmarks/compression/run.py` on {' to '.join(dates)}, "
             f"{machines}; printed by `python benchmarks/compression/report.py`."]  # fmt: skip
    return "\n\n".join(parts)


def draw() -> None:
    """Error against density, and against compression."""
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "penstock"
    PICTURES.mkdir(exist_ok=True)
    runs = {task.name: load(task) for task in TASKS.values()}
    heights = [len(quantized(found)) + 2 for found in runs.values()]
    shape: dict[str, Any] = {"squeeze": False, "layout": "constrained"}
    density = pyplot.subplots(1, len(TASKS), figsize=(11, 4.4), **shape)
    formats = pyplot.subplots(
        len(TASKS), 1, figsize=(9, 0.28 * sum(heights)), height_ratios=heights, **shape
    )
    for name, panel, (figure, axes) in (("density", density_panel, density),
                                        ("formats", formats_panel, formats)):  # fmt: skip
        for axis, task in zip(axes.flat, TASKS.values(), strict=True):
            panel(axis, task, runs[task.name])
            axis.set_title(task.title)
            axis.grid(alpha=0.3)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
        pyplot.close(figure)


def dense_band(runs: Runs) -> tuple[float, float]:
    """What the dense network's error is, in %, give or take one standard error."""
    error, limit = of(runs, DENSE, "error"), of(runs, DENSE, "standard_error").mean()
    return 100 * (error.mean() - limit), 100 * (error.mean() + limit)


BAND: dict[str, Any] = {"color": "gray", "alpha": 0.2, "lw": 0,
                        "label": "dense +- one standard error"}  # fmt: skip


def density_panel(axis: Any, task: Task, runs: Runs) -> None:
    """Error upwards, density to the right: a curve for each pattern."""
    axis.axhspan(*dense_band(runs), **BAND)
    curves = [(pattern, pattern, task.levels, "o-") for pattern in task.patterns()]
    curves.append(("longer", "retrained longer", task.longer, "s--"))
    for offset, (run, label, densities, style) in zip(
        (0.97, 0.99, 1.01, 1.03, 1.0), curves, strict=True
    ):
        points = []
        for density in densities:
            errors = 100 * of(runs, f"{run}/{density}", "error")
            if len(errors):
                reached = of(runs, f"{run}/{density}", "density").mean()
                points.append((100 * offset * reached, errors.mean(), spread(errors)))
        if points:
            x, y, bars = zip(*points, strict=True)
            axis.errorbar(x, y, bars, fmt=style, ms=4, lw=1, capsize=2, label=label)
    axis.set_xscale("log")
    ticks = [100 * density for density in task.levels]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.invert_xaxis()
    axis.set_xlabel("density, %")
    if axis.get_subplotspec().is_first_col():
        axis.set_ylabel("error, %")


def formats_panel(axis: Any, task: Task, runs: Runs) -> None:
    """Error to the right, a line for each format, the smallest network at the top."""
    axis.axvspan(*dense_band(runs), **BAND)
    names = sorted(quantized(runs), key=lambda name: of(runs, name, "ratio").mean())
    lines = np.arange(len(names))
    for key, marker, label, aside in (
        ("post_training", "x", "post-training", 0.15),
        ("trained", "o", "trained in fixed point", -0.15),
    ):
        error = [100 * of(runs, name, key, "error") for name in names]
        axis.errorbar([values.mean() for values in error], lines + aside,
                      xerr=[spread(values) for values in error], fmt=marker, ms=5, lw=1, capsize=2,
                      label=label)  # fmt: skip
    ratios = [of(runs, name, "ratio").mean() for name in names]
    titles = [f"{name.removeprefix('quantized/')}   {ratio:4.1f} x"
              for name, ratio in zip(names, ratios, strict=True)]  # fmt: skip
    axis.set_yticks(lines, titles)
    axis.margins(y=1 / len(names))
    axis.set_xlabel("error, %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/")
    options = parser.parse_args()
    print(text())
    if options.write:
        draw()
        replace_section(ROOT / "docs/results.md", "compression", text())


if __name__ == "__main__":
    main()
