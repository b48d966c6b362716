"""How a phase's words are to be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray
from penstock.formats.layout import Layout
from penstock.formats.protocol import Field, Format


def siblings_of(matrices: int) -> int:
    """Matrices side by side, rounded up to a power of two."""
    return 1 << (matrices - 1).bit_length()


@dataclass(frozen=True)
class PhaseCode:
    """How one SpMV phase stands in the words: all that is needed to decode it.

    matvecs: the MatVec nodes computed together (the four gates; or one). Row r of sibling m lies on
    the PE and slot index j that ``rows`` gives it, in accumulator slot j * siblings + m.
    operands: (layout name, columns) of each gathered vector; their columns follow one another, and
    positions behind a vector's last element have none: to pass them would take padding.
    gathers: for each matvec, which of ``operands`` each of its own operands is.
    format: how non-zeros become entries, with this phase's parameters.
    starts: of each operand, the first word in whose time its first elements may be written, or ();
    negative: so many words before the first one. packet: elements that are written in a cycle, from
    then on. So no word gathers an element that is written less than CHAIN_DISTANCE words before it,
    see ``released``.
    shared: rows, ascending, whose non-zeros are spread over all PEs: every PE sums its part of the
    j-th of them in slot index rows_per_pe + j, for all siblings. Such a row keeps its own place,
    where in the end the sum of the parts is put, and no entry uses it.
    banks: accumulator memories of a PE. Each sibling has banks / siblings of them ("ways"), which
    its entries take in turn, by the number of the word.
    """

    name: str
    sweep: int
    matvecs: tuple[str, ...]
    rows: str
    rows_per_pe: int
    operands: tuple[tuple[str, int], ...]
    gathers: tuple[tuple[int, ...], ...]
    weight_bits: int
    format: Format
    banks: int
    words: int
    starts: tuple[int, ...] = ()
    packet: int = 0
    shared: tuple[int, ...] = ()

    @property
    def siblings(self) -> int:
        """Matrices side by side, rounded up to a power of two."""
        return siblings_of(len(self.matvecs))

    @property
    def summed_rows(self) -> int:
        """Slot indices of a PE: of the rows that are its own, then of its parts of shared ones."""
        return self.rows_per_pe + len(self.shared)

    @property
    def slots(self) -> int:
        """Accumulator slots of a PE in this phase; also the positions of one column."""
        return self.summed_rows * self.siblings

    @property
    def ways(self) -> int:
        """Accumulators over which a slot's entries are spread."""
        return max(self.banks // self.siblings, 1)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of an entry, lowest bits first."""
        return self.format.fields(self.weight_bits)

    @property
    def entry_bits(self) -> int:
        """Bits of one entry."""
        return sum(field.bits for field in self.fields)

    @property
    def index_bits(self) -> int:
        """Bits of an entry that say where its weight belongs."""
        return self.entry_bits - self.weight_bits

    @property
    def columns(self) -> int:
        """Columns of the phase's matrix."""
        return sum(columns for _, columns in self.operands)

    def row_at(self, rows: Layout, pes: int) -> IntArray:
        """The row that a PE sums in a slot index, at position slot index * pes + PE; -1: none."""
        own = rows.element_at.copy()
        own[rows.position_of[list(self.shared)]] = -1
        return np.concatenate([own, np.repeat(np.array(self.shared, dtype=np.int64), pes)])

    def first_columns(self) -> list[int]:
        """The first column of each operand."""
        return [sum(columns for _, columns in self.operands[:k]) for k in range(len(self.operands))]
