"""Which PEs are of which group: those that one weight port feeds."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

from penstock.bounds import MOST_PARTITIONS
from penstock.fixed import IntArray


def in_blocks(count: int, memories: int, together: int = 1) -> list[range]:
    """So many parts of so many memories each, in arrays that tools take: the parts of each.

    together: parts that are not torn apart.
    """
    size = max(MOST_PARTITIONS // memories // together, 1) * together
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


@dataclass(frozen=True)
class PeGroups:
    """PEs in groups, each with its own weight port, word stream and loop.

    per_cycle: elements that the cell unit takes in one cycle, of PEs next to each other.
    """

    groups: int
    group_pes: int
    per_cycle: int

    @property
    def pes(self) -> int:
        """All PEs."""
        return self.groups * self.group_pes

    @property
    def neighbours_share(self) -> bool:
        """True if PEs next to each other are of one group.

        Otherwise every group has its share of the PEs whose elements the cell unit takes in one
        cycle, and so a part of the cell unit to itself.
        """
        return self.per_cycle % self.groups != 0

    def in_arrays(self, memories: int) -> list[range]:
        """The groups of each array, where every PE has so many memories of a kind.

        One array for all groups, if that is not cut into more memories than tools take.
        """
        return in_blocks(self.groups, self.group_pes * memories)

    def row_blocks(self, rows: int, banks: int) -> list[range]:
        """The rows of the bank dataflow, as many of which work as a block; of whole groups."""
        return in_blocks(rows, banks, lcm(self.group_pes, banks) // banks)

    def members(self, group: int) -> IntArray:
        """The PEs of a group, in the order of their entries in its words.  -> (group_pes)"""
        every = np.arange(self.pes)
        group_of = every // self.group_pes
        if not self.neighbours_share:
            group_of = every % self.per_cycle // (self.per_cycle // self.groups)
        return np.flatnonzero(group_of == group)
