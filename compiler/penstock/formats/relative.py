"""The relative index of ESE (Han et al. 2017), for PEs that read their columns one after another.

An entry holds a weight and the number of zeros between it and the entry before in its column, in
``index_bits`` bits; the first counts from the column's top. It is *padding*, with weight 0, where
there are more zeros than that. In place of ESE's column pointers an entry has a bit that says
whether it is its column's ``last``; so a column of a PE without non-zeros costs an entry. A PE that
has to wait takes entries of weight 0 and index 0, which stay where they are: for an activation, at
the end of the column before (see ``columns``), or for a sum (a *bubble*).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.bounds import DEEPEST_QUEUE
from penstock.fixed import IntArray
from penstock.formats.columns import InColumns, issue_columns, releases
from penstock.formats.hazards import shares
from penstock.formats.protocol import BUBBLES, QUEUES, Entries, Field, NonZeros
from penstock.formats.rows import OwnedRows

if TYPE_CHECKING:
    from penstock.formats.phase import PhaseCode

ESE_INDEX_BITS = 4
WIDEST_INDEX = 8


class Relative(OwnedRows, msgspec.Struct, frozen=True, tag="relative", tag_field="name",
               forbid_unknown_fields=True):  # fmt: skip
    """The relative index of ``index_bits`` bits; PEs with activation queues of ``queue_depth``."""

    name: ClassVar[str] = "relative"
    index_bits: Annotated[int, msgspec.Meta(ge=1, le=WIDEST_INDEX)]
    queue_depth: Annotated[int, msgspec.Meta(ge=1, le=DEEPEST_QUEUE)]

    @property
    def greatest(self) -> int:
        """The most zeros in front of one entry."""
        return (1 << self.index_bits) - 1

    def fields(self, weight_bits: int) -> tuple[Field, ...]:
        """See ``Format``."""
        return (
            Field("weight", "weight_bits", weight_bits, is_signed=True),
            Field("index", "index_bits", self.index_bits),
            Field("last", "last_bits", 1),
        )

    def min_words(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """See ``Format``. Waiting for activations counts."""
        return _words(self._issued(phase, pes, nonzeros, 1)[1])

    def price(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """The product of cycles and bits, as in the gap code."""
        words = self.min_words(phase, nonzeros, pes)
        return words * words * sum(field.bits for field in self.fields(phase.weight_bits))

    def encode(
        self, phase: PhaseCode, pes: int, nonzeros: NonZeros, hazard_distance: int
    ) -> Entries:
        """See ``Format``. Every PE ends its last column with the last word."""
        if phase.starts:
            raise ValueError(f"phase {phase.name}: no column of the relative index may come late")
        entries, issued, word = self._issued(phase, pes, nonzeros, hazard_distance)
        words, starts = _words(issued), issued[1]
        names = [field.name for field in self.fields(phase.weight_bits)]
        placed = {name: np.zeros((words, pes), dtype=np.int32) for name in names}
        placed["weight"][word, entries["pe"]] = entries["weight"]
        placed["index"][word, entries["pe"]] = entries["index"]
        placed["last"][starts[1:] - 1, np.arange(pes)] = 1
        placed["last"][-1] = 1
        return Entries(placed)

    def decode(self, phase: PhaseCode, entries: Entries) -> tuple[NonZeros, IntArray]:
        """See ``Format``. Raises ValueError for columns or rows that the phase does not have."""
        starts = _starts(phase, entries)
        pe, word = np.nonzero(entries["weight"].T)
        moved = np.cumsum(entries["index"] + (entries["weight"] != 0), axis=0, dtype=np.int64)
        column = (np.cumsum(entries["last"], axis=0) - entries["last"])[word, pe]
        before = np.where(starts > 0, moved[starts - 1, np.arange(moved.shape[1])], 0)
        slot = moved[word, pe] - 1 - before[column, pe]
        if (slot >= phase.slots).any():
            raise ValueError(f"phase {phase.name} has an entry below its column")
        position = column * phase.slots + slot
        return NonZeros(pe.astype(np.int32), position, entries["weight"][word, pe]), word

    def waste(self, phase: PhaseCode, entries: Entries) -> dict[str, IntArray]:
        """Padding moves a PE down its column; the rest is for columns without non-zeros, for
        activations that other PEs keep waiting, for sums, and for the PEs that end later.
        """
        starts = _starts(phase, entries)
        release = np.append(releases(starts, self.queue_depth), 0)  # behind the last: no more
        is_empty, moves = entries["weight"] == 0, entries["index"] > 0
        rests = is_empty & ~moves
        column = np.cumsum(entries["last"], axis=0) - entries["last"]
        busy_before = np.cumsum(~rests, axis=0)
        ends = np.append(starts[1:], np.full((1, starts.shape[1]), entries.words), axis=0) - 1
        every_pe = np.arange(starts.shape[1])
        busy_in = busy_before[ends, every_pe] - busy_before[starts, every_pe]
        busy_in += ~rests[starts, every_pe]  # of each column and PE
        is_first = np.zeros_like(rests)
        is_first[starts, every_pe] = True
        of_empty = rests & is_first & (busy_in[column, every_pe] == 0)
        is_done = busy_before == busy_before[ends, every_pe][column, every_pe]
        word = np.arange(entries.words)[:, None]
        queued = rests & ~of_empty & is_done & (word < release[column + 1])
        return {
            "padding": np.count_nonzero(is_empty & moves, axis=0),
            "empty": np.count_nonzero(of_empty, axis=0),
            QUEUES: np.count_nonzero(queued, axis=0),
            BUBBLES: np.count_nonzero(rests & ~of_empty & ~queued, axis=0),
        }

    def prove_entries(self, phase: PhaseCode, entries: Entries) -> None:
        """See ``Format``. No PE begins a column before its activation can be there."""
        starts = _starts(phase, entries)
        if (starts < releases(starts, self.queue_depth)[:, None]).any():
            raise AssertionError(f"phase {phase.name}: a PE is too far ahead of another's queue")

    def needs_tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> bool:
        """A PE only adds."""
        return False

    def tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> dict[str, list[int]]:
        """None."""
        return {}

    def _issued(
        self, phase: PhaseCode, pes: int, nonzeros: NonZeros, hazard_distance: int
    ) -> tuple[dict[str, NDArray[Any]], tuple[IntArray, IntArray], IntArray]:
        """All entries but those that wait; the first free word of each PE and where it begins each
        column; the word of each entry.
        """
        found = [self._padded(own, phase) for own in _of_every_pe(nonzeros, pes)]
        entries = {name: np.concatenate([own[name] for own in found]) for name in found[0]}
        entries["pe"] = np.repeat(np.arange(pes), [len(own["weight"]) for own in found])
        columns = InColumns(entries["pe"], entries["column"], entries["slot"], pes, phase.columns)
        word, starts = issue_columns(
            columns, self.queue_depth, phase.slots, phase.ways, hazard_distance
        )
        following = np.zeros(pes, dtype=np.int64)
        np.maximum.at(following, entries["pe"], word + 1)
        return entries, (following, starts), word

    def _padded(self, own: NonZeros, phase: PhaseCode) -> dict[str, NDArray[Any]]:
        """One PE's weight, index, column, and slot, or -1, of every entry that does not wait."""
        column, slot = np.divmod(own.position, phase.slots)
        is_first = np.diff(column, prepend=-1) != 0
        zeros = slot - np.where(is_first, 0, np.roll(slot, 1) + 1)
        padding = np.maximum(zeros - 1, 0) // self.greatest
        last = np.cumsum(padding + 1) - 1
        total = len(last) + int(padding.sum())
        weight = np.zeros(total, dtype=own.weight.dtype)
        index = np.full(total, self.greatest, dtype=np.uint8)
        of_slot = np.full(total, -1, dtype=np.int32)
        weight[last] = own.weight
        index[last] = zeros - padding * self.greatest
        of_slot[last] = slot
        empty = np.setdiff1d(np.arange(phase.columns), column)
        of_column = np.concatenate([np.repeat(column, padding + 1), empty])
        order = np.argsort(of_column, kind="stable")
        nothing = np.zeros(len(empty), dtype=np.int64)
        return {
            "weight": np.concatenate([weight, nothing.astype(weight.dtype)])[order],
            "index": np.concatenate([index, nothing.astype(index.dtype)])[order],
            "slot": np.concatenate([of_slot, nothing.astype(of_slot.dtype) - 1])[order],
            "column": of_column[order],
        }


def _words(issued: tuple[IntArray, IntArray]) -> int:
    return int(issued[0].max())


def _of_every_pe(nonzeros: NonZeros, pes: int) -> list[NonZeros]:
    """The share of each PE, also of those that have none."""
    found = [nonzeros[:0]] * pes
    for own in shares(nonzeros.pe):
        found[int(nonzeros.pe[own.start])] = nonzeros[own]
    return found


def _starts(phase: PhaseCode, entries: Entries) -> IntArray:
    """The word in which each PE begins each column.  -> (columns, pes)

    Raises ValueError unless every PE ends the phase's columns with the last word.
    """
    last = entries["last"]
    ends = last.sum(axis=0) == phase.columns
    if not ends.all() or not last[-1].all():
        raise ValueError(f"phase {phase.name}: a PE does not end its columns with the words")
    _, word = np.nonzero(last.T)
    found = word.reshape(last.shape[1], phase.columns).T
    starts: IntArray = np.zeros_like(found)
    starts[1:] = found[:-1] + 1
    return starts
