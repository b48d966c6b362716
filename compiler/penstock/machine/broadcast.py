"""The logic that the broadcast dataflow has in place of a gather: before the PEs, and in each."""

from __future__ import annotations

from penstock.machine import logic
from penstock.machine.logic import Logic, total


def way_in(slot: int, index: int, queued: int, weight: int, places: int) -> Logic:
    """Of a PE, up to its multiplier: its place in a column, and the activation that it holds.

    slot, index, weight: bits. queued: of what waits in its queue; places: distances by which a
    weight may be shifted.
    """
    return total([
        logic.adder(slot), Logic(slot), logic.register(slot + index + 2),
        logic.register(queued),
        logic.multiplexer(places, weight) if places > 1 else Logic(), Logic(-(-weight // 6) + 1),
    ])  # fmt: skip


def columns(column: int, address: int, queued: int, operands: int) -> Logic:
    """The process that reads activations and gives them to all queues. All but operands in bits."""
    return total([
        logic.counter(column), logic.adder(address),
        logic.comparator(column) * (operands - 1), logic.register(address + 2 * queued),
    ])  # fmt: skip
