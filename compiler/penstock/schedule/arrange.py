"""Where rows go, and which of them all PEs share: what takes the fewest cycles, as estimated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penstock.bounds import MAX_LENGTH
from penstock.fixed import IntArray
from penstock.formats.gap import WIDEST_GAP
from penstock.schedule.assign import balance, interleave
from penstock.schedule.search import improve, least_heaviest
from penstock.settings import Hardware

SHARED_ROW_CYCLES = 2
"""Of every shared row: its parts are read, and the sum is put back."""
SHARING_CYCLES = 7
"""Of a phase with shared rows, beside one for each level of an adder tree over all PEs."""
WORTH_A_TREE = 0.01
"""An adder over all PEs must save this share of the cycles."""
TRIALS = 12
"""Ways to share a phase's rows that are tried, the most promising first."""

FEW = frozenset(quarters * 2**k // 4 for k in range(20) for quarters in (4, 5, 6, 7))
"""Numbers of shared rows that are enough for an estimate."""


@dataclass(frozen=True)
class Rows:
    """Rows that have one order, and the phases that use it.

    loads: (phases, rows) non-zeros in every phase with products. siblings, columns: of these.
    units: element-wise units that go through the order in a step. is_fixed: the order is the
    caller's.
    """

    loads: IntArray
    siblings: tuple[int, ...]
    columns: tuple[int, ...]
    units: int
    is_fixed: bool

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.loads.shape[1])


@dataclass(frozen=True)
class Arrangement:
    """One choice for some rows. pe_of_row: (rows); shared: the shared rows of each phase."""

    rows: Rows
    hardware: Hardware
    pe_of_row: IntArray
    shared: tuple[tuple[int, ...], ...]

    @cached_property
    def heaviest(self) -> IntArray:
        """Non-zeros of the heaviest PE, when those of shared rows have filled up the others."""
        own = _without(self.rows.loads, self.shared)
        pes = self.hardware.pes
        found = [np.bincount(self.pe_of_row, weights=load, minlength=pes).max() for load in own]
        return np.maximum(np.array(found, dtype=np.int64), bound(self.rows.loads, pes))

    @cached_property
    def cycles(self) -> float:
        """Of the phases and their units, as far as they depend on the choice."""
        capacity = int(np.bincount(self.pe_of_row).max())
        return estimate(self.rows, self.hardware, capacity, self.shared, self.heaviest)


@dataclass(frozen=True)
class Goal:
    """What an arrangement can come to at best, before any row is placed. capacity: rows of a PE."""

    rows: Rows
    hardware: Hardware
    capacity: int
    shared: tuple[tuple[int, ...], ...]

    @cached_property
    def heaviest(self) -> IntArray:
        """Non-zeros of the heaviest PE of each phase; no more can be told where rows may move."""
        loads, pes = _without(self.rows.loads, self.shared), self.hardware.pes
        if self.rows.is_fixed:
            return Arrangement(
                self.rows, self.hardware, interleave(self.rows.count, pes), self.shared
            ).heaviest
        return np.maximum(
            least_heaviest(loads, pes, self.capacity), bound(self.rows.loads, pes)
        )  # fmt: skip

    @cached_property
    def cycles(self) -> float:
        """As of an arrangement."""
        return estimate(self.rows, self.hardware, self.capacity, self.shared, self.heaviest)


def expected(rows: Rows, hardware: Hardware, share: bool) -> Goal:
    """What ``arrange`` can be expected to find, with no row beyond an even share on any PE."""
    plain = Goal(rows, hardware, -(-rows.count // hardware.pes), ((),) * len(rows.loads))
    best = plain
    for phase in range(len(rows.loads) if may_share(hardware, share) else 0):
        found = _promising(best, phase, few=True)
        even = [goal for goal in found if goal.capacity == plain.capacity]
        best = min([best, *even], key=lambda goal: goal.cycles)
    return best if best.cycles < (1 - WORTH_A_TREE) * plain.cycles else plain


def may_share(hardware: Hardware, share: bool) -> bool:
    """True unless all of the arrangement was asked for by name."""
    return share and hardware.assign not in ("interleave", "balance")


def arrange(rows: Rows, hardware: Hardware, share: bool) -> Arrangement:
    """The arrangement that ``hardware.assign`` asks for, see ``settings.Hardware``.

    share: rows may be shared, unless all of the arrangement was asked for by name.
    """
    plain = _plain(rows, hardware)
    if not may_share(hardware, share):
        return plain
    best = plain
    for phase in range(len(rows.loads)):
        best = _share(best, phase)
    return best if best.cycles < (1 - WORTH_A_TREE) * plain.cycles else plain


def bound(loads: IntArray, pes: int) -> IntArray:
    """(phases) words that no schedule on these PEs can do without."""
    found: IntArray = -(-loads.sum(axis=1) // pes)
    return found


def estimate(
    rows: Rows, hardware: Hardware, capacity: int, shared: tuple[tuple[int, ...], ...],
    heaviest: IntArray,
) -> float:  # fmt: skip
    """Cycles of the phases with so many non-zeros on the heaviest PE, and of their units."""
    widest = (1 << (hardware.index_bits or WIDEST_GAP)) - 1
    cycles = rows.units * capacity * hardware.pes / hardware.cell_units
    for siblings, columns, own, words in zip(
        rows.siblings, rows.columns, shared, heaviest.tolist(), strict=True
    ):
        slots = (capacity + len(own)) * siblings
        cycles += with_padding(words, columns * slots, widest)
        if own:
            levels = (hardware.pes - 1).bit_length()
            cycles += len(own) * SHARED_ROW_CYCLES + levels + SHARING_CYCLES
    return float(cycles)


def with_padding(nonzeros: int, places: int, widest: int) -> float:
    """Words for so many non-zeros in so many places, with gaps up to ``widest``.

    Gaps are taken to be distributed as if non-zeros were drawn at random: a fraction is padding.
    """
    gap = max(places / max(nonzeros, 1), 1.0)
    return nonzeros * float(1 + 1 / np.expm1(min(widest / gap, 50.0)))


def _plain(rows: Rows, hardware: Hardware) -> Arrangement:
    """Without shared rows."""
    nobody = ((),) * len(rows.loads)
    pes, how = hardware.pes, hardware.assign

    def found(pe_of_row: IntArray) -> Arrangement:
        return Arrangement(rows, hardware, pe_of_row, nobody)

    interleaved = found(interleave(rows.count, pes))
    if rows.is_fixed or how == "interleave":
        return interleaved
    least = -(-rows.count // pes)
    balanced = found(balance(rows.loads.sum(axis=0), pes, least))
    if how == "balance":
        return balanced
    best = balanced if how == "search" else min(interleaved, balanced, key=lambda a: a.cycles)
    for capacity in (least, least + 1):
        if Goal(rows, hardware, capacity, nobody).cycles < best.cycles:
            best = min(best, _searched(rows, hardware, capacity, nobody), key=lambda a: a.cycles)
    return best


def _searched(
    rows: Rows, hardware: Hardware, capacity: int, shared: tuple[tuple[int, ...], ...]
) -> Arrangement:
    loads, pes = _without(rows.loads, shared), hardware.pes
    if rows.is_fixed:
        return Arrangement(rows, hardware, interleave(rows.count, pes), shared)
    first = balance(loads.sum(axis=0), pes, capacity)
    return Arrangement(rows, hardware, improve(first, loads, pes, capacity), shared)


def _share(best: Arrangement, phase: int) -> Arrangement:
    """The best with any of the phase's heaviest rows shared, if that is better."""
    rows, hardware = best.rows, best.hardware
    for goal in sorted(_promising(best, phase), key=lambda goal: goal.cycles)[:TRIALS]:
        if goal.cycles >= best.cycles:
            break
        found = _searched(rows, hardware, goal.capacity, goal.shared)
        best = min(best, found, key=lambda a: a.cycles)
    return best


def _promising(best: Arrangement | Goal, phase: int, few: bool = False) -> Iterator[Goal]:
    """What can be better than ``best`` with the heaviest rows of a phase shared: any number of
    them, or a few numbers."""
    rows, hardware = best.rows, best.hardware
    least = -(-rows.count // hardware.pes)
    heaviest_first = np.argsort(-rows.loads[phase], kind="stable")
    excess = best.heaviest[phase] - bound(rows.loads, hardware.pes)[phase]
    most = min(
        int(excess) // SHARED_ROW_CYCLES,
        int(np.count_nonzero(rows.loads[phase])),
        MAX_LENGTH // hardware.pes - least - 1,
    )
    counts = range(1, most + 1)
    for count in (one for one in counts if not few or one in FEW):
        own = tuple(sorted(heaviest_first[:count].tolist()))
        shared = (*best.shared[:phase], own, *best.shared[phase + 1 :])
        for capacity in (least,) if rows.is_fixed else (least, least + 1):
            goal = Goal(rows, hardware, capacity, shared)
            if goal.cycles < best.cycles:
                yield goal


def _without(loads: IntArray, shared: tuple[tuple[int, ...], ...]) -> IntArray:
    """The loads that are bound to a PE."""
    found = loads.copy()
    for own, rows in zip(found, shared, strict=True):
        own[list(rows)] = 0
    return found
