"""Each pattern's invariant, counted on random matrices of awkward shapes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from penstock import PenstockError
from penstock.compress import (
    PATTERNS,
    BankBalanced,
    ColumnBalanced,
    PeBalanced,
    Unstructured,
    pe_balanced_mask,
)  # fmt: skip

SHAPES = [(1, 1), (7, 5), (32, 17), (33, 9), (64, 40)]
DENSITIES = [0.03, 0.1, 0.5, 0.77, 1.0]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
densities = pytest.mark.parametrize("density", DENSITIES)


def scores(shape, seed=3):
    return np.abs(np.random.default_rng(seed).normal(size=shape))


def submatrices(mask, pes):
    return [mask[pe::pes] for pe in range(pes)]


def assert_greatest_of_each(groups):
    """Nothing that is pruned is greater than what is kept beside it."""
    for score, mask in groups:
        assert score[~mask].max(initial=0.0) <= score[mask].min(initial=np.inf)


@shapes
@densities
def test_unstructured_keeps_the_greatest_of_the_matrix(shape, density):
    score = scores(shape)
    mask = Unstructured().mask(score, density)
    assert mask.sum() == max(1, round(density * score.size))
    assert_greatest_of_each([(score, mask)])


@shapes
@densities
@pytest.mark.parametrize("pes", [1, 4, 7])
def test_pe_balanced_keeps_the_same_number_on_every_pe_that_has_so_many(shape, density, pes):
    score, pes = scores(shape), min(pes, shape[0])
    mask = PeBalanced(pes).mask(score, density)
    counts = [part.sum() for part in submatrices(mask, pes)]
    full = [part.all() for part in submatrices(mask, pes)]
    assert all(n == max(counts) or is_full for n, is_full in zip(counts, full, strict=True))
    assert min(counts) >= 1
    if not any(full):
        assert counts == [max(1, round(density * score.size / pes))] * pes
    assert abs(mask.sum() - density * score.size) <= pes / 2 or max(counts) == 1
    assert_greatest_of_each(zip(submatrices(score, pes), submatrices(mask, pes), strict=True))


@densities
@pytest.mark.parametrize(("shape", "bank"), [((7, 6), 3), ((5, 40), 10), ((1, 8), 8), ((9, 4), 1)])
def test_bank_balanced_keeps_the_same_number_of_every_bank_of_a_row(shape, bank, density):
    score = scores(shape)
    mask = BankBalanced(bank).mask(score, density)
    for row, kept in zip(score, mask, strict=True):
        banks = [slice(start, start + bank) for start in range(0, shape[1], bank)]
        assert {kept[part].sum() for part in banks} == {max(1, round(density * bank))}
        assert_greatest_of_each((row[part], kept[part]) for part in banks)


@shapes
@densities
@pytest.mark.parametrize("pes", [1, 4, 7])
def test_column_balanced_keeps_the_same_number_in_every_column_of_every_pe(shape, density, pes):
    score, pes = scores(shape), min(pes, shape[0])
    mask = ColumnBalanced(pes).mask(score, density)
    most = max(part.sum(axis=0).max() for part in submatrices(mask, pes))
    assert most >= 1
    for values, kept in zip(submatrices(score, pes), submatrices(mask, pes), strict=True):
        assert (kept.sum(axis=0) == min(most, len(kept))).all()
        assert_greatest_of_each(zip(values.T, kept.T, strict=True))
    if shape[0] % pes == 0:
        assert most == max(1, round(density * shape[0] / pes))


@pytest.mark.parametrize("pattern", [Unstructured(), PeBalanced(4), ColumnBalanced(5)], ids=repr)
@shapes
def test_density_1_keeps_every_weight(pattern, shape):
    assert pattern.mask(scores(shape), 1.0).all()


@pytest.mark.parametrize(
    "pattern", [Unstructured(), PeBalanced(5), BankBalanced(8), ColumnBalanced(5)], ids=repr
)
def test_a_mask_lies_within_that_of_any_higher_density(pattern):
    masks = [pattern.mask(scores((33, 40)), density) for density in np.linspace(0.02, 1, 99)]
    for lower, higher in pairwise(masks):
        assert not (lower & ~higher).any()


def test_among_equals_the_first_in_reading_order_stays():
    ones = np.ones((4, 4))
    assert Unstructured().mask(ones, 0.25).tolist() == [[True] * 4] + [[False] * 4] * 3
    assert PeBalanced(2).mask(ones, 0.5).tolist() == [[True] * 4] * 2 + [[False] * 4] * 2
    assert BankBalanced(2).mask(ones, 0.5).tolist() == [[True, False] * 2] * 4
    assert ColumnBalanced(2).mask(ones, 0.5).tolist() == [[True] * 4] * 2 + [[False] * 4] * 2


def test_zeros_are_pruned_first():
    weight = np.random.default_rng(0).normal(size=(8, 10))
    weight[:, ::2] = 0
    assert not pe_balanced_mask(weight, 0.5, 4)[:, ::2].any()


def test_pe_balanced_mask_goes_by_magnitude():
    weight = np.array([[-3.0, 1.0], [0.5, -2.0]])
    assert pe_balanced_mask(weight, 0.5, 2).tolist() == [[True, False], [False, True]]
    assert pe_balanced_mask(weight, 0.5, 5).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("density", [0, -0.1, 1.5, float("nan"), True, "half"])
def test_a_density_outside_0_to_1_is_refused(density):
    with pytest.raises(PenstockError) as caught:
        pe_balanced_mask(np.ones((2, 2)), density, 1)
    assert caught.value.what == f"density {density!r} is outside (0, 1]"


def test_the_names_of_patterns():
    assert list(PATTERNS) == ["unstructured", "pe_balanced", "bank_balanced", "column_balanced"]
