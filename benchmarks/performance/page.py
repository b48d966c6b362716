"""docs/performance.md, from what the benchmarks of this folder have measured.

    python benchmarks/performance/page.py            write the page and its pictures
    python benchmarks/performance/page.py --check    exit status 1 if they are not up to date

No figure is typed: every table is made of results/*.json, which has its machine and its date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import compile_scale
import csim
import startup
import tables
import training
from children import load

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURES = ROOT / "docs/performance.md", ROOT / "docs/pictures"


@dataclass(frozen=True)
class Section:
    """A heading, what was measured how, and where its figures are."""

    title: str
    text: str
    result: str
    command: str
    table: Callable[[], str]


def _of(module: object, result: str) -> Callable[[], str]:
    return lambda: module.table(load(result)["rows"])  # type: ignore[attr-defined]


SECTIONS = (
    Section(
        "The interpreter beside float networks",
        """ESE's layer (153 inputs, 1,024 cells, projection to 512, peepholes, 10 % of the weights),
milliseconds a step of so many sequences side by side. `torch.nn.LSTM` is dense, float32, and has no
peepholes to compute; the CSR loops are float32 and sparse. One thread: CPU time; two: wall time. In
brackets our time over theirs. Floats in, floats out, saturation counted.""",
        "interpreter", "interpreter.py", tables.batches,
    ),
    Section(
        "A frame at a time",
        """One stream, a call for each frame (`Session.step`), CPU time, one thread; 10 % of the
weights.""",
        "interpreter", "interpreter.py", tables.streams,
    ),
    Section(
        "Beside C simulation and hls4ml",
        """One sequence, one thread. C simulation is the emitted kernel under g++, whole runs of
the built test bench.""",
        "interpreter", "interpreter.py", tables.others,
    ),
    Section(
        "What bounds it",
        """One core. Weights are read once a step for up to 32 sequences; in brackets the share of
what this core reads from its nearest caches, and of the 16-bit products that it can make from
registers, both measured in the same run.""",
        "bounds", "bounds.py", tables.bounds,
    ),
    Section(
        "Compiling and loading",
        "One layer at 10 % density on 32 PEs, each command a process of its own, start included.",
        "compile", "compile_scale.py", _of(compile_scale, "compile"),
    ),
    Section(
        "Starting", "CPU seconds of a whole process, byte-compiled caches warm.",
        "startup", "startup.py", _of(startup, "startup"),
    ),
    Section(
        "C simulation", "Built by g++ with AMD's headers.", "csim", "csim.py", _of(csim, "csim"),
    ),
    Section(
        "Training with the graph's own arithmetic",
        """A step of quantization-aware training of ESE's layer beside plain float training, one
thread.""",
        "training", "training.py", _of(training, "training"),
    ),
    Section(
        "Counted, not timed",
        """`make work` counts again and fails if it is more: instructions of the native engine for
a step of ESE's layer (built for AVX2, under valgrind), and calls that a streamed frame of 64 cells
makes in Python.""",
        "work", "work.py --write", tables.work,
    ),
)  # fmt: skip
NOTE = """What these figures do not show: other processors than the one named, and a machine that
does nothing else; two virtual cores of a shared one were measured, so that ratios within a table
say more than its seconds."""


def page() -> str:
    """All of it."""
    parts = [
        "# Performance",
        "Printed by `make performance` from `benchmarks/performance/results`. Goals and reasons: "
        'docs/design.md, "Engines".',
        NOTE,
    ]
    for section in SECTIONS:
        machine = load(section.result)["machine"]
        where = (
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
            f"{machine['date']}; `python benchmarks/performance/{section.command}`"
        )
        parts += [f"## {section.title}", section.text, section.table(), where]
        if section.title == SECTIONS[0].title:
            parts.append("![our time over theirs](pictures/interpreter.svg)")
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    if given.check:
        return int(PAGE.read_text() != page())
    PAGE.write_text(page())
    tables.draw(PICTURES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
