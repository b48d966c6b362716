"""Placement and proof where a PE owns whole rows: each of its slots sums one row of one matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from penstock.fixed import IntArray
from penstock.formats.hazards import use_distance
from penstock.formats.layout import Layout
from penstock.formats.protocol import Matrices, NonZeros

if TYPE_CHECKING:
    from penstock.formats.phase import PhaseCode

NOBODY = -1


class OwnedRows:
    """What formats share whose PEs own whole rows. Position = column * slots + slot."""

    __slots__ = ()

    def place(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, matrices: Matrices
    ) -> NonZeros:
        """See ``Format``."""
        rows, first = layouts[phase.rows], phase.first_columns()
        found = []
        for (m, matvec), (k, operand) in _pairs(phase):
            matrix = matrices[matvec, k]
            row, element = np.nonzero(matrix)
            pe, index = rows.place(row, pes)
            column = first[operand] + layouts[phase.operands[operand][0]].position_of[element]
            position = column * phase.slots + index * phase.siblings + m
            found.append((pe, position, matrix[row, element]))
        pe, position, weight = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        order = np.argsort(pe * (phase.columns * phase.slots) + position)
        return NonZeros(pe[order], position[order], weight[order])

    def matrices(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, nonzeros: NonZeros
    ) -> Matrices:
        """See ``Format``."""
        rows = layouts[phase.rows]
        column, slot = np.divmod(nonzeros.position, phase.slots)
        index, sibling = np.divmod(slot, phase.siblings)
        if (column >= phase.columns).any():
            raise ValueError(f"phase {phase.name} has an entry outside its matrix")
        row = rows.owned(nonzeros.pe, index, pes)
        number = _numbers(phase)[column, sibling]
        element = np.concatenate([layouts[name].element_at for name, _ in phase.operands])[column]
        if (row < 0).any() or (number == NOBODY).any():
            raise ValueError(f"phase {phase.name} has an entry outside its matrix")
        if (element < 0).any():
            raise ValueError(f"phase {phase.name} has an entry in an empty column")
        matrices = {}
        for n, ((_, matvec), (k, operand)) in enumerate(_pairs(phase)):
            mine = np.flatnonzero(number == n)
            matrix = np.zeros((rows.length, layouts[phase.operands[operand][0]].length), np.int64)
            matrix[row[mine], element[mine]] = nonzeros.weight[mine]
            if np.count_nonzero(matrix) != len(mine):  # weights are not zero: one covered another
                raise ValueError(f"phase {phase.name} holds a weight twice")
            matrices[matvec, k] = matrix
        return matrices

    def prove(
        self, phase: PhaseCode, nonzeros: NonZeros, word: IntArray, hazard_distance: int
    ) -> int | None:
        """See ``Format``."""
        slot = nonzeros.position % phase.slots
        distances = use_distance(nonzeros.pe, word, slot, phase.slots, phase.ways)
        if not distances.size:
            return None
        least = int(distances.min())
        if least < hazard_distance:
            raise AssertionError(f"phase {phase.name}: a slot is used twice too soon")
        return least


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
    return np.repeat(numbers, [positions for _, positions in phase.operands], axis=0)
