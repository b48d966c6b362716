"""How full the PE array is on ESE's layer, for masks from balanced to one row full.

    python benchmarks/schedule/utilization.py [--pes 32,64,128] [--share] [--phases]

Utilization is bound / words, summed over the products of a step; a phase's bound is its non-zeros
by the PEs. Words are those that would be packed: with padding, bubbles and all. ``--share``: rows
may be shared by all PEs. ``--phases``: a line for each phase.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from masks import CELLS, INPUTS, PROJECTION, masks
from penstock.calibration import calibrate
from penstock.ir import Graph
from penstock.layers import Lstm
from penstock.layers.lstm import GATES
from penstock.lowering import lower
from penstock.model import stack
from penstock.schedule import Schedule, schedule
from penstock.settings import Hardware, Precision

PES = (32, 64, 128, 256, 512)


def layer(gates: np.ndarray, projection: np.ndarray) -> Graph:
    """ESE's layer with weights where the masks have them."""
    generator = np.random.default_rng(9)

    def weights(mask: np.ndarray) -> np.ndarray:
        drawn = generator.uniform(0.05, 0.2, mask.shape) * generator.choice([-1, 1], mask.shape)
        return drawn * mask

    of_gates = dict(zip(GATES, gates.reshape(len(GATES), CELLS, INPUTS + PROJECTION), strict=True))
    lstm = Lstm(
        {gate: weights(mask[:, :INPUTS]) for gate, mask in of_gates.items()},
        {gate: weights(mask[:, INPUTS:]) for gate, mask in of_gates.items()},
        {gate: np.zeros(CELLS) for gate in GATES},
        {},
        weights(projection),
    )
    model = stack([lstm])
    return lower(model, calibrate(model, None), Precision())


def plans(pes: int, share: bool) -> Iterator[tuple[str, Schedule, float]]:
    """(mask, its schedule, CPU seconds that this took)."""
    for name, own in masks(pes):
        graph = layer(*own)
        start = time.process_time()
        plan = schedule(graph, Hardware(pes=pes), share=share)
        yield name, plan, time.process_time() - start


def utilization(plan: Schedule) -> float:
    """Bound / words of all products together."""
    words = sum(product.code.words for product in plan.products)
    return sum(product.bound for product in plan.products) / words


def print_phases(plan: Schedule, seconds: float) -> None:
    """A line for each phase."""
    for product in plan.products:
        code = product.code
        print(
            f"    {code.name}: {code.words:,} words, bound {product.bound:,}; {len(code.shared)} "
            f"of {plan.layouts[code.rows].length} rows shared, {code.rows_per_pe} slots; gaps of "
            f"{code.index_bits} bits; waste {product.waste}"
        )
    print(f"    scheduled in {seconds:.2f} CPU seconds")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pes", default=",".join(map(str, PES)))
    parser.add_argument("--share", action="store_true")
    parser.add_argument("--phases", action="store_true")
    options = parser.parse_args()
    counts = [int(pes) for pes in options.pes.split(",")]
    table: dict[str, list[str]] = {}
    for pes in counts:
        for name, plan, seconds in plans(pes, options.share):
            table.setdefault(name, []).append(f"{100 * utilization(plan):.2f}")
            if options.phases:
                print(f"{name}, {pes} PEs: {table[name][-1]} %")
                print_phases(plan, seconds)
    print("| mask \\ PEs |" + "".join(f" {pes} |" for pes in counts))
    print("|---|" + "---:|" * len(counts))
    for name, cells in table.items():
        print(f"| {name} |" + "".join(f" {cell} |" for cell in cells))


if __name__ == "__main__":
    main()
