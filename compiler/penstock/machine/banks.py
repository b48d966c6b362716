"""The logic of the bank dataflow: multipliers with their trees, sums, and the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.machine import logic
from penstock.machine.logic import Logic, total

if TYPE_CHECKING:
    from penstock.machine.machine import Machine


def multiplier(
    weight: int, activation: int, accumulator: int, lanes: int, regions: int, places: int,
    address: int,
) -> Logic:  # fmt: skip
    """One of them: which region's activation it takes, its weight brought to the sum's scale, its
    products, and its share of the tree. All but counts in bits.

    regions: of the activation memory; places: distances by which a weight may be shifted.
    """
    chosen = logic.multiplexer(regions, activation) if regions > 1 else Logic()
    aligned = logic.multiplexer(places, weight) + Logic(3) if places > 1 else Logic()
    each = total([
        chosen, logic.register(activation), logic.multiplier(weight, activation),
        logic.register(weight + activation), logic.adder(accumulator),
        logic.register(accumulator),
    ])  # fmt: skip
    word = logic.register(weight + address) + logic.adder(address if regions > 1 else 0)
    return total([word, aligned, logic.register(weight), each * lanes])


def sums(accumulator: int, parts: int, held: int, lanes: int, in_passes: bool) -> Logic:
    """Of a row of a turn: what is added up over its words, what is held for the units, of so many
    turns, and its share of the choice among parts of a turn. in_passes: a memory keeps what is
    added up, and a register has what was read of it."""
    chosen = logic.multiplexer(parts, accumulator) if parts > 1 else Logic()
    share = Logic(-(-chosen.lut // parts))
    each = logic.adder(accumulator) + logic.register((1 + in_passes + held) * accumulator) + share
    return each * lanes


def program(machine: Machine) -> Logic:
    """The tables of all programs, in LUTs, and the counters of cycles, words and steps."""
    found = [logic.counter(32) * 3]
    for own in machine.programs.values():
        for column in zip(*own.cycles, strict=True):
            found.append(logic.table(len(own.cycles), max(column).bit_length()))
    return total(found)


def writes(machine: Machine) -> Logic:
    """Of each region: what is written, its address, and where it goes, brought to all rows."""
    hardware, bits = machine.hardware, machine.activation_bits * machine.hardware.lanes_at_once
    rows, banks = hardware.shape
    found = []
    for memory in machine.memories_of("activations"):
        address = max((memory.depth - 1).bit_length(), 1)
        fan_out = -(-rows // 16)  # a register for every sixteen rows
        found.append(logic.register((bits + address + 1) * banks * fan_out) + Logic(banks * 2))
    return total(found)
