"""A layer may begin at any state: what calibration saw of it fits, whatever the layer gives."""

from __future__ import annotations

import numpy as np
import pytest
from layers.given import random_gru, random_rnn
from support import random_direction

from penstock import Precision
from penstock.calibration import calibrate
from penstock.ir.evaluate import evaluate
from penstock.lowering import lower
from penstock.model import stack

LAYERS = {
    "lstm": random_direction, "lstm with projection": lambda *a: random_direction(*a, 4),
    "gru": random_gru, "rnn": random_rnn, "rnn with relu": lambda *a: random_rnn(*a, "relu"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_that_begins_beyond_what_the_layer_gives_is_held(name):
    generator = np.random.default_rng(1)
    model = stack([LAYERS[name](generator, 3, 5)])
    x = generator.normal(0, 1, (6, 4, 3))
    given = {state: generator.uniform(-3.4, 3.4, (6, n)) for state, n in model.states().items()}
    ranges = calibrate(model, x, states=given)
    graph = lower(model, ranges, Precision(weights=16, interpolate_bits=6))
    types = {state: part.read.tensor.type for state, part in graph.states().items()}
    raw = {state: types[state].quantize(values) for state, values in given.items()}
    for state, values in given.items():
        assert np.abs(types[state].to_float(raw[state]) - values).max() <= types[state].step
    found = evaluate(graph, graph["x"].tensor.type.quantize(x), np.full(6, 4), raw)
    values = graph["y"].tensor.type.to_float(found.y)
    assert np.abs(values - model.run(x, state=given)).max() < 0.01


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_a_state_that_begins_within_has_all_its_bits_behind_the_point(name):
    generator = np.random.default_rng(1)
    model = stack([LAYERS[name](generator, 3, 5)])
    x = generator.normal(0, 1, (6, 4, 3))
    for states in (None, {"l0.y": np.ones((6, 5))}):
        graph = lower(model, calibrate(model, x, states=states), Precision())
        assert graph.states()["l0.y"].read.tensor.type.frac == 15
