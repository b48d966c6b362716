"""The logic that finds which of a phase's vectors a column is of, and where that lies.

Ends and bases are constants of each phase (``OPERAND_END`` and ``OPERAND_BASE`` of the kernel). Of
few phases they take no LUTs of their own: what they are compared with, or added to, takes them in.
"""

from __future__ import annotations

from penstock.machine import logic
from penstock.machine.logic import Logic, total

PHASES_IN_COMPARATOR = 8
"""So many phases' constants are compared without a table: their number is 3 bits."""
BITS_IN_ADDER = 5
"""Bits, of the phase and of the comparisons, that a LUT of the adder takes beside the column's."""


def number(phases: int, operands: int, column: int) -> Logic:
    """A chain of comparisons, of ``column`` bits. operands: vectors that are told apart."""
    if operands < 2:
        return Logic()
    ends = logic.table(phases, column) if phases > PHASES_IN_COMPARATOR else Logic()
    first = Logic(_bits(operands)) if operands > 2 else Logic()
    return (logic.comparator(column) + ends) * (operands - 1) + first


def address(phases: int, operands: int, bits: int) -> Logic:
    """A base plus the column, where operands lie apart: a base for each phase and operand."""
    is_taken_in = _bits(phases) + operands - 1 <= BITS_IN_ADDER
    bases = Logic() if is_taken_in else logic.table(phases << _bits(operands), bits)
    return total([logic.adder(bits), bases])


def _bits(count: int) -> int:
    return max((count - 1).bit_length(), 1)
