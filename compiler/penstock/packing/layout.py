"""Where things are: which PE owns which row, and how a phase's words are to be read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from penstock.fixed import IntArray


@dataclass(frozen=True)
class Layout:
    """The order of a vector's elements in hardware.

    order: position -> element, -1 for a position that holds none. Position = slot * pes + PE for
    rows on PEs; so neighbours in position are computed by neighbouring PEs in the same cycle.
    """

    order: tuple[int, ...]

    @property
    def positions(self) -> int:
        """Length in hardware, with the empty positions."""
        return len(self.order)

    @property
    def length(self) -> int:
        """Elements of the vector."""
        return int((self._order >= 0).sum())

    @cached_property
    def _order(self) -> IntArray:
        return np.array(self.order, dtype=np.int64)

    @cached_property
    def position_of(self) -> IntArray:
        """Element -> position."""
        filled = np.flatnonzero(self._order >= 0)
        inverse = np.zeros(len(filled), dtype=np.int64)
        inverse[self._order[filled]] = filled
        return inverse

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
        """Rows on PEs: each PE's rows in ascending order fill its slots 0, 1, ..."""
        by_pe = np.argsort(pe_of_row, kind="stable")
        counts = np.bincount(pe_of_row, minlength=pes)
        starts = np.cumsum(counts) - counts
        slot = np.arange(len(pe_of_row)) - np.repeat(starts, counts)
        order = np.full(int(counts.max()) * pes, -1)
        order[slot * pes + pe_of_row[by_pe]] = by_pe
        return cls(tuple(int(row) for row in order))


@dataclass(frozen=True)
class PhaseCode:
    """How one SpMV phase stands in the words: all that is needed to decode it.

    matvecs: the MatVec nodes computed together (the four gates; or one). Row r of sibling m lies on
    the PE and slot index j that ``rows`` gives it, in accumulator slot j * siblings + m.
    operands: (layout name, positions) of each gathered vector; their columns follow one another.
    banks: accumulator memories of a PE. Each sibling has banks / siblings of them ("ways"), which
    its entries take in turn, by the number of the word.
    """

    name: str
    sweep: int
    matvecs: tuple[str, ...]
    rows: str
    rows_per_pe: int
    operands: tuple[tuple[str, int], ...]
    weight_bits: int
    index_bits: int
    banks: int
    words: int

    @property
    def siblings(self) -> int:
        """Matrices side by side, rounded up to a power of two."""
        return 1 << (len(self.matvecs) - 1).bit_length()

    @property
    def slots(self) -> int:
        """Accumulator slots of a PE in this phase; also the positions of one column."""
        return self.rows_per_pe * self.siblings

    @property
    def ways(self) -> int:
        """Accumulators over which a slot's entries are spread."""
        return max(self.banks // self.siblings, 1)

    @property
    def entry_bits(self) -> int:
        """Bits of one entry."""
        return self.weight_bits + self.index_bits

    @property
    def columns(self) -> int:
        """Columns of the phase's matrix, counted in positions."""
        return sum(positions for _, positions in self.operands)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> PhaseCode:
        """Inverse of ``to_json``."""
        operands = tuple((str(name), int(count)) for name, count in fields["operands"])
        return cls(**{**fields, "matvecs": tuple(fields["matvecs"]), "operands": operands})
