"""The logic that the broadcast dataflow has in place of a gather: before the PEs, and in each."""

from __future__ import annotations

from penstock.machine import logic
from penstock.machine.logic import Logic, total

WAITS = Logic(3, 3)
"""Of a pipeline that streams hold up: what goes on in it, and whether it does."""


def way_in(slot: int, queued: int, weight: int, places: int) -> Logic:
    """Of a PE, up to its multiplier: its place in a column, and the activation that it holds.

    slot, weight: bits. queued: of what waits in its queue, and is held; places: distances by which
    a weight may be shifted.
    """
    return total([
        logic.adder(slot), logic.adder(slot), logic.register(slot + 1), logic.register(2 * queued),
        logic.multiplexer(places, weight) if places > 1 else Logic(), Logic(-(-weight // 6) + 1),
        logic.register(2 * weight), WAITS,
    ])  # fmt: skip


def columns(pes: int, address: int, queued: int) -> Logic:
    """The process that reads activations and gives them to all queues, when none is full.

    address, queued: bits. Where an operand lies is counted apart.
    """
    return total([logic.register(address + queued), logic.all_clear(pes), WAITS])


def deal(pes: int, word: int) -> Logic:
    """A word of ``word`` bits goes to the PEs of a group, when all have room."""
    return total([logic.register(word), logic.all_clear(pes), WAITS])
