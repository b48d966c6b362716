"""The order of a vector's elements in hardware: which PE owns which of them, in which slot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penstock.fixed import IntArray


def position_on(pe: IntArray, slot: IntArray, pes: int) -> IntArray:
    """The position of a slot of a PE: PE after PE, slot after slot."""
    return slot * pes + pe


@dataclass(frozen=True)
class Layout:
    """The order of a vector's elements in hardware.

    order: position -> element, -1 for a position that holds none. For rows on PEs see
    ``position_on``: neighbours in position are computed by neighbouring PEs in the same cycle.
    """

    order: tuple[int, ...]

    @property
    def positions(self) -> int:
        """Length in hardware, with the empty positions."""
        return len(self.order)

    @property
    def columns(self) -> int:
        """Of a matrix that multiplies the vector: positions up to the last with an element."""
        return int(self.position_of.max(initial=-1)) + 1

    @property
    def length(self) -> int:
        """Elements of the vector."""
        return int((self.element_at >= 0).sum())

    @cached_property
    def element_at(self) -> IntArray:
        """Position -> element, -1 where there is none: ``order`` as an array."""
        return np.array(self.order, dtype=np.int64)

    @cached_property
    def position_of(self) -> IntArray:
        """Element -> position."""
        filled = np.flatnonzero(self.element_at >= 0)
        inverse = np.zeros(len(filled), dtype=np.int64)
        inverse[self.element_at[filled]] = filled
        return inverse

    def place(self, element: IntArray, pes: int) -> tuple[IntArray, IntArray]:
        """The PE that owns each element, and the slot in which it does."""
        slot, pe = np.divmod(self.position_of[element], pes)
        return pe, slot

    @property
    def is_identity(self) -> bool:
        """True if element k stands at position k."""
        return bool((self.position_of == np.arange(self.length)).all())

    def spread(self, elements: IntArray) -> IntArray:
        """(..., length) by element -> (..., positions), zero where there is none."""
        placed = np.zeros((*elements.shape[:-1], self.positions), dtype=elements.dtype)
        placed[..., self.position_of] = elements
        return placed

    def gather(self, placed: IntArray) -> IntArray:
        """Inverse of ``spread``."""
        return placed[..., self.position_of]

    @classmethod
    def plain(cls, length: int, multiple: int) -> Layout:
        """Element k at position k, filled up to a multiple."""
        empty = -length % multiple
        return cls((*range(length), *([-1] * empty)))

    @classmethod
    def from_assignment(cls, pe_of_row: IntArray, pes: int) -> Layout:
        """Rows on PEs: each PE's rows in ascending order fill its slots 0, 1, ...

        Where the PEs have a slot more than they need, the empty ones are spread over all numbers
        of slots: a phase that reads the vector would need padding for a run of empty columns.
        """
        by_pe = np.argsort(pe_of_row, kind="stable")
        counts = np.bincount(pe_of_row, minlength=pes)
        starts = np.cumsum(counts) - counts
        slot = np.arange(len(pe_of_row)) - np.repeat(starts, counts)
        capacity = int(counts.max())
        if capacity * pes - len(pe_of_row) >= pes:
            slot = np.concatenate(_spread_slots(counts.tolist(), capacity))
        order = np.full(capacity * pes, -1)
        order[position_on(pe_of_row[by_pe], slot, pes)] = by_pe
        return cls(tuple(int(row) for row in order))


def _spread_slots(counts: list[int], capacity: int) -> list[IntArray]:
    """For each PE the slots of its rows, such that every number of slot is empty equally often."""
    empty = np.zeros(capacity, dtype=np.int64)  # PEs so far that leave it empty
    found = []
    for count in counts:
        left_out = np.argsort(empty, kind="stable")[: capacity - count]
        empty[left_out] += 1
        found.append(np.delete(np.arange(capacity), left_out))
    return found
