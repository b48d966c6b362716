"""A pattern is recognized where, and only where, the pattern's own mask is the matrix."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from penstock.compress.patterns import BankBalanced, ColumnBalanced, PeBalanced, Unstructured
from penstock.compress.recognize import NonZeros
from penstock.ir.matrix import Matrix

SHAPES = [(8, 12), (7, 6), (12, 8), (5, 4), (1, 6), (6, 1)]
DENSITIES = [0.1, 0.25, 0.5, 0.8, 1.0]


def has(pattern, matrix):
    """The definition: of these weights, the pattern would keep all."""
    return (pattern.mask(matrix.astype(float), matrix.mean()) == matrix).all()


def agree(matrix):
    """What is recognized is what the definition says, of all PEs and banks."""
    found, (rows, columns) = NonZeros.of(matrix.astype(float)), matrix.shape
    every = range(2, rows + 1)
    assert found.pe_balanced == [n for n in every if has(PeBalanced(n), matrix)]
    assert found.column_balanced == [n for n in every if has(ColumnBalanced(n), matrix)]
    banks = [n for n in range(2, columns + 1) if columns % n == 0]
    assert found.bank_balanced == [n for n in banks if has(BankBalanced(n), matrix)]
    assert found.is_row_balanced == (len({*matrix.sum(axis=1)}) == 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", DENSITIES)
def test_what_patterns_make_is_recognized(shape, density):
    rows, columns = shape
    score = np.random.default_rng(rows * columns).random(shape)
    patterns = [Unstructured(), *map(PeBalanced, range(1, rows + 1))]
    patterns += map(ColumnBalanced, range(1, rows + 1))
    patterns += [BankBalanced(n) for n in range(1, columns + 1) if columns % n == 0]
    for pattern in patterns:
        matrix = pattern.mask(score, density)
        agree(matrix)
        assert has(pattern, matrix)


def test_a_weight_more_or_less_is_another_pattern():
    generator = np.random.default_rng(3)
    matrix = PeBalanced(4).mask(generator.random((8, 12)), 0.25)
    assert 4 in NonZeros.of(matrix).pe_balanced
    for row, column in product(range(8), range(12)):
        changed = matrix.copy()
        changed[row, column] ^= True
        assert 4 not in NonZeros.of(changed).pe_balanced
        agree(changed)


def test_a_matrix_of_zeros_has_none():
    found = NonZeros.of(np.zeros((4, 6)))
    assert found.pe_balanced == found.column_balanced == found.bank_balanced == []
    assert not found.is_row_balanced and found.imbalance(2) == 1.0 and found.density == 0


def test_non_zeros_of_packed_matrices_are_those_of_dense_ones():
    dense = np.random.default_rng(5).integers(-1, 2, (9, 7))
    of_dense, of_packed = NonZeros.of(dense.astype(float)), NonZeros.of(Matrix.of(dense))
    assert of_packed.shape == of_dense.shape == (9, 7)
    for name in ("rows", "columns", "by_row"):
        assert (getattr(of_packed, name) == getattr(of_dense, name)).all()


def test_imbalance_is_the_heaviest_pe_over_the_mean():
    matrix = np.zeros((4, 4))
    matrix[0], matrix[1, 0], matrix[2, 0] = 1, 1, 1  # PEs of 2: rows 0 and 2, rows 1 and 3
    assert NonZeros.of(matrix).imbalance(2) == 5 / 3
    assert NonZeros.of(matrix).imbalance(8) == 4 * 8 / 6
