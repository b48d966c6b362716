"""Placement and proof where a PE owns whole rows, or has a part of rows that all PEs share.

Each slot of a PE sums one row of one matrix, or its part of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.formats.hazards import least_distance, shares
from penstock.formats.layout import Layout, position_on
from penstock.formats.protocol import Entries, Matrices, NonZeros
from penstock.formats.sharing import deal, shares_of
from penstock.ir.matrix import Matrix
from penstock.sorting import stable_order

if TYPE_CHECKING:
    from penstock.formats.phase import PhaseCode

NOBODY = -1
CHAIN_DISTANCE = 2
"""Words between the one beside which an element is written and the first that gathers it. A word
gathers some stages behind those in which packets are read and written: there is room to spare."""
PIECE = 1 << 18
"""Non-zeros that are looked up at a time: what is found of them stays in the cache."""


class OwnedRows:
    """What formats share whose slots are rows, see ``PhaseCode``. Position = column * slots + slot.

    Non-zeros of shared rows go where the load is least, row after row, each row's in turn to the
    PEs: so what a PE gets of a row lies far apart.
    """

    __slots__ = ()

    def owners(self, phase: PhaseCode, pes: int) -> int:
        """See ``Format``: every PE owns an element of each slot."""
        return pes

    def place(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, matrices: Matrices
    ) -> NonZeros:
        """See ``Format``."""
        rows, first = layouts[phase.rows], phase.first_columns()
        pe, index = rows.place(np.arange(rows.length), pes)
        pe[list(phase.shared)] = pes  # behind all others, until they are dealt
        index[list(phase.shared)] = phase.rows_per_pe + np.arange(len(phase.shared))
        span = phase.columns * phase.slots  # positions of a PE
        found = []
        for (m, matvec), (k, operand) in _pairs(phase):
            matrix = matrices[matvec, k]
            of_row = pe * span + index * phase.siblings + m
            column = first[operand] + layouts[phase.operands[operand][0]].position_of
            of_column = column * phase.slots
            place = np.repeat(of_row, matrix.row_counts) + of_column[matrix.columns]
            found.append((place, matrix.values))
        place, weight = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        del found
        if phase.shared:
            _deal_shared(place, phase, pes)
        order = stable_order(place)
        place, weight = place[order], weight[order]
        pe = place // span
        place -= pe * span
        return NonZeros(pe.astype(np.int32), place, weight)

    def matrices(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, nonzeros: NonZeros
    ) -> Matrices:
        """See ``Format``."""
        pairs, rows = _pairs(phase), layouts[phase.rows].length
        widths = [layouts[phase.operands[operand][0]].length for _, (_, operand) in pairs]
        found: list[list[tuple[IntArray, NDArray[Any]]]] = [[] for _ in pairs]
        for start in range(0, max(len(nonzeros.pe), 1), PIECE):
            piece = nonzeros[start : start + PIECE]
            number, row, element = _elements(phase, layouts, pes, piece)
            for n, width in enumerate(widths):
                mine = np.flatnonzero(number == n)
                found[n].append((row[mine] * width + element[mine], piece.weight[mine]))
        matrices = {}
        for n, ((_, matvec), (k, _)) in enumerate(pairs):
            places, weights = (np.concatenate(parts) for parts in zip(*found[n], strict=True))
            found[n].clear()
            try:
                matrices[matvec, k] = Matrix.of_places((rows, widths[n]), places, weights)
            except ValueError as error:
                raise ValueError(f"phase {phase.name} holds a weight twice") from error
        return matrices

    def prove_entries(self, phase: PhaseCode, entries: Entries) -> None:
        """See ``Format``. PEs in lock step take whatever comes."""

    def prove(
        self, phase: PhaseCode, nonzeros: NonZeros, word: IntArray, hazard_distance: int
    ) -> int | None:
        """See ``Format``."""
        if (word < released(phase, nonzeros.position)).any():
            raise AssertionError(f"phase {phase.name}: a word gathers what is not written yet")
        uses = ((word[own], nonzeros.position[own] % phase.slots) for own in shares(nonzeros.pe))
        least = least_distance(uses, phase.ways)
        if least is not None and least < hazard_distance:
            raise AssertionError(f"phase {phase.name}: a slot is used twice too soon")
        return least


def released(phase: PhaseCode, position: IntArray) -> IntArray:
    """The first word that may gather what stands at each position, see ``PhaseCode.starts``."""
    if not phase.starts:
        return np.zeros(len(position), dtype=np.int64)
    operand, after = _behind_start(phase, position)
    found: IntArray = np.array(phase.starts)[operand] + after
    return found


def latest_starts(phase: PhaseCode, nonzeros: NonZeros, word: IntArray) -> tuple[int, ...]:
    """Of each operand the latest start that costs no word, but none later than those behind it.

    Where entries that wait come to use other ways, a hazard may cost one after all.
    nonzeros, word: of the phase without ``starts``, as they are decoded. A PE that is done before
    the others may wait.
    """
    starts = np.full(len(phase.operands), phase.words)
    for own in shares(nonzeros.pe):
        operand, after = _behind_start(phase, nonzeros.position[own])
        slack = phase.words - 1 - word[own][-1]
        np.minimum.at(starts, operand, word[own] + slack - after)
    return tuple(np.minimum.accumulate(starts[::-1])[::-1].tolist())


def _behind_start(phase: PhaseCode, position: IntArray) -> tuple[IntArray, IntArray]:
    """The operand at each position, and how many words behind its start it can be gathered."""
    column, first = position // phase.slots, np.array(phase.first_columns())
    operand = np.searchsorted(first, column, side="right") - 1
    return operand, CHAIN_DISTANCE + (column - first[operand]) // phase.packet


def _deal_shared(place: IntArray, phase: PhaseCode, pes: int) -> None:
    """Give the places that no PE has yet a PE each, in place."""
    span = phase.columns * phase.slots
    pe = place // span
    common = np.flatnonzero(pe == pes)
    column, slot = np.divmod(place[common] - pes * span, phase.slots)
    in_turn = common[stable_order(slot * phase.columns + column)]
    shares = shares_of(np.bincount(pe, minlength=pes)[:pes], len(common))
    place[in_turn] += (deal(shares) - pes) * span


def _elements(
    phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, nonzeros: NonZeros
) -> tuple[NDArray[Any], IntArray, IntArray]:
    """Of each non-zero, the number of its matrix, see ``_pairs``, its row and its column there.

    Raises ValueError for one that lies in none.
    """
    column = nonzeros.position // phase.slots
    slot = nonzeros.position - column * phase.slots
    index, sibling = slot // phase.siblings, slot % phase.siblings
    if (column >= phase.columns).any():
        raise ValueError(f"phase {phase.name} has an entry outside its matrix")
    row = phase.row_at(layouts[phase.rows], pes)[position_on(nonzeros.pe, index, pes)]
    number = _numbers(phase)[column, sibling]
    elements = [layouts[name].element_at[:columns] for name, columns in phase.operands]
    element = np.concatenate(elements)[column]
    if (row < 0).any() or (number == NOBODY).any():
        raise ValueError(f"phase {phase.name} has an entry outside its matrix")
    if (element < 0).any():
        raise ValueError(f"phase {phase.name} has an entry in an empty column")
    return number, row, element


def _pairs(phase: PhaseCode) -> list[tuple[tuple[int, str], tuple[int, int]]]:
    """Every matrix of the phase: (number, name) of its matvec, (index, operand) of its vector."""
    known = range(len(phase.operands))
    for gathered in phase.gathers:
        if len(set(gathered)) != len(gathered) or not set(gathered) <= set(known):
            raise ValueError(f"phase {phase.name} has no such vectors: {list(gathered)}")
    return [
        ((m, matvec), (k, operand))
        for m, matvec in enumerate(phase.matvecs)
        for k, operand in enumerate(phase.gathers[m])
    ]


def _numbers(phase: PhaseCode) -> IntArray:
    """Which matrix each column belongs to, for each sibling.  -> (columns, siblings)"""
    numbers = np.full((len(phase.operands), phase.siblings), NOBODY, dtype=np.int16)
    for n, ((m, _), (_, operand)) in enumerate(_pairs(phase)):
        numbers[operand, m] = n
    return np.repeat(numbers, [columns for _, columns in phase.operands], axis=0)
