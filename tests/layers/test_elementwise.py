"""Limits, sums and products as layers: what they become in bits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from layers.given import INPUTS, bit_true, frames, lowered, network, random_linear

from penstock.layers import Clamp, Pool, Product, Sum
from penstock.model import Place, RecurrentModel


def test_limits_are_rounded_to_the_nearest_value():
    step = lowered(network(Clamp(INPUTS)))["x"].tensor.type.step
    graph = lowered(network(Clamp(INPUTS, -1000.4 * step, 2000.6 * step)))
    (node,) = graph.of_kind("clamp")
    assert (node.op.low, node.op.high) == (-1000, 2001)


@pytest.mark.parametrize("limits", [(-1e6, 0.5), (-0.5, 1e6)])
def test_a_limit_that_the_type_does_not_reach_is_none(limits):
    model = network(Clamp(INPUTS, *limits))
    assert np.abs(bit_true(lowered(model), frames()) - model.run(frames())).max() < 0.01


def combined(layer, *widths):
    """The layer behind Linear layers of these widths."""
    generator = np.random.default_rng(0)
    places = [
        Place(f"a{k}", random_linear(generator, INPUTS, width), ("x",))
        for k, width in enumerate(widths)
    ]
    sources = tuple(place.name for place in places)
    return RecurrentModel(INPUTS, (*places, Place("y", layer, sources)), ("y",))


@pytest.mark.parametrize("kind", [Sum, Product])
def test_operands_may_be_several_values_each(kind):
    model = combined(kind(12, 2), 4, 2, 4, 2)
    assert np.abs(bit_true(lowered(model), frames()) - model.run(frames())).max() < 0.01


@pytest.mark.parametrize(
    ("widths", "message"),
    [((4, 2, 2, 4), "the operands of y are divided in different ways"),
     ((4, 4, 4), r"a1\.y belongs to two operands of y")],
)  # fmt: skip
def test_operands_that_do_not_lie_side_by_side_are_refused(widths, message):
    with pytest.raises(ValueError, match=message):
        lowered(combined(Sum(12, 2), *widths))


def test_results_come_all_at_every_step_or_all_once():
    places = (Place("a", Clamp(INPUTS), ("x",)), Place("b", Pool(INPUTS, "mean"), ("a",)))
    with pytest.raises(ValueError, match="some come at every step and some once"):
        RecurrentModel(INPUTS, places, ("a", "b"))


def test_a_value_may_be_pooled_in_two_ways_and_twice_in_one():
    places = [Place("a", random_linear(np.random.default_rng(0), INPUTS, 4), ("x",))]
    places += [Place(name, Pool(4, how), ("a",)) for name, how in
               (("last", "last"), ("mean", "mean"), ("again", "last"))]  # fmt: skip
    joined = Place("y", random_linear(np.random.default_rng(1), 12, 3), ("last", "mean", "again"))
    model = RecurrentModel(INPUTS, (*places, joined), ("y",))
    lengths = np.array([6, 2, 1, 0])
    got = bit_true(lowered(model), frames(), lengths)
    assert np.abs(got - model.run(frames(), lengths))[lengths > 0].max() < 0.01


def test_a_sequence_without_steps_has_no_result():
    for how in ("first", "last", "mean", "max"):
        y = network(Pool(INPUTS, how)).run(frames(), np.array([6, 0, 1, 0]))
        assert not y[[1, 3]].any() and y[[0, 2]].any()


def test_the_greatest_is_that_of_the_steps_that_a_sequence_has():
    x, lengths = -np.abs(frames()), np.array([6, 3, 1, 4])
    y = network(Pool(INPUTS, "max")).run(x, lengths)[:, 0]
    expected = [one[:count].max(axis=0) for one, count in zip(x, lengths, strict=True)]
    assert (y == np.array(expected)).all()
