"""Matrices as their non-zeros, held against the dense arrays that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.fixed import Fixed
from penstock.ir import matrix as module
from penstock.ir.matrix import Matrix, blocks, narrowest
from penstock.ops import Const
from penstock.sorting import stable_order


def dense(rows=37, columns=53, density=0.2, greatest=2000, seed=0):
    generator = np.random.default_rng(seed)
    values = generator.integers(-greatest, greatest, (rows, columns), endpoint=True)
    return values * (generator.random((rows, columns)) < density)


DENSE = {
    "sparse": dense(), "full": np.full((4, 3), 7), "negative": np.full((2, 2), -128),
    "empty": np.zeros((3, 5), dtype=np.int64), "one row": dense(1, 9), "one column": dense(9, 1),
    "one sign": 5 * np.eye(3, dtype=np.int64), "other sign": -5 * np.eye(3, dtype=np.int64),
    "empty rows": dense() * (np.arange(37) % 3 == 1)[:, None], "wide": dense(greatest=2**59),
}  # fmt: skip


@pytest.fixture(params=DENSE, ids=lambda name: name.replace(" ", "-"))
def array(request):
    return DENSE[request.param]


def test_a_matrix_is_the_array_that_it_was_made_of(array, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)
    made = Matrix.of(array)
    assert np.asarray(made).dtype == np.int64 and np.array_equal(made, array)
    assert (made.shape, made.size, made.ndim) == (array.shape, array.size, 2)
    assert (made.count, made.min(), made.max()) == (
        np.count_nonzero(array), array.min(), array.max(),
    )  # fmt: skip
    assert made.row_counts.tolist() == np.count_nonzero(array, axis=1).tolist()
    rows, columns = np.nonzero(array)
    assert made.rows.tolist() == rows.tolist() and made.columns.tolist() == columns.tolist()
    assert made.values.tolist() == array[rows, columns].tolist()


def test_non_zeros_come_in_any_order(array):
    rows, columns = np.nonzero(array)
    order = np.random.default_rng(1).permutation(len(rows))
    places = (rows * array.shape[1] + columns)[order]
    made = Matrix.of_places(array.shape, places, array[rows, columns][order])
    assert made.equals(Matrix.of(array)) and np.array_equal(made, array)


@pytest.mark.parametrize("places,values,reason", [
    ([4, 1, 4], [1, 2, 3], "an element of the matrix is there twice"),
    ([4, 1, 5], [1, 0, 3], "one of the non-zeros is zero"),
])  # fmt: skip
def test_what_is_no_matrix_is_refused(places, values, reason):
    with pytest.raises(ValueError, match=reason):
        Matrix.of_places((2, 3), np.array(places), np.array(values))


def test_matrices_differ_in_shape_places_or_values():
    one = Matrix.of(np.array([[0, 1], [2, 0]]))
    for other in ([[0, 1], [3, 0]], [[1, 0], [2, 0]], [[0, 1], [0, 2]], [[0, 1, 0], [2, 0, 0]]):
        assert not one.equals(Matrix.of(np.array(other)))
    assert one.equals(Matrix.of(np.array([[0, 1], [2, 0]], dtype=np.int8)))


@pytest.mark.parametrize("lanes", [1, 4, 5, 20])
@pytest.mark.parametrize("kept_dense", [0, 1 << 21])
def test_a_product_is_that_of_the_dense_matrix_whichever_way_it_takes(
    array, lanes, kept_dense, monkeypatch
):
    monkeypatch.setattr(module, "KEPT_DENSE", kept_dense)
    monkeypatch.setattr(module, "BLOCK", 200)
    array = np.clip(array, -(2**20), 2**20)
    x = np.random.default_rng(2).integers(-(2**15), 2**15, (lanes, array.shape[1]))
    y = Matrix.of(array).times(x.astype(np.float64))
    assert (y == x @ array.T).all()


def test_sums_of_rows_are_those_of_either_sign(array):
    array = np.clip(array, -(2**20), 2**20)
    positive, negative = Matrix.of(array).row_sums
    assert (positive == np.maximum(array, 0).sum(axis=1)).all()
    assert (negative == np.minimum(array, 0).sum(axis=1)).all()


def test_what_is_rounded_to_zero_is_no_non_zero():
    kind = Fixed(4, 0)
    made = Matrix.of(np.array([[0.4, 2.0], [0.0, -3.0]]), lambda reals, rows: kind.quantize(reals))
    assert np.asarray(made).tolist() == [[0, 2], [0, -3]] and made.count == 2


def test_a_matrix_never_changes():
    made = Matrix.of(dense())
    for part in (made.row_starts, made.columns, made.values):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 1


def test_a_constant_matrix_is_kept_as_its_non_zeros_and_a_vector_is_not():
    assert isinstance(Const(Fixed(8, 0), np.eye(3, dtype=np.int64)).raw, Matrix)
    assert isinstance(Const(Fixed(8, 0), np.ones(3, dtype=np.int64)).raw, np.ndarray)


def test_a_million_dense_weights_at_a_tenth_take_less_than_half_a_megabyte():
    made = Matrix.of(dense(1000, 1000, 0.1))
    assert sum(part.nbytes for part in (made.row_starts, made.columns, made.values)) < 500_000


@pytest.mark.parametrize("shape", [(1, 1), (100, 7), (5, 1000), (33, 16)])
def test_blocks_share_out_all_rows(shape, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 300)
    rows = np.concatenate([np.arange(shape[0])[part] for part in blocks(shape)])
    assert rows.tolist() == list(range(shape[0]))


@pytest.mark.parametrize("bits", [0, 1, 15, 16, 17, 33, 62])
def test_integers_are_sorted_as_numpy_sorts_them_and_equal_ones_stay_in_order(bits):
    keys = np.random.default_rng(bits).integers(0, 1 << bits, 500)
    keys = np.concatenate([keys, keys[::3]])
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()
    assert stable_order(keys[:0]).tolist() == []


def test_integers_take_no_more_bytes_than_they_need():
    assert [narrowest(np.array([value])).dtype.itemsize for value in (127, 128, -129, 2**40)] == [
        1, 2, 2, 8,
    ]  # fmt: skip
