"""Shared rows: where all PEs keep their parts, and where the sum of the parts goes."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.machine.memories import AccumulatorRows
from penstock.schedule import Product, Schedule


@dataclass(frozen=True)
class Parts:
    """The parts of one phase's shared rows, which lie in the same accumulator rows of every PE.

    first: the row of the first part; those of the other shared rows follow. places: of each shared
    row, the PE that the row belongs to, and which of its accumulator rows takes the sum.
    """

    phase: str
    first: int
    places: tuple[tuple[int, int], ...]


def parts(plan: Schedule, rows: AccumulatorRows) -> tuple[Parts, ...]:
    """Of every phase that has shared rows."""
    return tuple(_of(plan, product, rows) for product in plan.products if product.code.shared)


def _of(plan: Schedule, product: Product, rows: AccumulatorRows) -> Parts:
    code, name = product.code, product.nodes.name
    position = plan.layouts[code.rows].position_of
    places = (divmod(int(position[row]), plan.hardware.pes) for row in code.shared)
    first = rows.first[name]
    return Parts(name, first + code.rows_per_pe, tuple((pe, first + slot) for slot, pe in places))
