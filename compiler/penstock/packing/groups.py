"""Which PEs are of which group: those that one weight port feeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray


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

    def members(self, group: int) -> IntArray:
        """The PEs of a group, in the order of their entries in its words.  -> (group_pes)"""
        every = np.arange(self.pes)
        group_of = every // self.group_pes
        if not self.neighbours_share:
            group_of = every % self.per_cycle // (self.per_cycle // self.groups)
        return np.flatnonzero(group_of == group)
