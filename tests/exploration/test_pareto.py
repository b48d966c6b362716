"""The front is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.exploration.pareto import front


def by_definition(costs, kinds):
    def dominates(a, b):
        is_better = all(p <= q for p, q in zip(costs[a], costs[b], strict=True))
        is_equal = tuple(costs[a]) == tuple(costs[b])
        return kinds[a] == kinds[b] and is_better and (not is_equal or a < b)

    every = range(len(costs))
    return [b for b in every if not any(dominates(a, b) for a in every if a != b)]


@pytest.mark.parametrize("seed", range(20))
def test_the_front_of_random_points(seed):
    generator = np.random.default_rng(seed)
    costs = generator.integers(0, 6, (60, 1 + seed % 5)).astype(float)
    kinds = [str(kind) for kind in generator.integers(0, 1 + seed % 3, 60)]
    costs = costs.tolist()
    assert front(costs, kinds) == by_definition(costs, kinds)


def test_no_point_has_no_front():
    assert front([], []) == []


def test_of_equal_points_the_first_stays():
    assert front([(1.0, 2.0), (1.0, 2.0), (2.0, 2.0), (2.0, 1.0)], [""] * 4) == [0, 3]
