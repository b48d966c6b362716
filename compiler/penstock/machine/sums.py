"""The logic of sums: from the accumulators to the cell units, and of parts of shared rows."""

from __future__ import annotations

from penstock.machine import logic
from penstock.machine.logic import Logic, total

Phases = list[tuple[int, int]]
"""Of each phase: siblings, and ways of each."""


def collector(pes: int, phases: Phases, bits: int) -> Logic:
    """Of a cell unit, of each phase: the banks of one of ``pes`` PEs, and a tree for each sibling.

    Phases do not share theirs, as they don't share their element-wise units.
    """
    return total([
        logic.multiplexer(pes, bits) * (siblings * ways)
        + logic.adder(bits) * (siblings * (ways - 1))
        + logic.register(bits * siblings * (ways + 1))
        for siblings, ways in phases
    ])  # fmt: skip


def drain(drains: Phases, bits: int) -> Logic:
    """Of a PE: the trees of phases of as many ways, and whose sums a memory takes."""
    trees = logic.adder(bits) * sum(siblings * (ways - 1) for siblings, ways in drains)
    kept = max(siblings for siblings, _ in drains)
    writers = [sum(sibling < siblings for siblings, _ in drains) for sibling in range(kept)]
    chosen = total([logic.multiplexer(count, bits) for count in writers])
    return trees + chosen + logic.register(bits * kept)


def drained(pes: int, siblings: list[int], bits: int) -> Logic:
    """Of a cell unit, of each phase with so many siblings: the sums of one of ``pes`` PEs."""
    return (logic.multiplexer(pes, bits) + logic.register(bits)) * sum(siblings)


def tree_of_parts(pes: int, bits: int) -> Logic:
    """Of a bank: the sum over all PEs, and in each PE whether that, zeros or a term is written."""
    adder = logic.adder(bits) + logic.register(bits)
    return adder * (pes - 1) + logic.multiplexer(3, bits) * pes


def place_of_parts(pes: int, banks: int, address: int) -> Logic:
    """Of a PE: what is read and what is written, and whether the row is its own."""
    owner = max((pes - 1).bit_length(), 1)
    return total([
        logic.multiplexer(2, address), logic.multiplexer(3, address),
        Logic(-(-owner // logic.LUT_INPUTS_AS_ADDRESS) + 1), Logic(banks),
    ])  # fmt: skip
