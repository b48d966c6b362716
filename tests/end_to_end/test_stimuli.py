"""What a check feeds to the kernel reaches the corners that it promises."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from penstock.fixed import Fixed
from penstock.packing.vectors import (
    START_CARRIED,
    START_GIVEN,
    START_ZERO,
    Ports,
)
from penstock_runtime.expected import Expected, calls_of
from penstock_runtime.stimuli import own_stimuli, stimuli

KIND = Fixed(12, 8)
STATES = {"c": (5, Fixed(16, 10)), "y": (3, Fixed(8, 7, signed=False))}
LANES, STEPS, INPUTS = 8, 4, 6


@pytest.fixture
def calls():
    return {call.name: call for call in stimuli(KIND, INPUTS, LANES, STEPS, STATES, seed=1)}


def test_every_input_is_of_the_type_and_reaches_both_ends(calls):
    for call in calls.values():
        assert call.x.shape == (LANES, STEPS, INPUTS) and KIND.fits(call.x)
    assert (calls["all-max"].x == KIND.raw_max).all() and (calls["all-min"].x == KIND.raw_min).all()
    assert set(np.unique(calls["alternating"].x)) == {KIND.raw_min, KIND.raw_max}


def test_sequences_differ_in_length_in_every_call_that_carries_on_a_first_one(calls):
    for name in ("ordinary", "random", "all-max", "all-min", "alternating"):
        whole, ragged = calls[name], calls[f"{name}, carried on"]
        assert (whole.lengths == STEPS).all() and whole.start == START_ZERO
        assert ragged.start == START_CARRIED
        assert len(set(ragged.lengths.tolist())) > 1
        assert ragged.lengths.min() >= 0 and ragged.lengths.max() <= STEPS
    lengths = np.concatenate([call.lengths for call in calls.values()])
    assert set(lengths.tolist()) == set(range(STEPS + 1)), "no sequence of each length, 0 too"


@pytest.mark.parametrize("edge", ["max", "min"])
def test_states_are_given_at_the_ends_of_their_types(edge, calls):
    call = calls[f"random from an all-{edge} state"]
    assert call.start == START_GIVEN
    for name, (length, kind) in STATES.items():
        wanted = kind.raw_max if edge == "max" else kind.raw_min
        assert call.state[name].shape == (LANES, length) and (call.state[name] == wanted).all()


def test_a_state_is_given_to_a_lane_without_steps_unless_it_is_the_only_one(calls):
    given = [call.lengths for call in calls.values() if call.start == START_GIVEN]
    assert [np.flatnonzero(lengths == 0).tolist() for lengths in given] == [[0], [1], [2]]
    for call in stimuli(KIND, INPUTS, 1, STEPS, STATES, seed=1):
        assert call.start != START_GIVEN or call.lengths.tolist() == [STEPS]


def test_a_random_state_is_of_its_type_and_is_carried_on(calls):
    given = calls["random from a given state"]
    for name, (_, kind) in STATES.items():
        assert kind.fits(given.state[name]) and len(np.unique(given.state[name])) > 1
    assert list(calls)[-1] == "random from a given state, carried on"
    assert list(calls.values())[-1].start == START_CARRIED


def test_parameters_are_loaded_again_between_calls_and_a_carried_state_survives_it(calls):
    """START_CARRIED with and without a reload; only the first call of all needs one."""
    carried = {call.reload for call in calls.values() if call.start == START_CARRIED}
    assert carried == {True, False}
    project = SimpleNamespace(ports=Ports(512, 16, LANES), state_layouts={})
    expected = [Expected(call, call.x, {}, {}) for call in calls.values()]
    assert [call.reload for call in calls_of(project, expected)] == [
        number == 0 or call.reload for number, call in enumerate(calls.values())
    ]


def test_another_seed_gives_other_calls(calls):
    other = {call.name: call for call in stimuli(KIND, INPUTS, LANES, STEPS, STATES, seed=2)}
    assert not np.array_equal(other["random"].x, calls["random"].x)


def test_own_sequences_fill_the_lanes_and_leave_the_rest_idle():
    x, lengths = np.arange(3 * 2 * 1).reshape(3, 2, 1), np.array([2, 1, 2])
    first, last = own_stimuli(x, lengths, 2)
    assert np.array_equal(first.x, x[:2]) and first.lengths.tolist() == [2, 1]
    assert np.array_equal(last.x[0], x[2]) and last.lengths.tolist() == [2, 0]
