"""What the examples share: from a compressed checkpoint to figures and pictures.

Each example trains in its own way and ends here: compile, run the test set bit-true, check against
C simulation, count, draw.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from rich.console import Console
from rich.table import Table

from penstock import Compiled, PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock_runtime import Interpreter
from penstock_runtime.compare import CheckResult, check

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs/results.md"
SEQUENCES_AT_ONCE = 128
CHECK_STEPS = 4
STAGES = {"dense": "float, dense", "pruned": "float, pruned", "quantized": "quantized",
          "trained quantized": "trained in fixed point"}  # fmt: skip
"""Those of the recipe, as the table calls them."""


@dataclass
class Story:
    """name: of the example's folder. rows: (what, value) of the table that is printed.

    section: where it goes in the README and docs/results.md, if not under the name. is_kept:
    whether it goes there.
    """

    name: str
    title: str
    command: str
    section: str = ""
    is_kept: bool = False
    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, value: str) -> None:
        """One more row."""
        self.rows.append((what, value))

    def print(self) -> None:
        """The table, on the terminal."""
        table = Table(self.title, "result")
        table.columns[1].justify = "right"
        for row in self.rows:
            table.add_row(*row)
        Console(highlight=False, soft_wrap=True).print(table)

    def markdown(self) -> str:
        """The table, and where and when it was printed."""
        lines = [f"| {self.title} | result |", "|---|---:|"]
        lines += [f"| {what} | {value} |" for what, value in self.rows]
        machine = (
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        )
        return "\n".join([*lines, "", f"Printed by `{self.command}` on {date.today()}, {machine}."])

    def finish(self, report: dict[str, Any]) -> None:
        """Print the table; if that was asked for, put it and pictures of ``report`` into the
        example's README, and the table into docs/results.md."""
        self.print()
        if not self.is_kept:
            return
        folder, section = ROOT / "examples" / self.name, self.section or self.name
        prefix = f"{self.section}-" if self.section else ""
        draw_load(report, folder / f"{prefix}load.svg")
        draw_timeline(report, folder / f"{prefix}timeline.svg")
        for page in (folder / "README.md", RESULTS):
            replace_section(page, section, self.markdown())


def say(what: str) -> None:
    """One line of progress, at once."""
    print(what, flush=True)


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options, and as ``command`` what was typed: DATA for the folder, nothing for --output."""
    parser.add_argument("--write", action="store_true", help="put the table into README and docs")
    options = parser.parse_args(arguments)
    if options.write and vars(options).get("data", "its own") is None:
        parser.error("--write is for figures on real data: give --data")
    words = [parser.prog]
    for name, value in vars(options).items():
        if value != parser.get_default(name) and name != "output":
            words += [f"--{name.replace('_', '-')}"]
            words += [] if value is True else ["DATA" if name == "data" else f"{value}"]
    options.command = " ".join(words)
    return options


def exit_status(example: Callable[[], bool]) -> int:
    """Run it: 0 if interpreter and C simulation agree, 1 if not, 2 for a user's fault, a line.

    A warning is a line, too, without the program text that led to it.
    """
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        return 0 if example() else 1
    except (PenstockError, OSError) as error:
        text = error.line() if isinstance(error, PenstockError) else str(error)
        print(f"error: {text}", file=sys.stderr)
        return 2


def replace_section(page: Path, name: str, text: str) -> None:
    """Overwrite what stands between the page's marks ``<!-- name -->``."""
    before, mark, rest = page.read_text().partition(f"<!-- {name} -->\n")
    end = f"\n<!-- end {name} -->"
    _, found, after = rest.partition(end)
    if not mark or not found:
        raise ValueError(f"{page} has no marks for {name}")
    page.write_text(before + mark + text + end + after)


def proportion(right: float, count: int) -> str:
    """Per cent, and the standard error of a proportion over ``count`` cases."""
    return f"{right:.1%} +- {math.sqrt(right * (1 - right) / count):.1%}"


def clustered(wrong: FloatArray, count: FloatArray) -> float:
    """Standard error of wrong.sum() / count.sum() over independent sequences."""
    error = wrong.sum() / count.sum()
    return float(np.sqrt(np.sum((wrong - error * count) ** 2)) / count.sum())


def bit_true(
    interpreter: Interpreter, batches: Iterable[tuple[FloatArray, IntArray]]
) -> FloatArray:
    """The interpreter's values for (frames, lengths) after (frames, lengths), in one array."""
    return np.concatenate(
        [interpreter.run(frames, lengths, batch_first=True).values for frames, lengths in batches]
    )


def check_rows(
    story: Story, interpreter: Interpreter, sample: FloatArray, lengths: IntArray
) -> CheckResult:
    """Interpreter against C simulation, on the check's own stimuli and on real sequences."""
    own = interpreter.quantize(sample, lengths, batch_first=True)
    result = check(interpreter.project, CHECK_STEPS, own=own)
    verdict = "equal" if result.passed else f"DIFFERENT: {result.difference}"
    compared = sum(result.values.values())
    story.add("values, interpreter against C simulation", f"{compared:,} {verdict}")
    story.add("of these calls, on the example's own data", f"{len(sample)} sequences")
    return result


def hardware_rows(story: Story, *compiled: Compiled, step: str = "step") -> None:
    """Density, size and speed; of several projects, that a step goes through one after the other,
    all together."""
    reports = [one.report for one in compiled]
    nonzeros, weights = (_sum(reports, "totals", key) for key in ("nonzeros", "weights"))
    dense, packed = (
        _sum(reports, "totals", "compression", key) for key in ("dense_bytes", "compiled_bytes")
    )
    bits = sum(sum(report["totals"]["bits"].values()) for report in reports)
    cycles, bound = (
        _sum(reports, "timeline", key) for key in ("cycles_per_step", "bound_per_step")
    )
    hardware = reports[0]["hardware"]
    clock = hardware["clock_mhz"]
    story.add("PEs", f"{hardware['pes']}")
    story.add("non-zero weights", f"{nonzeros:,} of {weights:,} ({nonzeros / weights:.1%})")
    story.add("fp32, bytes", f"{dense:,}")
    story.add("compiled, everything counted, bytes", f"{packed:,}")
    story.add("compression", f"{dense / packed:.1f} x")
    story.add("bits per non-zero weight", f"{bits / nonzeros:.1f}")
    story.add(f"cycles per {step} by the timeline (bound)", f"{cycles:,} ({bound:,})")
    story.add(f"microseconds a {step} at {clock:g} MHz (bound)",
              f"{cycles / clock:.2f} ({bound / clock:.2f})")  # fmt: skip


def _sum(reports: list[dict[str, Any]], *path: str) -> int:
    """Of the figure at the end of ``path`` in each report."""
    return sum(reduce(getitem, path, report) for report in reports)


def in_a_row(compiled: Mapping[str, Compiled]) -> dict[str, Any]:
    """What is drawn of several projects, by name, that a step goes through one after the other.

    Without what each of them does before its first step.
    """
    phases, spans, start = [], [], 0
    for name, one in compiled.items():
        phases += [phase | {"name": f"{name} {phase['name']}"} for phase in one.report["phases"]]
        timeline = one.report["timeline"]
        steps = [span for span in timeline["spans"] if not span["is_first"]]
        spans += [
            span | {"name": f"{name} {span['name']}",
                    "start": start + span["start"] - steps[0]["start"]}
            for span in steps
        ]  # fmt: skip
        start += timeline["cycles_per_step"]
    return {"phases": phases, "timeline": {"spans": spans}}


KINDS = ("load", "spmv", "cells", "drain", "commit", "clear")
"""Of spans, in the order of their colours."""


def _style() -> None:
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "penstock"


def draw_load(report: dict[str, Any], path: Path) -> None:
    """Entries of every PE, phase by phase: non-zeros, and the padding that the gaps cost."""
    _style()
    phases = report["phases"]
    columns = min(2, len(phases))
    rows = -(-len(phases) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(9, 0.5 + 2.6 * rows), squeeze=False, layout="constrained"
    )
    for axis, phase in zip(axes.flat, phases, strict=False):
        pes = np.arange(len(phase["pe_nonzeros"]))
        nonzeros, entries = np.array(phase["pe_nonzeros"]), np.array(phase["pe_entries"])
        width = 0.8 if len(pes) <= 16 else 1.0  # of many bars the gaps would be all that is seen
        axis.bar(pes, nonzeros, width=width, label="non-zeros")
        axis.bar(pes, entries - nonzeros, bottom=nonzeros, width=width, label="padding")
        axis.axhline(phase["words"], color="black", lw=1, label="words of the phase")
        axis.set_title(f"{phase['name']}: {phase['utilization']:.1%} of {phase['words']:,} words",
                       fontsize="medium")  # fmt: skip
        axis.set_xlim(-0.6, len(pes) - 0.4)
        axis.set_ylim(0, 1.08 * phase["words"])
        axis.set_xlabel("PE")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.yaxis.set_major_formatter("{x:,.0f}")
    for axis in axes.flat[len(phases) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("entries")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def draw_timeline(report: dict[str, Any], path: Path) -> None:
    """The phases of one step on the time axis."""
    _style()
    rows = report["timeline"]["spans"]
    colours = {kind: f"C{number}" for number, kind in enumerate(KINDS)}
    figure, axis = pyplot.subplots(figsize=(9, 0.6 + 0.4 * len(rows)), layout="constrained")
    for number, row in enumerate(rows):
        axis.barh(number, row["cycles"], left=row["start"], height=0.7, alpha=0.7,
                  color=colours[row["kind"]])  # fmt: skip
        is_late = row["start"] > rows[-1]["start"] / 2
        axis.annotate(f" {row['name']}, {row['kind']}: {row['cycles']:,} ", (row["start"], number),
                      va="center", ha="right" if is_late else "left", fontsize=8)  # fmt: skip
    axis.set_yticks([])
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.invert_yaxis()
    axis.set_xlabel("cycles; a head at the end runs once, behind the last step")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
