"""Which patterns a pruned matrix has: what ``patterns`` makes, recognized from the non-zeros."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penstock.bounds import MAX_PES
from penstock.fixed import FloatArray, IntArray
from penstock.ir.matrix import Matrix


@dataclass(frozen=True)
class NonZeros:
    """Where a matrix is not zero. rows, columns: (count) of each non-zero."""

    shape: tuple[int, int]
    rows: IntArray
    columns: IntArray

    @classmethod
    def of(cls, weights: FloatArray | Matrix) -> NonZeros:
        """Of a matrix, dense or by its non-zeros."""
        if isinstance(weights, Matrix):
            counts = np.diff(weights.row_starts)
            rows = np.repeat(np.arange(weights.shape[0]), counts)
            return cls(weights.shape, rows, weights.columns.astype(np.int64))
        rows, columns = np.nonzero(weights)
        return cls((weights.shape[0], weights.shape[1]), rows, columns)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rows)

    @property
    def density(self) -> float:
        """Their share of the matrix."""
        return self.count / (self.shape[0] * self.shape[1])

    @cached_property
    def by_row(self) -> IntArray:
        """How many each row has."""
        return np.bincount(self.rows, minlength=self.shape[0])

    @property
    def is_row_balanced(self) -> bool:
        """True if every row has as many: then any PEs do that divide the rows."""
        return self.count > 0 and bool((self.by_row == self.by_row[0]).all())

    def by_pe(self, pes: int) -> IntArray:
        """How many each PE has, row r on PE r mod ``pes``."""
        padded = np.zeros(-(-self.shape[0] // pes) * pes, dtype=np.int64)
        padded[: self.shape[0]] = self.by_row
        loads: IntArray = padded.reshape(-1, pes).sum(axis=0)
        return loads

    def imbalance(self, pes: int) -> float:
        """The heaviest PE's load over the mean; 1 where all have the same, or nothing."""
        loads = self.by_pe(pes)
        return float(loads.max() * pes / loads.sum()) if self.count else 1.0

    @cached_property
    def pe_balanced(self) -> list[int]:
        """The numbers of PEs, from 2, for which the matrix is ``PeBalanced``."""
        rows, columns = self.shape
        most = min(rows, MAX_PES, self.count)
        return [
            pes for pes in range(2, most + 1)
            if _is_even(self.by_pe(pes), _rows_of(rows, pes) * columns)
        ]  # fmt: skip

    @cached_property
    def column_balanced(self) -> list[int]:
        """The numbers of PEs, from 2, for which it is ``ColumnBalanced``."""
        rows, columns = self.shape
        return [
            pes for pes in self.pe_balanced
            if pes * columns <= self.count and _is_even(
                np.bincount(self.rows % pes * columns + self.columns, minlength=pes * columns),
                np.repeat(_rows_of(rows, pes), columns),
            )
        ]  # fmt: skip

    @cached_property
    def bank_balanced(self) -> list[int]:
        """The sizes of banks, from 2, for which it is ``BankBalanced``, up to a whole row."""
        rows, columns = self.shape
        if not self.is_row_balanced:
            return []
        found, per_row = [], int(self.by_row[0])
        for bank in range(2, columns + 1):
            banks = columns // bank
            if columns % bank == 0 and per_row % banks == 0:
                places = self.rows * banks + self.columns // bank
                if _is_same(np.bincount(places, minlength=rows * banks)):
                    found.append(bank)
        return found


def banks_of_sum(matrices: Sequence[NonZeros]) -> list[int]:
    """The numbers of banks, powers of two from 2, for which matrices are ``BankInterleaved``.

    matrices: those whose products meet in one sum, each with the vector that it is multiplied by.
    """
    found, banks = [], 2
    rows, widest = matrices[0].shape[0], max(one.shape[1] for one in matrices)
    while banks <= widest:
        counts = np.zeros((rows, banks), dtype=np.int64)
        sizes = np.zeros(banks, dtype=np.int64)
        for one in matrices:
            places = one.rows * banks + one.columns % banks
            counts += np.bincount(places, minlength=rows * banks).reshape(rows, banks)
            sizes += np.bincount(np.arange(one.shape[1]) % banks, minlength=banks)
        if counts.any() and (counts == np.minimum(sizes, counts.max())).all():
            found.append(banks)
        banks *= 2
    return found


def common_banks(sums: Iterable[Sequence[NonZeros]]) -> list[int]:
    """The numbers of banks for which every sum is balanced; a dense one leaves them open, and if
    all are, there are none."""
    common: set[int] | None = None
    for matrices in sums:
        if any(one.density < 1 for one in matrices):
            own = set(banks_of_sum(matrices))
            common = own if common is None else common & own
    return sorted(common or ())


def _rows_of(rows: int, pes: int) -> IntArray:
    """Rows of each PE."""
    return rows // pes + (np.arange(pes) < rows % pes)


def _is_even(counts: IntArray, sizes: IntArray) -> bool:
    """Each group has as many as the others, or all that it can hold; none is empty."""
    return bool((counts == np.minimum(sizes, counts.max())).all())


def _is_same(counts: IntArray) -> bool:
    return bool((counts == counts[0]).all())
