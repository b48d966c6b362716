"""A sparse product as the kernels of matvec.h read it: pairs in runs whose sums fit 32 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.ir.matrix import Matrix
from penstock_runtime.engines.native import program
from penstock_runtime.engines.native.program import BLOCK, Storage

LANES = 16
"""Rows of a slice."""
PERMUTED = 64
"""Activations of a block: what two registers hold."""
WORTH = 8
"""A step on a block is so many times as fast as one that gathers, at least."""
MOST = (1 << 31) - 1


@dataclass(frozen=True)
class Operand:
    """One vector of a product, and its weights.

    rows, columns, values: the non-zeros, row by row; shift: to the accumulator's binary point;
    reach: greatest magnitude of the vector's raw integers.
    """

    rows: IntArray
    columns: IntArray
    values: IntArray
    shift: int
    reach: int

    @classmethod
    def of(cls, weights: Matrix, shift: int, reach: int) -> Operand:
        """Of a matrix of the graph. What is multiplied by nothing but zero is left out."""
        kept = slice(None) if reach else slice(0, 0)
        rows, columns, values = (
            own[kept].astype(np.int64) for own in (weights.rows, weights.columns, weights.values)
        )
        return cls(rows, columns, values, shift, reach)

    @property
    def greatest(self) -> int:
        """Magnitude of the largest weight."""
        return int(np.abs(self.values).max(initial=0))


@dataclass(frozen=True)
class Entries:
    """Non-zeros of several operands that share a shift, row by row; columns: in the arena.

    cost: of each, the greatest magnitude of its product.
    """

    rows: IntArray
    columns: IntArray
    values: IntArray
    cost: IntArray
    shift: int


def is_narrow(operands: Sequence[Operand]) -> bool:
    """True if pairs of products with 16-bit vectors fit 32 bits: not if a weight is -2**15."""
    return all(operand.greatest < 1 << 15 for operand in operands)


def merged(operands: Sequence[Operand], offsets: Sequence[int]) -> list[Entries]:
    """Operands whose weights stay narrow when shifted alike become one; offsets: in the arena."""
    left = sorted(zip(operands, offsets, strict=True), key=lambda own: own[0].shift)
    found = []
    while left:
        shift = left[0][0].shift
        taken = [own for own in left if _is_narrow_by(own[0], own[0].shift - shift)]
        left = [own for own in left if not _is_narrow_by(own[0], own[0].shift - shift)]
        found.append(_joined(taken, shift))
    return found


def _is_narrow_by(operand: Operand, bits: int) -> bool:
    return bits == 0 or operand.greatest << bits < 1 << 15


def _joined(operands: Sequence[tuple[Operand, int]], shift: int) -> Entries:
    rows = np.concatenate([own.rows for own, _ in operands])
    columns = np.concatenate([own.columns + offset for own, offset in operands])
    values = np.concatenate([own.values << (own.shift - shift) for own, _ in operands])
    reach = np.concatenate([np.full(len(own.rows), own.reach) for own, _ in operands])
    order = np.argsort(rows, kind="stable") if len(operands) > 1 else slice(None)
    return Entries(
        rows[order], columns[order], values[order], np.abs(values[order]) * reach[order], shift
    )


@dataclass(frozen=True)
class Packed:
    """Arrays for C++, by the names of ``program.Matrix``."""

    arrays: dict[str, NDArray[np.generic]]

    def put(self, matrix: program.Matrix) -> None:
        """Point ``matrix`` to them; the caller keeps them."""
        for name, array in self.arrays.items():
            setattr(matrix, name, array.ctypes.data)


def pack_rows(parts: Sequence[Entries], rows: int) -> Packed:
    """For several lanes: every row's pairs, part by part, in runs."""
    pairs = [_pairs_of_rows(part, rows) for part in parts]
    row = np.concatenate([own.row for own in pairs])
    part = np.concatenate([np.full(len(own.row), k) for k, own in enumerate(pairs)])
    order = np.lexsort((part, row)) if len(parts) > 1 else np.arange(len(row))
    row, part = row[order], part[order]
    cost = np.concatenate([own.cost for own in pairs])[order]
    starts = _run_starts(row * len(parts) + part, cost)
    runs = np.flatnonzero(starts)
    shifts = np.array([own.shift for own in parts] or [0])
    return Packed(
        {
            "row_runs": _indices(np.searchsorted(row[runs], np.arange(rows + 1))),
            "run_pairs": _indices(np.append(runs, len(row))),
            "run_shifts": _indices(shifts[part[runs]]),
            "weights": _flat([own.weights for own in pairs], order, np.int16),
            "columns": _flat([own.columns for own in pairs], order, np.uint16),
        }
    )


def pack_slices(parts: Sequence[Entries], rows: int, can_permute: bool) -> Packed:
    """For a single lane: 16 rows of similar length side by side, part by part, in runs.

    Each step is on a block of ``PERMUTED`` activations if that pays and the library can do so.
    """
    lengths = np.zeros(-(-rows // LANES) * LANES, np.int64)
    for part in parts:
        lengths[:rows] += np.bincount(part.rows, minlength=rows)
    order = _by_length(lengths)  # position -> row
    whole = _Slices.of(parts, order, None)
    if can_permute:
        blocks = _Slices.of(parts, order, PERMUTED)
        if len(blocks.cost) <= WORTH * len(whole.cost):
            return _packed_slices(blocks, order, parts, True)
    return _packed_slices(whole, order, parts, False)


def _packed_slices(
    steps: _Slices, order: IntArray, parts: Sequence[Entries], is_permuted: bool
) -> Packed:
    key = steps.slice * len(parts) + steps.part
    is_first = _run_starts(key, steps.cost)
    runs = np.flatnonzero(is_first)
    shifts = np.array([own.shift for own in parts] or [0])
    slices = np.arange(len(order) // LANES + 1)
    arrays = {
        "slice_runs": _indices(np.searchsorted(steps.slice[runs], slices)),
        "run_steps": _indices(np.append(runs, len(key))),
        "slice_shifts": _indices(shifts[steps.part[runs]]),
        "slice_rows": _indices(order % BLOCK),
        "slice_weights": _padded(steps.weights.astype(np.int16).ravel()),
    }
    if not is_permuted:
        columns = steps.columns.transpose(0, 2, 1).astype(np.uint16)
        return Packed(arrays | {"slice_columns": _padded(columns.ravel())})
    is_first[1:] |= steps.block[1:] != steps.block[:-1]
    chunks = np.flatnonzero(is_first)
    places = np.where(steps.weights != 0, steps.columns % PERMUTED, 0).astype(np.uint8)
    arrays |= {
        "run_chunks": _indices(np.searchsorted(chunks, np.append(runs, len(key)))),
        "chunk_blocks": _indices(steps.block[chunks]),
        "chunk_steps": _indices(np.append(chunks, len(key))),
        "places": _padded(places.ravel()),
    }
    return Packed(arrays)


def pack_wide(
    operands: Sequence[Operand], offsets: Sequence[int], rows: int, storage: Storage
) -> Packed:
    """Non-zeros one by one, shifted, of the arena's own type."""
    row = np.concatenate([own.rows for own in operands])
    order = np.argsort(row, kind="stable")
    columns = np.concatenate(
        [own.columns + offset for own, offset in zip(operands, offsets, strict=True)]
    )
    values = np.concatenate([own.values << own.shift for own in operands])
    return Packed(
        {
            "row_entries": np.searchsorted(row[order], np.arange(rows + 1)).astype(np.int64),
            "wide_columns": _padded(columns[order].astype(np.uint32)),
            "wide_weights": _padded(values[order].astype(storage.dtype)),
        }
    )


@dataclass(frozen=True)
class _Pairs:
    """weights, columns: (pairs, 2); cost: greatest magnitude of a pair's sum."""

    row: IntArray
    weights: IntArray
    columns: IntArray
    cost: IntArray


def _pairs_of_rows(part: Entries, rows: int) -> _Pairs:
    counts = np.bincount(part.rows, minlength=rows)
    pairs = -(-counts // 2)
    first_pair, first = np.cumsum(pairs) - pairs, np.cumsum(counts) - counts
    at = 2 * first_pair[part.rows] + np.arange(len(part.rows)) - first[part.rows]
    weights, columns, cost = (np.zeros(2 * int(pairs.sum()), np.int64) for _ in range(3))
    weights[at], columns[at], cost[at] = part.values, part.columns, part.cost
    return _Pairs(
        np.repeat(np.arange(rows), pairs),
        weights.reshape(-1, 2), columns.reshape(-1, 2), cost.reshape(-1, 2).sum(axis=1),
    )  # fmt: skip


@dataclass(frozen=True)
class _Slices:
    """Of each step: its slice, part and block, and 16 pairs; weights, columns: (steps, 16, 2)."""

    slice: IntArray
    part: IntArray
    block: IntArray
    weights: IntArray
    columns: IntArray
    cost: IntArray

    @classmethod
    def of(cls, parts: Sequence[Entries], order: IntArray, block: int | None) -> _Slices:
        """order: which row stands where; block: columns of a block (default: all of them)."""
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        rows = np.concatenate([position[part.rows] for part in parts])
        columns = np.concatenate([part.columns for part in parts])
        values = np.concatenate([part.values for part in parts])
        costs = np.concatenate([part.cost for part in parts])
        owner = np.concatenate([np.full(len(part.rows), k) for k, part in enumerate(parts)])
        blocks = columns // block if block is not None else np.zeros_like(columns)
        # A cell: what one row has of one block of one part. Its pairs are steps of its slice.
        by_cell = np.lexsort((columns, rows, blocks, owner, rows // LANES))
        rows, columns, values, costs, owner, blocks = (
            own[by_cell] for own in (rows, columns, values, costs, owner, blocks)
        )
        number = _number_within(rows, owner, blocks)
        chunk = _changes(rows // LANES, owner, blocks)  # first entries of a chunk
        chunk_of = np.cumsum(chunk) - 1
        steps = np.zeros(int(chunk.sum()), np.int64)
        np.maximum.at(steps, chunk_of, number // 2 + 1)
        step = (np.cumsum(steps) - steps)[chunk_of] + number // 2
        total, where = int(steps.sum()), (step, rows % LANES, number % 2)
        weights, places, cost = (np.zeros((total, LANES, 2), np.int64) for _ in range(3))
        weights[where], places[where], cost[where] = values, columns, costs
        first = np.repeat(np.flatnonzero(chunk), steps)
        return cls(
            rows[first] // LANES, owner[first], blocks[first], weights, places,
            cost.sum(axis=2).max(axis=1, initial=0),
        )  # fmt: skip


def _changes(*keys: IntArray) -> NDArray[np.bool_]:
    """Where any of the keys differs from the one before; the first does."""
    found = np.zeros(len(keys[0]), bool)
    found[:1] = True
    for key in keys:
        found[1:] |= key[1:] != key[:-1]
    return found


def _number_within(*keys: IntArray) -> IntArray:
    """How many of the same keys stand directly before each."""
    index = np.arange(len(keys[0]))
    number: IntArray = index - np.maximum.accumulate(np.where(_changes(*keys), index, 0))
    return number


def _by_length(lengths: IntArray) -> IntArray:
    """Rows from long to short within each block of ``BLOCK`` rows."""
    block = np.arange(len(lengths)) // BLOCK
    return np.lexsort((-lengths, block))


def _run_starts(group: IntArray, cost: IntArray) -> NDArray[np.bool_]:
    """Where a run begins: with a new group, and before the costs of a run exceed 32 bits."""
    if len(group) == 0:
        return np.zeros(0, bool)
    new = np.append(True, group[1:] != group[:-1])
    before = np.cumsum(cost) - cost
    before -= np.maximum.accumulate(np.where(new, before, 0))
    room = MOST - int(cost.max())  # a run may exceed it by less than one cost
    number = before // max(room, 1)
    starts: NDArray[np.bool_] = new | np.append(True, number[1:] != number[:-1])
    return starts


def _flat(parts: Sequence[IntArray], order: IntArray, dtype: type) -> NDArray[np.generic]:
    joined = np.concatenate(parts)
    return _padded(joined[order].astype(dtype).ravel())


def _padded(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Never of length zero: C++ gets an address."""
    return np.ascontiguousarray(array) if len(array) else np.zeros(1, array.dtype)


def _indices(values: IntArray) -> NDArray[np.generic]:
    return _padded(np.asarray(values).astype(np.int32))
