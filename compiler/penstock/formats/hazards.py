"""Hazards: an accumulator address must not be used again before its sum has been written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.sorting import stable_order


def shares(pe: NDArray[Any]) -> Iterator[slice]:
    """Where the entries of each PE stand, in ascending order; PEs without any are left out.

    What is done share by share needs no memory for a whole phase. Raises ValueError unless ``pe``
    is sorted.
    """
    steps = np.diff(pe)
    if (steps < 0).any():
        raise ValueError("the entries are not sorted by PE")
    starts = (np.flatnonzero(steps) + 1).tolist()
    for start, stop in pairwise([0, *starts, len(pe)] if len(pe) else []):
        yield slice(start, stop)


def use_distance(word: IntArray, slot: NDArray[Any], ways: int) -> IntArray:
    """Words between the two closest uses of each accumulator address, for every use but the first.

    word, slot: (uses) of one PE in the order of their words; a distance is negative if they are
    not. The way is word mod ``ways``.
    """
    address = slot.astype(np.int64) * ways + word % ways
    order = stable_order(address)
    address, word = address[order], word[order]
    distance: IntArray = (word[1:] - word[:-1])[address[1:] == address[:-1]]
    return distance


def least_distance(uses: Iterable[tuple[IntArray, NDArray[Any]]], ways: int) -> int | None:
    """The least ``use_distance`` of any PE; None if no address is used twice.

    uses: for each PE, word and slot of its entries in the order of the words; slot -1 for an entry
    that uses no accumulator.
    """
    found = []
    for word, slot in uses:
        used = np.flatnonzero(slot >= 0)
        distances = use_distance(word[used], slot[used], ways)
        if distances.size:
            found.append(int(distances.min()))
    return min(found, default=None)


def issue(
    pe: NDArray[Any], slot: NDArray[Any], pes: int, slots: int, ways: int, hazard_distance: int,
    release: IntArray | None = None,
) -> IntArray:  # fmt: skip
    """The word of each entry: in order on its PE, as early as the hazard distance allows.

    pe, slot: (entries), sorted by PE; slot -1 for an entry that uses no accumulator. release:
    (entries) the first word that each may have; None for 0.
    """
    counts = np.bincount(pe, minlength=pes)
    rank = np.arange(len(pe))
    rank -= np.repeat(np.cumsum(counts) - counts, counts)
    word = rank if release is None else _without_hazards(pe, rank, release)
    least = least_distance(((word[own], slot[own]) for own in shares(pe)), ways)
    if least is None or least >= hazard_distance:
        return word
    by_rank = np.full((2, int(counts.max()), pes), -1, dtype=np.int64)
    by_rank[0, rank, pe] = slot
    by_rank[1, rank, pe] = 0 if release is None else release
    issued = _wait(by_rank[0], by_rank[1], slots, ways, hazard_distance)
    found: IntArray = issued[rank, pe]
    return found


def expected_bubbles(density: float, slots: int, ways: int, hazard_distance: int) -> float:
    """Bubbles for each entry, on average, if non-zeros are drawn at random.

    density: of a PE's submatrix, whose columns have ``slots`` places. The entries between two uses
    of a slot, k columns apart, are taken to be distributed as Poisson has it.
    """
    found, columns = 0.0, 1
    while density > 0 and (mean := columns * (slots - 1) * density) < 4 * hazard_distance:
        again, between = density * (1 - density) ** (columns - 1), exp(-mean)
        for distance in range(1, hazard_distance):
            if distance % ways == 0:
                found += again * between * (hazard_distance - distance if ways == 1 else 1)
            between *= mean / distance
        if again < 1e-6:
            break
        columns += 1
    return found


def _without_hazards(pe: NDArray[Any], rank: IntArray, release: IntArray) -> IntArray:
    """The word of each entry where none waits for a sum."""
    word = rank.copy()
    for own in shares(pe):
        word[own] += np.maximum.accumulate(np.maximum(release[own] - rank[own], 0))
    return word


def _wait(
    by_rank: IntArray, release: IntArray, slots: int, ways: int, hazard_distance: int
) -> IntArray:
    """The word of each PE's n-th entry. by_rank, release: (n, pes).  -> (n, pes)"""
    pes = by_rank.shape[1]
    free_from = np.zeros((pes, slots, ways), dtype=np.int64)  # first word that may use the address
    every_pe = np.arange(pes)
    next_word = np.zeros(pes, dtype=np.int64)
    issued = np.zeros_like(by_rank)
    for index, wanted in enumerate(by_rank):
        word = np.maximum(next_word, release[index])
        uses = wanted >= 0
        while (early := uses & (free_from[every_pe, wanted, word % ways] > word)).any():
            word = word + early
        free_from[every_pe[uses], wanted[uses], (word % ways)[uses]] = word[uses] + hazard_distance
        issued[index] = word
        next_word = word + 1
    return issued
