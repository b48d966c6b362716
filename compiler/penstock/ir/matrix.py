"""A constant weight matrix as its non-zeros: pruned matrices are never kept dense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray, IntArray
from penstock.sorting import stable_order

BLOCK = 1 << 18
"""Elements of a matrix that are dense at a time: 2 MB in float64, which stay in the cache."""
ROWS = 16
"""Matrix products are at their best for multiples of these."""
KEPT_DENSE = 1 << 21
"""A matrix of no more elements is kept in float64, once it has been multiplied by."""
FEW = 4
"""For so few vectors, a large matrix is sooner read as its non-zeros."""


def narrowest(raw: NDArray[Any]) -> NDArray[Any]:
    """The same integers in the smallest signed NumPy type that holds them."""
    for width in (np.int8, np.int16, np.int32):
        if raw.size == 0 or (raw.min() >= np.iinfo(width).min and raw.max() <= np.iinfo(width).max):
            return raw.astype(width)
    return raw


def blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """The rows of a matrix, so many at a time that they have at most ``BLOCK`` elements."""
    step = max(BLOCK // shape[1], 1)
    step -= step % ROWS if step > ROWS else 0
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


@dataclass(frozen=True, eq=False)
class Matrix:
    """Raw integers (rows, columns) that never change, row after row.

    values: (count) the non-zeros; columns: (count) where in its row each stands, ascending;
    both of the narrowest type, so widen them before you compute. row_starts: (rows + 1) where in
    these each row begins, and the end. What takes a dense array can have one: ``np.asarray``.
    """

    shape: tuple[int, int]
    row_starts: IntArray
    columns: NDArray[Any]
    values: NDArray[Any]

    def __post_init__(self) -> None:
        for array in (self.row_starts, self.columns, self.values):
            array.flags.writeable = False

    @classmethod
    def of_rows(
        cls, shape: tuple[int, int], counts: NDArray[Any], columns: NDArray[Any],
        values: NDArray[Any],
    ) -> Matrix:  # fmt: skip
        """Of the number of each row's non-zeros, and their columns and values in order."""
        starts = np.zeros(shape[0] + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        kind = np.uint16 if shape[1] <= 1 << 16 else np.uint32
        return cls(shape, starts, columns.astype(kind), narrowest(values))

    @classmethod
    def of(
        cls, dense: NDArray[Any],
        raw_of: Callable[[NDArray[Any], IntArray], NDArray[Any]] = lambda values, rows: values,
    ) -> Matrix:  # fmt: skip
        """Of an array (rows, columns).

        raw_of: (values, rows) of elements that are not zero -> their raw integers. Zero is zero.
        """
        counts, columns, values = [], [], []
        for part in blocks(dense.shape):
            own = dense[part]
            rows, places = np.nonzero(own != 0)
            raw = raw_of(own[rows, places], rows + part.start)
            kept = raw != 0
            if not kept.all():
                rows, places, raw = rows[kept], places[kept], raw[kept]
            counts.append(np.bincount(rows, minlength=len(own)))
            columns.append(places.astype(np.uint32))
            values.append(narrowest(raw))
        joined = (np.concatenate(parts) for parts in (counts, columns, values))
        return cls.of_rows(dense.shape, *joined)

    @classmethod
    def of_places(cls, shape: tuple[int, int], places: IntArray, values: NDArray[Any]) -> Matrix:
        """Of non-zeros in any order; places: row * columns + column.

        Raises ValueError for two in one place, and for a zero.
        """
        if not values.all():
            raise ValueError("one of the non-zeros is zero")
        order = stable_order(places)
        places = places[order]
        if (places[1:] == places[:-1]).any():
            raise ValueError("an element of the matrix is there twice")
        rows = places // shape[1]
        counts = np.bincount(rows, minlength=shape[0])
        return cls.of_rows(shape, counts, places - rows * shape[1], values[order])

    @property
    def ndim(self) -> int:
        """As of an array."""
        return 2

    @property
    def size(self) -> int:
        """Elements, zero or not."""
        return self.shape[0] * self.shape[1]

    @property
    def count(self) -> int:
        """Elements that are not zero."""
        return len(self.values)

    @property
    def row_counts(self) -> IntArray:
        """(rows) non-zeros of each row."""
        return np.diff(self.row_starts)

    @property
    def rows(self) -> IntArray:
        """(count) the row of each non-zero."""
        return np.repeat(np.arange(self.shape[0]), self.row_counts)

    def min(self) -> int:
        """The least element."""
        least = int(self.values.min()) if self.count else 0
        return min(least, 0) if self.count < self.size else least

    def max(self) -> int:
        """The greatest element."""
        greatest = int(self.values.max()) if self.count else 0
        return max(greatest, 0) if self.count < self.size else greatest

    def equals(self, other: Matrix) -> bool:
        """True if all elements are the same."""
        return self.shape == other.shape and all(
            np.array_equal(mine, its)
            for mine, its in (
                (self.row_starts, other.row_starts), (self.columns, other.columns),
                (self.values, other.values),
            )
        )  # fmt: skip

    @cached_property
    def row_sums(self) -> tuple[FloatArray, FloatArray]:
        """Of each row, the sum of what is positive and that of what is negative."""
        return (
            self._sums(np.maximum(self.values, 0).astype(np.float64)),
            self._sums(np.minimum(self.values, 0).astype(np.float64)),
        )

    def _sums(self, terms: FloatArray) -> FloatArray:
        """Sums over each row; terms: (..., count)."""
        sums = np.zeros((*terms.shape[:-1], self.shape[0]))
        filled = np.flatnonzero(self.row_counts)  # reduceat has no empty sums
        if len(filled):
            sums[..., filled] = np.add.reduceat(terms, self.row_starts[filled], axis=-1)
        return sums

    def times(self, x: FloatArray) -> FloatArray:
        """W x for every row x of an array: (lanes, columns) -> (lanes, rows).

        It is ``x @ dense.T``. Exact, and so the same in any order, where all sums of products stay
        below 2**53; only the cheapest way to it depends on the sizes.
        """
        if self.size <= KEPT_DENSE:
            return x @ self._dense.T
        y = np.empty((len(x), self.shape[0]))
        if len(x) <= FEW:
            for lane, own in enumerate(x):
                y[lane] = self._sums(own[self.columns] * self.values)
            return y
        for rows in blocks(self.shape):
            y[:, rows] = x @ self.dense(rows).T
        return y

    @cached_property
    def _dense(self) -> FloatArray:
        return self.dense(slice(0, self.shape[0]))

    def dense(self, rows: slice) -> FloatArray:
        """Some rows in float64, zeros and all."""
        own = slice(self.row_starts[rows.start], self.row_starts[rows.stop])
        found = np.zeros((rows.stop - rows.start, self.shape[1]))
        local = np.repeat(np.arange(len(found)), self.row_counts[rows])
        found[local, self.columns[own]] = self.values[own]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = np.zeros(self.shape, dtype=np.int64)
        found[self.rows, self.columns] = self.values
        return found if dtype is None else found.astype(dtype)
