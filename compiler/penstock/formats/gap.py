"""The gap code: a PE's non-zeros in column-major order, each with its distance to the one before.

Position = column * slots + slot. Every entry advances the PE's position by its gap, from 0; an
entry whose weight is 0 writes nothing. It is *padding* where the distance exceeds the greatest
gap, and a *bubble* (gap 0) where the hazard distance asks for a cycle without a use of the slot,
or where a PE has come to its end before the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.formats.hazards import issue, shares
from penstock.formats.protocol import BUBBLES, Entries, Field, NonZeros
from penstock.formats.rows import OwnedRows, released

if TYPE_CHECKING:
    from penstock.formats.phase import PhaseCode

WIDEST_GAP = 8
"""Bits: the kernel's tables have an entry for every gap."""


class Gap(OwnedRows, msgspec.Struct, frozen=True, tag="gap", tag_field="name",
          forbid_unknown_fields=True):  # fmt: skip
    """The gap code with gaps of ``index_bits`` bits."""

    name: ClassVar[str] = "gap"
    index_bits: Annotated[int, msgspec.Meta(ge=1, le=WIDEST_GAP)]

    @classmethod
    def choices(cls, nonzeros: NonZeros) -> list[Gap]:
        """Every width that may be worth its bits: none is wider than the widest gap."""
        widest = [int(gaps(nonzeros[own]).max()) for own in shares(nonzeros.pe)]
        needed = max(max(widest, default=1).bit_length(), 1)
        return [cls(bits) for bits in range(1, min(needed, WIDEST_GAP) + 1)]

    @property
    def greatest(self) -> int:
        """The greatest gap of one entry."""
        return (1 << self.index_bits) - 1

    def fields(self, weight_bits: int) -> tuple[Field, ...]:
        """See ``Format``."""
        return (
            Field("weight", "weight_bits", weight_bits, is_signed=True),
            Field("gap", "index_bits", self.index_bits),
        )

    def min_words(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """See ``Format``."""
        runs = (self._padding(gaps(nonzeros[own])) + 1 for own in shares(nonzeros.pe))
        return max((int(run.sum()) for run in runs), default=0)

    def price(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """The product of cycles and bits: neither time nor memory is free."""
        words = self.min_words(phase, nonzeros, pes)
        return words * words * (phase.weight_bits + self.index_bits)

    def encode(
        self, phase: PhaseCode, pes: int, nonzeros: NonZeros, hazard_distance: int
    ) -> Entries:
        """Padding for long gaps, and bubbles against hazards and what is written late."""
        runs = [self._padded(nonzeros[own], phase.slots) for own in shares(nonzeros.pe)]
        runs = runs or [self._padded(nonzeros, phase.slots)]
        pe, slot = (np.concatenate([run[name] for run in runs]) for name in ("pe", "slot"))
        free = None
        if phase.starts:
            free = np.concatenate([_released(phase, run) for run in runs])
        word = issue(pe, slot, pes, phase.slots, phase.ways, hazard_distance, free)
        words = int(word.max(initial=0)) + 1  # a phase without weights still has a word
        placed = {name: np.zeros((words, pes), dtype=np.int32) for name in ("weight", "gap")}
        for run, own in zip(runs, shares(pe), strict=False):  # no share without non-zeros
            for name, values in placed.items():
                values[word[own], run["pe"][0]] = run[name]
        return Entries(placed)

    def _padded(self, own: NonZeros, slots: int) -> dict[str, NDArray[Any]]:
        """The entries of one PE without bubbles: pe, weight, gap, and slot, or -1 for padding."""
        distance = gaps(own)
        padding = self._padding(distance)
        last = np.cumsum(padding + 1) - 1
        total = len(last) + int(padding.sum())
        weight = np.zeros(total, dtype=own.weight.dtype)
        gap = np.full(total, self.greatest, dtype=np.uint8)
        slot = np.full(total, -1, dtype=np.int32)
        weight[last] = own.weight
        gap[last] = distance - padding * self.greatest
        slot[last] = own.position % slots
        pe = np.repeat(own.pe, padding + 1)
        return {"pe": pe, "weight": weight, "gap": gap, "slot": slot}

    def decode(self, phase: PhaseCode, entries: Entries) -> tuple[NonZeros, IntArray]:
        """See ``Format``."""
        counts = np.count_nonzero(entries["weight"], axis=0)
        ends = np.cumsum(counts)
        word, position = np.empty(int(ends[-1]), np.int64), np.empty(int(ends[-1]), np.int64)
        weight = np.empty(int(ends[-1]), entries["weight"].dtype)
        for gap, values, stop, count in zip(
            entries["gap"].T, entries["weight"].T, ends, counts, strict=True
        ):
            own = slice(stop - count, stop)
            word[own] = np.flatnonzero(values)
            position[own] = np.cumsum(gap, dtype=np.int64)[word[own]]
            weight[own] = values[word[own]]
        pe = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return NonZeros(pe, position, weight), word

    def waste(self, phase: PhaseCode, entries: Entries) -> dict[str, IntArray]:
        """Padding moves a PE on, a bubble does not."""
        is_empty, moves = entries["weight"] == 0, entries["gap"] > 0
        return {
            "padding": np.count_nonzero(is_empty & moves, axis=0),
            BUBBLES: np.count_nonzero(is_empty & ~moves, axis=0),
        }

    def needs_tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> bool:
        """A gap shorter than a column is its own number of slots."""
        return phase.slots < 1 << widest["gap"]

    def tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> dict[str, list[int]]:
        """A gap as whole columns and slots: so there is no divider in a PE."""
        every = range(1 << widest["gap"])
        return {
            "columns": [gap // phase.slots for gap in every],
            "slots": [gap % phase.slots for gap in every],
        }

    def _padding(self, distance: IntArray) -> IntArray:
        return np.maximum(distance - 1, 0) // self.greatest


def _released(phase: PhaseCode, run: dict[str, NDArray[Any]]) -> IntArray:
    """The first word that may hold each entry; padding gathers nothing, so any may."""
    position = np.cumsum(run["gap"], dtype=np.int64)
    found: IntArray = np.where(run["slot"] < 0, 0, released(phase, position))
    return found


def gaps(nonzeros: NonZeros) -> IntArray:
    """Distance of each non-zero to the one before on its PE; of the first, to 0."""
    before = np.roll(nonzeros.position, 1)
    is_first = np.ones(len(nonzeros.pe), dtype=bool)
    is_first[1:] = nonzeros.pe[1:] != nonzeros.pe[:-1]
    return np.where(is_first, nonzeros.position, nonzeros.position - before)
