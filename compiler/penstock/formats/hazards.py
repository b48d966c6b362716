"""Hazards: an accumulator address must not be used again before its sum has been written."""

from __future__ import annotations

import numpy as np

from penstock.fixed import IntArray


def use_distance(pe: IntArray, word: IntArray, slot: IntArray, slots: int, ways: int) -> IntArray:
    """Words between the two closest uses of each accumulator address, for every use but the first.

    pe, word, slot: (uses). The way is word mod ``ways``.
    """
    address = (pe * slots + slot) * ways + word % ways
    order = np.lexsort((word, address))
    same = address[order][1:] == address[order][:-1]
    distance: IntArray = (word[order][1:] - word[order][:-1])[same]
    return distance


def issue(
    pe: IntArray, slot: IntArray, pes: int, slots: int, ways: int, hazard_distance: int
) -> IntArray:
    """The word of each entry: in order on its PE, as early as the hazard distance allows.

    pe, slot: (entries), sorted by PE; slot -1 for an entry that uses no accumulator.
    """
    counts = np.bincount(pe, minlength=pes)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(pe)) - starts[pe]
    used = slot >= 0
    distances = use_distance(pe[used], rank[used], slot[used], slots, ways)
    if distances.size == 0 or distances.min() >= hazard_distance:
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
        free_from[every_pe[uses], wanted[uses], (word % ways)[uses]] = word[uses] + hazard_distance
        issued[index] = word
        next_word = word + 1
    return issued[rank, pe]
