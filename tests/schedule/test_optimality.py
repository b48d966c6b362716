"""The local search against the optimum, which a constraint solver proves on small cases."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.schedule.assign import balance
from penstock.schedule.search import improve, least_heaviest

cp_model = pytest.importorskip("ortools.sat.python.cp_model")
ROWS = 12


def optimum(loads, pes, capacity):
    """The least sum over the phases of the heaviest PE, with at most ``capacity`` rows on a PE."""
    model = cp_model.CpModel()
    is_on = [[model.new_bool_var("") for _ in range(pes)] for _ in range(ROWS)]
    heaviest = [model.new_int_var(0, int(own.sum()), "") for own in loads]
    for row in is_on:
        model.add_exactly_one(row)
    for pe in range(pes):
        model.add(sum(row[pe] for row in is_on) <= capacity)
        for own, top in zip(loads, heaviest, strict=True):
            model.add(sum(int(n) * row[pe] for n, row in zip(own, is_on, strict=True)) <= top)
    model.minimize(sum(heaviest))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    return int(solver.objective_value)


def random_loads(seed, phases):
    """Even loads, loads with a few heavy rows, and loads of which many are the same, in turn."""
    generator = np.random.default_rng(seed)
    shape = (phases, ROWS)
    kinds = (
        lambda: generator.integers(0, 60, shape),
        lambda: (20 * generator.pareto(1.2, shape)).astype(int),
        lambda: 7 * generator.integers(1, 5, shape),
    )
    return kinds[seed % len(kinds)]()


@pytest.mark.parametrize("phases", [1, 2])
@pytest.mark.parametrize("pes", [3, 4])
@pytest.mark.parametrize("capacity", ["least", "one more", "any"])
@pytest.mark.parametrize("seed", range(9))
def test_the_search_finds_the_optimum(phases, pes, capacity, seed):
    loads = random_loads(seed, phases)
    slots = {"least": ROWS // pes, "one more": ROWS // pes + 1, "any": ROWS}[capacity]
    found = improve(balance(loads.sum(axis=0), pes, slots), loads, pes, slots)
    heaviest = sum(np.bincount(found, weights=own, minlength=pes).max() for own in loads)
    best = optimum(loads, pes, slots)
    assert least_heaviest(loads, pes, slots).sum() <= best == heaviest
