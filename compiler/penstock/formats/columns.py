"""Columns in step: how far a PE may be ahead of the slowest, and which word each entry gets so.

A column's activation goes to all PEs at once and waits in a queue of ``queue_depth`` at each. So no
PE can begin a column before every PE has begun the one ``queue_depth`` columns earlier. What a
queue would make a PE wait for at run time is known when the words are made: the words wait
instead, and an array that takes one in every cycle never has to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.formats.hazards import least_distance, shares

QUEUE_DISTANCE = 2
"""Words between the one that takes an activation out of a full queue and the first that can take
the one that was kept waiting: seen by the broadcast (1), written and there (1)."""


@dataclass(frozen=True)
class InColumns:
    """Entries sorted by PE, then by column, each column of each PE with at least one.

    pe, column, slot: (entries); slot -1 for an entry that uses no accumulator.
    """

    pe: NDArray[Any]
    column: IntArray
    slot: NDArray[Any]
    pes: int
    columns: int

    @property
    def counts(self) -> IntArray:
        """Entries of each column on each PE.  -> (columns, pes)"""
        place = self.pe.astype(np.int64) * self.columns + self.column
        found = np.bincount(place, minlength=self.pes * self.columns)
        return found.reshape(self.pes, self.columns).T


class Release:
    """The first word that may begin each column, column after column."""

    def __init__(self, queue_depth: int) -> None:
        self._depth = queue_depth
        self._word = -1
        self._latest: list[int] = []  # of each column, where the slowest PE begins it

    def next(self) -> int:
        """Of the next column: one is broadcast in a word, if no queue is full."""
        self._word += 1
        behind = len(self._latest) - self._depth
        if behind >= 0:
            self._word = max(self._word, self._latest[behind] + QUEUE_DISTANCE)
        return self._word

    def begun(self, starts: IntArray) -> None:
        """starts: (pes) the words in which the PEs begin that column."""
        self._latest.append(int(starts.max()))


def releases(starts: IntArray, queue_depth: int) -> IntArray:
    """The first word that may begin each column, if the PEs begin them so.

    starts: (columns, pes)  ->  (columns)
    """
    release, found = Release(queue_depth), []
    for own in starts:
        found.append(release.next())
        release.begun(own)
    return np.array(found, dtype=np.int64)


def issue_columns(
    entries: InColumns, queue_depth: int, slots: int, ways: int, hazard_distance: int
) -> tuple[IntArray, IntArray]:
    """Each entry as early as the queues and the hazard distance allow, in order on its PE.

    -> (entries) its word; (columns, pes) the word in which each PE begins each column.
    """
    counts = entries.counts
    starts = _without_hazards(counts, queue_depth)
    rank = _rank_in_column(entries)
    word = starts[entries.column, entries.pe] + rank
    uses = ((word[own], entries.slot[own]) for own in shares(entries.pe))
    least = least_distance(uses, ways)
    if least is None or least >= hazard_distance:
        return word, starts
    by_rank = np.full((int(counts.sum(axis=0).max()), entries.pes), -1, dtype=np.int64)
    offset = np.cumsum(counts, axis=0) - counts
    in_pe = offset[entries.column, entries.pe] + rank
    by_rank[in_pe, entries.pe] = entries.slot
    issued, starts = _wait(by_rank, counts, queue_depth, slots, ways, hazard_distance)
    found: IntArray = issued[in_pe, entries.pe]
    return found, starts


def _rank_in_column(entries: InColumns) -> IntArray:
    place = entries.pe.astype(np.int64) * entries.columns + entries.column
    first = np.flatnonzero(np.diff(place, prepend=-1))
    counts = np.diff(first, append=len(place))
    found: IntArray = np.arange(len(place)) - np.repeat(first, counts)
    return found


def _without_hazards(counts: IntArray, queue_depth: int) -> IntArray:
    starts, release = np.zeros_like(counts), Release(queue_depth)
    following = np.zeros(counts.shape[1], dtype=np.int64)  # first free word of each PE
    for column, own in enumerate(counts):
        starts[column] = np.maximum(following, release.next())
        release.begun(starts[column])
        following = starts[column] + own
    return starts


def _wait(
    by_rank: IntArray, counts: IntArray, queue_depth: int, slots: int, ways: int, distance: int
) -> tuple[IntArray, IntArray]:
    """The word of each PE's n-th entry, (n, pes), and where each PE begins each column."""
    pes = counts.shape[1]
    free_from = np.zeros((pes, slots, ways), dtype=np.int64)  # first word that may use the address
    starts, issued, release = np.zeros_like(counts), np.zeros_like(by_rank), Release(queue_depth)
    following, done = np.zeros(pes, dtype=np.int64), np.zeros(pes, dtype=np.int64)
    for column, own in enumerate(counts):
        following = np.maximum(following, release.next())
        for index in range(int(own.max())):
            pe = np.flatnonzero(own > index)
            slot, word = by_rank[done[pe] + index, pe], following[pe]
            uses = slot >= 0
            while (early := uses & (free_from[pe, slot, word % ways] > word)).any():
                word = word + early
            free_from[pe[uses], slot[uses], (word % ways)[uses]] = word[uses] + distance
            issued[done[pe] + index, pe] = word
            following[pe] = word + 1
            if index == 0:
                starts[column] = word
        release.begun(starts[column])
        done += own
    return issued, starts
