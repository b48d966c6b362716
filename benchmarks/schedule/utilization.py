"""How full the PE array is on ESE's layer, for masks from balanced to one row full; and on a head.

    python benchmarks/schedule/utilization.py [--pes 32,64,128] [--phases] [--write]

Utilization is bound / words in percent, summed over the products of a step; a phase's bound is its
non-zeros by the PEs. Words are those that the compiler packs, with padding, bubbles and all, and
with rows shared by all PEs where it does that: how many stands in brackets. ``--phases``: a line
for each phase. ``--write`` puts the table into docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from masks import CELLS, INPUTS, PROJECTION, masks
from penstock.calibration import calibrate
from penstock.ir import Graph
from penstock.layers import Linear, Lstm
from penstock.layers.layer import Layer
from penstock.layers.lstm import GATES
from penstock.lowering import lower
from penstock.machine import Machine
from penstock.machine.choose import choose
from penstock.model import stack
from penstock.settings import Hardware, Precision

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from figures import row, show_figures

PES = (32, 64, 128, 256, 512)
WANTED = {
    "balanced for the PEs": 99.5, "row norms of CV 0.2": 97, "row norms of CV 0.4": 97,
    "power law, exponent 0.5": 95, "power law, exponent 1": 95, "5 % empty, one full row": 95,
}  # fmt: skip
"""Percent, on 32 to 128 PEs."""
HEAD = (2, 768)
"""Classes and inputs of a head without a zero."""


def weights(generator: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Of any sign where the mask has them, none near zero."""
    drawn = generator.uniform(0.05, 0.2, mask.shape) * generator.choice([-1, 1], mask.shape)
    return drawn * mask


def graph_of(layer: Layer) -> Graph:
    """A network of one layer."""
    model = stack([layer])
    return lower(model, calibrate(model, None), Precision())


def ese_layer(gates: np.ndarray, projection: np.ndarray) -> Graph:
    """ESE's layer with weights where the masks have them."""
    generator = np.random.default_rng(9)
    of_gates = dict(zip(GATES, gates.reshape(len(GATES), CELLS, INPUTS + PROJECTION), strict=True))
    return graph_of(Lstm(
        {gate: weights(generator, mask[:, :INPUTS]) for gate, mask in of_gates.items()},
        {gate: weights(generator, mask[:, INPUTS:]) for gate, mask in of_gates.items()},
        {gate: np.zeros(CELLS) for gate in GATES},
        {},
        weights(generator, projection),
    ))  # fmt: skip


def machines(pes: int) -> Iterator[tuple[str, Machine, float]]:
    """(what, its machine, CPU seconds that it took to find)."""
    graphs = {name: ese_layer(*own) for name, own in masks(pes)}
    dense = weights(np.random.default_rng(9), np.ones(HEAD, dtype=bool))
    graphs[f"a head of {HEAD[0]} rows on {HEAD[1]} values"] = graph_of(Linear(dense))
    for name, graph in graphs.items():
        start = time.process_time()
        machine, _ = choose(graph, Hardware(pes=pes))
        yield name, machine, time.process_time() - start


def utilization(machine: Machine) -> float:
    """Bound / words of all products together, in percent."""
    products = machine.plan.products
    words = sum(product.code.words for product in products)
    return 100 * sum(product.bound for product in products) / words


def cell(machine: Machine) -> str:
    """Utilization, and how many rows are shared."""
    shared = sum(len(product.code.shared) for product in machine.plan.products)
    return f"{utilization(machine):.2f}" + f" ({shared})" * (shared > 0)


def print_phases(machine: Machine, seconds: float) -> None:
    """A line for each phase."""
    for product in machine.plan.products:
        code = product.code
        print(
            f"    {code.name}: {code.words:,} words, bound {product.bound:,}; {len(code.shared)} "
            f"of {machine.plan.layouts[code.rows].length} rows shared, {code.rows_per_pe} slots; "
            f"gaps of {code.index_bits} bits; {code.banks} banks; waste {product.waste}"
        )
    print(f"    {machine.timeline.step:,} cycles a step; scheduled in {seconds:.2f} CPU seconds")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pes", default=",".join(map(str, PES)))
    parser.add_argument("--phases", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    counts = [int(pes) for pes in options.pes.split(",")]
    table: dict[str, list[str]] = {}
    for pes in counts:
        for name, machine, seconds in machines(pes):
            table.setdefault(name, []).append(cell(machine))
            if options.phases:
                print(f"{name}, {pes} PEs: {table[name][-1]} %")
                print_phases(machine, seconds)
    lines = [row("mask \\ PEs", *counts, "wanted"), "|---|" + "---:|" * (len(counts) + 1)]
    for name, cells in table.items():
        wanted = f">= {WANTED[name]} up to 128" if name in WANTED else ""
        lines.append(row(name, *cells, wanted))
    show_figures("utilization", "make bench-schedule", "\n".join(lines), options.write)


if __name__ == "__main__":
    main()
