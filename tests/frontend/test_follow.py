"""Following a computation on labels: every rule that moves elements, steps and sequences."""

from __future__ import annotations

import numpy as np
import pytest
from support import random_direction

from penstock.errors import PenstockError
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.compare import Ours, check_same_network, check_same_numbers
from penstock.frontend.follow.finish import finish
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.network import Source, finished
from penstock.frontend.follow.pooling import pool
from penstock.frontend.follow.recurrence import cell_step, recurrence
from penstock.frontend.follow.rules import added, clamped, joined, multiplied, stacked
from penstock.layers import Relu
from penstock.model import stack

INPUTS, LANES, STEPS = 3, 2, 5
X = np.random.default_rng(0).normal(0, 1, (LANES, STEPS, INPUTS))
WEIGHT = np.random.default_rng(1).normal(0, 1, (4, INPUTS))


@pytest.fixture
def build():
    return Builder(LANES, STEPS)


def computed(build, *results):
    """(network, what it gives of X for each of the results)."""
    model, found = finish(build, list(results), "net", True, "none")
    y = model.run(X)
    return model, [result.of(y) for result in found]


def kinds(model):
    return [place.layer.kind for place in model.places]


def lstm(inputs=INPUTS, seed=0):
    return random_direction(np.random.default_rng(seed), inputs, 4)


def run_lstm(build, x, cell, is_reverse=False):
    """One direction of a layer on x (lanes, steps, n), from zero -> its output, final states."""
    zero = Labels.constants(np.zeros((LANES, 4)))
    y, final = recurrence(
        build, x.moved(lambda part: part.swapaxes(0, 1)), lambda matrix, shift: cell,
        cell.inputs, {"y": zero, "c": zero}, is_reverse, build.next_cell,
    )  # fmt: skip
    build.next_cell += 1
    return y.moved(lambda part: part.swapaxes(0, 1)), final


def flipped(x):
    return x.moved(lambda part: np.flip(part, 1))


def reference(cell, x):
    """What a layer of this cell gives."""
    return stack([cell]).run(x)


# -- labels and Linear layers -------------------------------------------------------------------


def test_a_shift_is_scaled_with_what_it_was_added_to(build):
    x = build.frames(INPUTS, False)
    _, (y,) = computed(build, build.linear(x.shifted(1.0).scaled(3.0), WEIGHT, None, "fc"))
    assert np.abs(y - 3 * (X + 1) @ WEIGHT.T).max() < 1e-12


def test_a_shift_reaches_an_element_wise_function(build):
    x = build.frames(INPUTS, False)
    _, (y,) = computed(build, build.elementwise(x.shifted(0.5), "relu", Relu))
    assert (y == np.maximum(X + 0.5, 0)).all()


def test_a_bias_is_added_to_every_row_of_a_frame(build):
    """Two rows of two elements a frame, and two outputs: each has a bias of its own."""
    x = build.frames(4, False).moved(lambda part: part.reshape(LANES, STEPS, 2, 2))
    weight, bias = WEIGHT[:2, :2], np.array([1.0, -2.0])
    model, results = finish(build, [build.linear(x, weight, bias, "fc")], "net", True, "none")
    frames = np.random.default_rng(2).normal(0, 1, (LANES, STEPS, 4))
    expected = frames.reshape(LANES, STEPS, 2, 2) @ weight.T + bias
    assert np.abs(results[0].of(model.run(frames)) - expected).max() < 1e-12


def test_a_value_that_is_added_to_itself_counts_twice(build):
    x = build.linear(build.frames(INPUTS, False), WEIGHT, None, "fc")
    _, (y,) = computed(build, added(build, x, x))
    assert np.abs(y - 2 * X @ WEIGHT.T).max() < 1e-12


def test_a_sum_keeps_the_constant_beside_it(build):
    x = build.frames(INPUTS, False)
    y = build.elementwise(x, "relu", Relu)
    model, (found,) = computed(build, build.combination([x.shifted(0.25), y]))
    assert kinds(model) == ["relu", "head"]
    assert np.abs(found - (X + 0.25 + np.maximum(X, 0))).max() < 1e-12


def test_layers_of_one_shape_and_other_weights_are_two(build):
    x = build.frames(INPUTS, False)
    parts = [build.linear(x, sign * WEIGHT, None, "fc") for sign in (1, -2)]
    rectified = [build.elementwise(part, "relu", Relu) for part in parts]
    _, (y,) = computed(build, multiplied(build, *rectified))
    assert (y == np.maximum(X @ WEIGHT.T, 0) * np.maximum(-2 * X @ WEIGHT.T, 0)).all()


def test_a_layer_that_is_there_is_not_made_again(build):
    x = build.frames(INPUTS, False)
    first, second = (build.linear(x, WEIGHT, None, "fc") for _ in range(2))
    assert len(build.places) == 1 and (first.value == second.value).all()


def test_a_layer_that_others_read_is_not_folded_into_one_of_them(build):
    x = build.linear(build.frames(INPUTS, False), WEIGHT, None, "fc")
    rectified = build.elementwise(x, "relu", Relu)
    _, (y,) = computed(build, build.combination([x.scaled(2.0), rectified]))
    linear = X @ WEIGHT.T
    assert np.abs(y - (2 * linear + np.maximum(linear, 0))).max() < 1e-12


def test_a_layer_whose_last_and_other_steps_are_wanted_runs_on_all(build):
    x = build.elementwise(build.frames(INPUTS, False), "relu", Relu)
    last = x.moved(lambda part: part[:, -1])
    mean = pool(build, x, [1], "mean", False)
    model, (y,) = computed(build, joined([last, mean], axis=1))
    rectified = np.maximum(X, 0)
    expected = np.concatenate([rectified[:, -1], rectified.mean(1)], axis=1)
    assert np.abs(y - expected).max() < 1e-12 and kinds(model)[0] == "relu"


def test_frames_that_are_made_of_different_elements_are_refused(build):
    x = build.frames(INPUTS, False)
    mixed = joined([x.moved(lambda p: p[:, :2]), x.moved(lambda p: p[:, 2:, ::-1])], axis=1)
    with pytest.raises(Unfollowed, match="does not compute the same with every step"):
        build.linear(mixed, WEIGHT, None, "fc")


def test_an_initial_state_is_not_computed_with(build):
    build.frames(INPUTS, False)
    h = build.initial_state("h0", (LANES, INPUTS))
    with pytest.raises(Unfollowed, match="it computes with an initial state"):
        build.linear(h, WEIGHT, None, "fc")


# -- pools ---------------------------------------------------------------------------------------


def test_a_mean_of_elements_is_divided_by_their_number(build):
    x = build.linear(build.frames(INPUTS, False), WEIGHT, None, "fc")
    _, (y,) = computed(build, pool(build, x, [2], "mean", True))
    assert np.abs(y - (X @ WEIGHT.T).mean(2, keepdims=True)).max() < 1e-12


def test_the_greatest_of_negated_values_is_not_that_of_the_values(build):
    x = build.frames(INPUTS, False)
    _, (y,) = computed(build, pool(build, x.scaled(-2.0), [1], "max", False))
    assert (y == (-2 * X).max(axis=1)).all()


@pytest.mark.parametrize(
    ("chosen", "how", "message"),
    [
        (lambda x: x.moved(lambda p: p[:, :3]), "mean", "it reduces over a part of the steps"),
        (lambda x: x.moved(lambda p: p[:, [0, 1, 2, 3, 3]]), "mean", "it reduces over a part of"),
    ],
    ids=["the first steps", "one step twice"],
)
def test_what_no_pool_is_is_refused(build, chosen, how, message):
    with pytest.raises(Unfollowed, match=message):
        pool(build, chosen(build.frames(INPUTS, False)), [1], how, False)


# -- recurrence ----------------------------------------------------------------------------------


def test_turned_frames_in_the_reverse_direction_run_forward(build):
    x, cell = build.frames(INPUTS, False), lstm()
    y, _ = run_lstm(build, flipped(x), cell, is_reverse=True)
    model, (found,) = computed(build, flipped(y))
    assert [place.is_backward for place in model.places] == [False]
    assert np.abs(found - reference(cell, X)).max() < 1e-12


def test_one_cell_may_run_in_both_directions(build):
    x, cell = build.frames(INPUTS, False), lstm()
    forward, _ = run_lstm(build, x, cell)
    backward, _ = run_lstm(build, flipped(x), cell)
    model, (y,) = computed(build, joined([forward, flipped(backward)], axis=2))
    assert [place.is_backward for place in model.places] == [False, True]
    turned = reference(cell, X[:, ::-1])[:, ::-1]
    assert np.abs(y - np.concatenate([reference(cell, X), turned], axis=2)).max() < 1e-12


@pytest.mark.parametrize("order", [range(STEPS), reversed(range(STEPS))], ids=["there", "back"])
def test_a_loop_over_a_cell_runs_in_either_direction(build, order):
    x, cell, outputs = build.frames(INPUTS, False), lstm(), {}
    states = dict.fromkeys("yc", Labels.constants(np.zeros((LANES, 4))))
    steps = list(order)
    for t in steps:
        frame = x.moved(lambda part, t=t: part[:, t])
        states = cell_step(build, "key", frame, lambda matrix, shift: cell, INPUTS, states)
        outputs[t] = states["y"]
    model, (y,) = computed(build, stacked([outputs[t] for t in range(STEPS)], axis=1))
    expected = reference(cell, X[:, steps])[:, steps]
    assert len(model.places) == 1 and np.abs(y - expected).max() < 1e-12


def test_a_loop_takes_the_same_of_every_frame(build):
    x, cell = build.frames(INPUTS, False), lstm()
    states = dict.fromkeys("yc", Labels.constants(np.zeros((LANES, 4))))

    def step(frame, states):
        return cell_step(build, "key", frame, lambda matrix, shift: cell, INPUTS, states)

    states = step(x.moved(lambda part: part[:, 0]), states)
    with pytest.raises(Unfollowed, match="it does not take the same of every frame"):
        step(x.moved(lambda part: part[:, 1, ::-1]), states)


def test_an_initial_state_is_taken_in_its_own_order(build):
    x, cell = build.frames(INPUTS, False), lstm()
    h = build.initial_state("h0", (LANES, 4))

    def run(initial):
        zero = Labels.constants(np.zeros((LANES, 4)))
        return recurrence(
            build, x.moved(lambda part: part.swapaxes(0, 1)), lambda matrix, shift: cell, INPUTS,
            {"y": initial, "c": zero}, False, 0,
        )  # fmt: skip

    with pytest.raises(Unfollowed, match="it starts from a state that the network computes"):
        run(h.moved(lambda part: part[::-1]))
    run(h)
    assert build.states["l0.y"][0] == "h0"


# -- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (lambda part: part[::-1], "its sequences leave in another order than they came"),
        (lambda part: part[:, ::-1], "its steps leave in another order than they came"),
        (lambda part: part[:, 1:], "its result has some steps and not others"),
    ],
    ids=["sequences", "steps", "all but the first"],
)
def test_results_are_those_of_all_steps_in_order(build, chosen, message):
    with pytest.raises(Unfollowed, match=message):
        computed(build, build.frames(INPUTS, False).moved(chosen))


@pytest.mark.parametrize("change", ["nothing", "scale", "shift"])
def test_a_final_state_is_one_as_it_is(build, change):
    """What is computed with it is a result of its own, and can't stand beside one of each step."""
    y, final = run_lstm(build, build.frames(INPUTS, False), lstm())
    h = stacked([final["y"]])
    h = {"nothing": h, "scale": h.scaled(2.0), "shift": h.shifted(1.0)}[change]
    source = Source("net", "forward", "return it")
    if change == "nothing":
        network = finished(build, [y, h], source, "net", False)
        assert network.model.notes == ["the final states are read with --state-output"]
        assert network.results[1] is None
        return
    with pytest.raises(PenstockError, match="some of its results come at every step and some once"):
        finished(build, [y, h], source, "net", False)


def test_nothing_is_said_of_final_states_where_there_are_none(build):
    y, _ = run_lstm(build, build.frames(INPUTS, False), lstm())
    assert finished(build, [y], Source("", "", ""), "net", False).model.notes == []


# -- comparing -----------------------------------------------------------------------------------


def followed(scale=1.0):
    build = Builder(LANES, STEPS)
    y = build.linear(build.frames(INPUTS, False), scale * WEIGHT, None, "fc")
    return finished(build, [y], Source("net", "forward", ""), "net", False)


@pytest.mark.parametrize("error", [1e-5, 1e-2])
def test_a_network_may_differ_by_the_models_rounding_and_no_more(error):
    network, step = followed(), float(np.finfo(np.float32).eps)
    ours = Ours(network, X, np.full(LANES, STEPS))
    theirs = [(1 + error) * X @ WEIGHT.T]
    if error < 2000 * step:
        check_same_numbers(theirs, ours, "net", step)
        return
    with pytest.raises(PenstockError, match="does not compute what the module does: the result"):
        check_same_numbers(theirs, ours, "net", step)


def test_two_traces_are_of_one_network_or_refused():
    check_same_network(followed().model, followed().model, "net")
    with pytest.raises(PenstockError, match=r"steps or sequences: head\.W has other"):
        check_same_network(followed().model, followed(1.001).model, "net")


def test_limits_that_hardly_differ_make_two_layers(build):
    x = build.frames(INPUTS, False)
    limits = (0.5, float(np.nextafter(0.5, 1)))
    model, _ = computed(build, *(clamped(build, x, -1.0, high) for high in limits))
    assert {place.layer.high for place in model.places if place.layer.kind == "clamp"} == {*limits}
