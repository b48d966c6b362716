"""Local search: rows change places until no exchange makes the heaviest PEs lighter."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from penstock.fixed import IntArray

WORK = 1 << 25
"""Exchanges that a search may weigh; some hundred milliseconds."""
STEP = 1 << 19
"""Exchanges that one step may weigh: they stay in the cache."""
AT_LEAST = 1 << 14
"""Exchanges that take no longer to weigh than one."""
KICKS, DISTURBED, KICKS_WORK = 96, 3, WORK >> 2
"""How often, by how many exchanges, and up to which work, what no exchange betters is disturbed."""


def least_heaviest(loads: IntArray, pes: int, capacity: int) -> IntArray:
    """A bound on the heaviest PE of each phase, whatever row goes where.  -> (phases)

    loads: (phases, rows). It is the mean, the heaviest row with the lightest that fill its PE, or
    the k lightest of (k - 1) * pes + 1 rows, of which k share a PE.
    """
    rows = loads.shape[1]
    padded = np.pad(loads, ((0, 0), (0, pes * capacity - rows)))
    ordered = -np.sort(-padded, axis=1)
    beside = ordered[:, ordered.shape[1] - capacity + 1 :].sum(axis=1)
    bounds = [-(-loads.sum(axis=1) // pes), ordered[:, 0] + beside]
    together = np.arange(2, capacity + 1)
    if len(together):
        sums = np.pad(np.cumsum(ordered, axis=1), ((0, 0), (1, 0)))
        last = (together - 1) * pes + 1
        bounds.append((sums[:, last] - sums[:, last - together]).max(axis=1))
    found: IntArray = np.max(bounds, axis=0)
    return found


def improve(pe_of_row: IntArray, loads: IntArray, pes: int, capacity: int) -> IntArray:
    """Exchange rows until the sum over the phases of the heaviest PE is as low as it gets.

    pe_of_row: (rows), at most ``capacity`` on a PE; loads: (phases, rows)  ->  (rows) PE.
    Deterministic. A free slot counts as a row without load, so a move is an exchange.
    """
    table = _Table.of(pe_of_row, loads, pes, capacity)
    goal = int(least_heaviest(loads, pes, capacity).sum())
    table.descend(goal)
    best, generator = table.copy(), np.random.default_rng(0)
    for _ in range(KICKS if pes > 1 else 0):
        if best.objective <= goal or table.work >= KICKS_WORK:
            break
        table.kick(generator)
        table.descend(goal)
        if table.objective < best.objective:
            best = table.copy()
        else:
            table.restore(best)
    return best.pe_of_row(len(pe_of_row))


@dataclass
class _Table:
    """row: (pes, capacity), those from the number of rows on are free slots. load: (phases, pes,
    capacity) of each; total: (phases, pes). work: exchanges weighed so far.
    """

    row: IntArray
    load: IntArray
    total: IntArray
    work: int = 0

    @classmethod
    def of(cls, pe_of_row: IntArray, loads: IntArray, pes: int, capacity: int) -> _Table:
        order = np.argsort(pe_of_row, kind="stable")
        counts = np.bincount(pe_of_row, minlength=pes)
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        row = np.full((pes, capacity), -1)
        row[pe_of_row[order], place] = order
        free = row < 0
        row[free] = len(order) + np.arange(int(free.sum()))
        load = np.pad(loads, ((0, 0), (0, int(free.sum()))))[:, row]
        return cls(row, load, load.sum(axis=2))

    def copy(self) -> _Table:
        return _Table(self.row.copy(), self.load.copy(), self.total.copy())

    def restore(self, other: _Table) -> None:
        for mine, its in (
            (self.row, other.row), (self.load, other.load), (self.total, other.total),
        ):  # fmt: skip
            mine[...] = its

    @property
    def objective(self) -> int:
        return int(self.total.max(axis=1).sum())

    def pe_of_row(self, rows: int) -> IntArray:
        found = np.empty(self.row.size, dtype=np.int64)
        found[self.row.reshape(-1)] = np.repeat(np.arange(len(self.row)), self.row.shape[1])
        return found[:rows]

    def descend(self, goal: int) -> None:
        """Exchange single rows, and pairs where no single one helps, as long as it helps."""
        capacity = self.row.shape[1]
        sets = [np.arange(capacity)[:, None]]
        if capacity >= 4 and capacity * (capacity - 1) // 2 <= STEP >> 12:
            sets.append(np.array(list(combinations(range(capacity), 2))))
        while self.objective > goal and self.work < WORK:
            excess = self.total.max(axis=1) - self.total.mean(axis=1)
            heaviest = [int(self.total[f].argmax()) for f in np.argsort(-excess, kind="stable")]
            if not any(self._exchange(pe, places) for places in sets for pe in heaviest):
                return

    def _exchange(self, pe: int, places: IntArray) -> bool:
        """The best exchange of as many rows as ``places`` (sets, size) has, if one helps."""
        others = self._lightest(pe, len(places))
        if not len(others):
            return False
        sums = self.load[:, :, places].sum(axis=3)
        moved = sums[:, pe, :, None, None] - sums[:, None, others]
        mine = self.total[:, pe, None, None, None] - moved
        its = self.total[:, None, others, None] + moved
        self.work += max(mine.size, AT_LEAST)
        rest = np.delete(self.total, pe, axis=1).max(axis=1)[:, None, None, None]
        heaviest = np.maximum(np.maximum(mine, its), rest).sum(axis=0)
        gain = (moved * (mine - self.total[:, None, others, None])).sum(axis=0)
        least = heaviest.min()
        found = int(np.where(heaviest == least, gain, np.iinfo(np.int64).min).argmax())
        a, q, b = np.unravel_index(found, heaviest.shape)
        if least > self.objective or (least == self.objective and gain[a, q, b] <= 0):
            return False
        self._swap(pe, places[a], int(others[q]), places[b])
        return True

    def _lightest(self, pe: int, sets: int) -> IntArray:
        """The PEs to exchange with: all, or as many of the lightest as a step may weigh."""
        order = np.argsort(self.total.sum(axis=0), kind="stable")
        found: IntArray = order[order != pe][: max(STEP // sets**2, 1)]
        return found

    def _swap(self, pe: int, mine: IntArray, other: int, its: IntArray) -> None:
        for array in (self.row, *self.load):
            array[pe, mine], array[other, its] = array[other, its].copy(), array[pe, mine].copy()
        self.total[:, [pe, other]] = self.load[:, [pe, other]].sum(axis=2)

    def kick(self, generator: np.random.Generator) -> None:
        """Exchange some rows at random."""
        pes, capacity = self.row.shape
        filled = np.argwhere(self.load.any(axis=0))
        for pe, place in filled[generator.integers(len(filled), size=DISTURBED)]:
            other, its = int(generator.integers(pes)), generator.integers(capacity, size=1)
            if other != pe:
                self._swap(int(pe), place[None], other, its)
