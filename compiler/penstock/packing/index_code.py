"""The gap code: a PE's non-zeros in column-major order, each with its distance to the one before.

Position = column * slots + slot. Every entry advances the PE's position by its gap, from 0; an
entry whose weight is 0 writes nothing. It is *padding* where the distance exceeds the greatest
gap, and a *bubble* (gap 0) where the hazard distance asks for a cycle without a use of the slot,
or where a PE has come to its end before the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray


@dataclass(frozen=True)
class Entries:
    """The words of a phase before packing. weight, gap: (words, pes)."""

    weight: IntArray
    gap: IntArray

    @property
    def words(self) -> int:
        """Cycles that the phase takes in the PE array."""
        return int(self.weight.shape[0])


@dataclass(frozen=True)
class NonZeros:
    """A phase's non-zeros, sorted by PE, then by position. All arrays (count)."""

    pe: IntArray
    position: IntArray
    weight: IntArray

    def gaps(self) -> IntArray:
        """Distance of each to the one before on its PE; of the first, to 0."""
        before = np.roll(self.position, 1)
        is_first = np.ones(len(self.pe), dtype=bool)
        is_first[1:] = self.pe[1:] != self.pe[:-1]
        return np.where(is_first, self.position, self.position - before)


def padded_counts(nonzeros: NonZeros, index_bits: int, pes: int) -> IntArray:
    """Entries of each PE, padding included, with gaps of ``index_bits`` bits.  -> (pes)"""
    padding = _padding(nonzeros.gaps(), index_bits)
    total = np.bincount(nonzeros.pe, weights=padding + 1.0, minlength=pes)
    return total.astype(np.int64)


def _padding(gaps: IntArray, index_bits: int) -> IntArray:
    greatest = (1 << index_bits) - 1
    return np.maximum(gaps - 1, 0) // greatest


def encode_entries(
    nonzeros: NonZeros, index_bits: int, pes: int, slots: int, ways: int, raw_distance: int
) -> Entries:
    """Non-zeros -> words: padding for long gaps, and bubbles against hazards.

    No accumulator address (slot, way) of a PE is used twice within ``raw_distance`` words.
    """
    greatest = (1 << index_bits) - 1
    gaps = nonzeros.gaps()
    padding = _padding(gaps, index_bits)
    run = padding + 1
    last = np.cumsum(run) - 1
    total = int(run.sum())
    pe = np.repeat(nonzeros.pe, run)
    weight = np.zeros(total, dtype=np.int64)
    gap = np.full(total, greatest, dtype=np.int64)
    slot = np.full(total, -1, dtype=np.int64)
    weight[last] = nonzeros.weight
    gap[last] = gaps - padding * greatest
    slot[last] = nonzeros.position % slots
    word = _issue(pe, slot, pes, slots, ways, raw_distance)
    words = int(word.max()) + 1 if total else 1  # a phase without weights still has a word
    placed_weight = np.zeros((words, pes), dtype=np.int64)
    placed_gap = np.zeros((words, pes), dtype=np.int64)
    placed_weight[word, pe] = weight
    placed_gap[word, pe] = gap
    return Entries(placed_weight, placed_gap)


def use_distance(pe: IntArray, word: IntArray, slot: IntArray, slots: int, ways: int) -> IntArray:
    """Words between the two closest uses of each accumulator address, for every use but the first.

    pe, word, slot: (uses). The way is word mod ``ways``.
    """
    address = (pe * slots + slot) * ways + word % ways
    order = np.lexsort((word, address))
    same = address[order][1:] == address[order][:-1]
    distance: IntArray = (word[order][1:] - word[order][:-1])[same]
    return distance


def _issue(
    pe: IntArray, slot: IntArray, pes: int, slots: int, ways: int, raw_distance: int
) -> IntArray:
    """The word of each entry: in order on its PE, as early as the hazard distance allows."""
    counts = np.bincount(pe, minlength=pes)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(pe)) - starts[pe]
    used = slot >= 0
    distances = use_distance(pe[used], rank[used], slot[used], slots, ways)
    if distances.size == 0 or distances.min() >= raw_distance:
        return rank
    by_rank = np.full((int(counts.max()), pes), -1, dtype=np.int64)
    by_rank[rank, pe] = slot
    free_from = np.zeros((pes, slots, ways), dtype=np.int64)  # first word that may use the address
    every_pe = np.arange(pes)
    next_word = np.zeros(pes, dtype=np.int64)
    issued = np.zeros_like(by_rank)
    for index, wanted in enumerate(by_rank):
        word = next_word
        uses = wanted >= 0
        while (early := uses & (free_from[every_pe, wanted, word % ways] > word)).any():
            word = word + early
        free_from[every_pe[uses], wanted[uses], (word % ways)[uses]] = word[uses] + raw_distance
        issued[index] = word
        next_word = word + 1
    return issued[rank, pe]


def decode_entries(entries: Entries) -> tuple[NonZeros, IntArray]:
    """Words -> non-zeros (sorted as ``NonZeros`` is) and the word of each."""
    position = np.cumsum(entries.gap, axis=0)
    pe, word = np.nonzero(entries.weight.T)
    return NonZeros(pe, position[word, pe], entries.weight[word, pe]), word
