"""Exploring ESE's layer: how many points a minute on one core, and the front of a small space.

    python benchmarks/explore.py [--write]

Weights are random (seeded), pruned to 10 % density, balanced over 32 PEs, as in ``ese_layer``. All
in one process, from nothing: no store. ``--write`` puts the tables into docs/exploring.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import ese_layer
from story import ROOT, replace_section

from penstock.exploration import Exploration, explore
from penstock.exploration.texts import columns, row

PAGE = ROOT / "docs/exploring.md"
WIDE = {
    "pes": [8, 16, 32, 64], "weights": range(8, 13), "overlap": [True, False],
    "weight_storage": ["stream", "onchip"], "board": ["u55c", "zcu104"],
    "clock_mhz": [200, 250, 300],
}  # fmt: skip
"""Much of what is computed is common to many points."""
APART = {"pes": [8, 12, 16, 24, 32, 48, 64, 96], "weights": range(8, 13), "index_bits": [4, 5, 6]}
"""Each point has a schedule of its own."""
SMALL = {"pes": [16, 32, 64, 128, 256], "weights": [8, 10, 12]}


def timed(model: Path, axes: dict) -> tuple[Exploration, float]:
    """What is found, and the CPU seconds that it takes."""
    start = time.process_time()
    found = explore(model, axes)
    return found, time.process_time() - start


def speed_line(name: str, found: Exploration, seconds: float) -> str:
    """``| what | points | CPU seconds | points a minute |``."""
    count = len(found.points)
    return f"| {name} | {count:,} | {seconds:.1f} | {60 * count / seconds:,.0f} |"


def front_lines(found: Exploration) -> list[str]:
    """The front as a table."""
    titles = columns(found)
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return lines + [f"| {' | '.join(row(found, one))} |" for one in found.front]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put them into docs/exploring.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = ese_layer.checkpoint(Path(scratch))
        wide, apart = timed(model, WIDE), timed(model, APART)
        small, _ = timed(model, SMALL)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    lines = [
        "| space of ESE's layer, in one process | points | CPU seconds | points a minute |",
        "|---|---|---|---|",
        speed_line("PEs, bits, overlap, place of weights, boards, clocks", *wide),
        speed_line("PEs, bits, index bits: a schedule for each point", *apart),
        "",
        *front_lines(small),
        "",
        f"Printed by `make bench-explore` on {date.today()}, {machine}; seed {ese_layer.SEED}.",
    ]
    text = "\n".join(lines)
    print(text)
    if options.write:
        replace_section(PAGE, "explore", text)


if __name__ == "__main__":
    main()
