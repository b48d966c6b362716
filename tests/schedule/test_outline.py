"""The schedule by estimate against the schedule."""

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, Precision
from penstock.calibration import calibrate
from penstock.formats.hazards import expected_bubbles, issue
from penstock.lowering import lower
from penstock.machine.machine import describe
from penstock.machine.resources import estimate
from penstock.schedule import schedule
from penstock.schedule.outline import Outline
from penstock.schedule.search import least_heaviest

NETWORKS = {
    "one layer": {"inputs": 40, "cells": (96,), "density": 0.1},
    "projected": {"inputs": 40, "cells": (128,), "outputs": 64, "peephole": True, "density": 0.2},
    "two layers and a head": {"cells": (64, 48), "head": 10, "at": "step", "density": 0.15},
    "both ways": {"cells": (48,), "bidirectional": True, "head": 5, "density": 0.2},
    "dense": {"cells": (32,), "density": 1.0},
}


@pytest.fixture(scope="module", params=NETWORKS)
def graph(request):
    network = random_model(**NETWORKS[request.param], pes=4)
    return lower(network, calibrate(network, None), Precision())


@pytest.mark.parametrize("pes", [2, 5, 8, 24])
@pytest.mark.parametrize("overlap", [True, False])
def test_time_and_memories_are_near_those_of_the_schedule(graph, pes, overlap):
    hardware = Hardware(pes=pes, overlap=overlap)
    plan, outlined = schedule(graph, hardware), Outline.of(graph, hardware).schedule(hardware)
    real, near = describe(graph, plan), describe(graph, outlined)
    few = pes <= 8  # on many PEs of a small network, what waits for packets counts
    assert near.timeline.step == pytest.approx(real.timeline.step, rel=0.05 if few else 0.2)
    for name, fit in estimate(real).fits.items():
        if outlined.banks == plan.banks:
            assert estimate(near).fits[name].used == pytest.approx(fit.used, rel=0.15, abs=8)


def test_an_outline_has_the_phases_orders_and_bounds_of_the_schedule(graph):
    hardware = Hardware(pes=4)
    plan, outlined = schedule(graph, hardware), Outline.of(graph, hardware).schedule(hardware)
    for real, near in zip(plan.products, outlined.products, strict=True):
        assert (near.nodes, near.nonzeros, near.bound) == (real.nodes, real.nonzeros, real.bound)
        assert near.code.operands == real.code.operands
        assert len(near.code.starts) == len(real.code.starts)
    assert outlined.layouts.keys() == plan.layouts.keys()


@pytest.mark.parametrize("slots", [4, 16, 64])
@pytest.mark.parametrize("ways", [1, 2, 4])
@pytest.mark.parametrize("density", [0.05, 0.2])
def test_bubbles_are_about_as_many_as_random_entries_have(slots, ways, density):
    columns, hazard_distance = 20_000 // slots, 4
    places = np.flatnonzero(np.random.default_rng(1).random(columns * slots) < density)
    slot = places % slots
    word = issue(np.zeros(len(slot), dtype=np.int64), slot, 1, slots, ways, hazard_distance)
    bubbles = (int(word[-1]) + 1 - len(slot)) / len(slot)
    found = expected_bubbles(density, slots, ways, hazard_distance)
    assert found == pytest.approx(bubbles, rel=0.35, abs=0.01)


def test_words_with_bubbles_are_near_those_of_the_schedule():
    """Where banks are too few: four, for eight slots on a PE."""
    network = random_model(inputs=40, cells=(32,), density=0.3, pes=4)
    graph = lower(network, calibrate(network, None), Precision())
    hardware = Hardware(pes=16, accumulator_banks=4, overlap=False)
    plan, outlined = schedule(graph, hardware), Outline.of(graph, hardware).schedule(hardware)
    (real,), (near,) = plan.products, outlined.products
    assert real.code.words > 1.1 * real.bound
    assert near.code.words == pytest.approx(real.code.words, rel=0.12)


def test_banks_as_many_as_the_hazard_distance_have_no_bubbles():
    assert expected_bubbles(0.5, 8, 4, 4) == 0
    assert expected_bubbles(0.0, 8, 1, 4) == 0


def test_some_pe_has_as_many_rows_as_the_mean_rounded_up():
    """Five equal rows on two PEs: one has three of them."""
    assert least_heaviest(np.array([[10] * 5]), 2, 3).tolist() == [30]
    assert least_heaviest(np.array([[10] * 4]), 2, 2).tolist() == [20]
    assert least_heaviest(np.array([[9, 8, 7, 3, 2]]), 2, 3).tolist() == [15]
