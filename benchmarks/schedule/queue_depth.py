"""Queue depth against utilization in the broadcast dataflow, and ESE's cycles part by part.

    python benchmarks/schedule/queue_depth.py [--pes 32] [--write]

Utilization is bound / words, summed over the products of a step; words are those that would be
packed, where the PEs wait for one another's queues, for sums, and for what the 4-bit index pads.
``--write`` puts both tables into docs/results.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from story import RESULTS, replace_section

from ese_step import POINTER_BITS, SEED, explained, implied_nonzeros, pointer_bits
from masks import masks
from penstock.bounds import DEEPEST_QUEUE
from penstock.machine.choose import choose
from penstock.settings import Hardware
from utilization import ese_layer, utilization

DEPTHS = (1, 2, 4, 8, 16, 32, DEEPEST_QUEUE)
"""The deepest is as good as one without an end: no phase of the layer has more columns."""


def percent_of_masks(pes: int, depths: Sequence[int] = DEPTHS) -> dict[str, list[str]]:
    """Mask -> utilization for each depth, then of the gather dataflow, in per cent."""
    found = {}
    for name, own in masks(pes):
        graph = ese_layer(*own)
        settings = [Hardware(pes=pes, dataflow="broadcast", queue_depth=depth) for depth in depths]
        machines = [choose(graph, hardware)[0] for hardware in (*settings, Hardware(pes=pes))]
        found[name] = [f"{utilization(machine):.1f}" for machine in machines]
    return found


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    rows = [titles, ["---", *["---:"] * (len(titles) - 1)], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows).replace(" --- ", "---")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pes", type=int, default=32)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results.md")
    options = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    printed = f"Printed by `make bench-queues` on {date.today()}, {machine}"
    depths = [str(depth) for depth in DEPTHS[:-1]]
    lines = [[name, *cells] for name, cells in percent_of_masks(options.pes).items()]
    queues = table([f"mask, {options.pes} PEs", *depths, "no end", "gather"], lines)
    step = table(["cycles", "four of x", "four of y", "projection", "all"], explained())
    last, pointers = pointer_bits()
    step += (
        f"\n\nIts GOP/s and time say {implied_nonzeros():,.0f} non-zeros. To tell columns apart, "
        f"the bit in every entry costs\n{last:.2f} bits of a non-zero, ESE's pointers "
        f"{pointers:.2f} at {POINTER_BITS} bits each."
    )
    for name, text in (("queue_depth", queues), ("ese_step", step)):
        text += f"\n\n{printed}{f'; seed {SEED}' if name == 'ese_step' else ''}."
        print(text, end="\n\n")
        if options.write:
            replace_section(RESULTS, name, text)


if __name__ == "__main__":
    main()
