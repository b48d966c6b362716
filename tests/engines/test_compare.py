"""What is told of an engine that is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from engines.runs import drawn_run
from graphs import delay_line

from penstock.ir.evaluate import ReferenceEngine
from penstock_runtime.engines.compare import engine_difference


class Wrong:
    """The reference, of which ``spoil`` changes the result, or what is told."""

    def __init__(self, graph, spoil=lambda result: None, tell=lambda *told: told):
        self._right = ReferenceEngine().prepare(graph)
        self._spoil, self._tell = spoil, tell

    def run(self, x, lengths, state=None, observe=None):
        def told(*value):
            changed = self._tell(*value)
            if changed is not None:
                observe(*changed)

        result = self._right.run(x, lengths, state, observe and told)
        self._spoil(result)
        return result


def off_by_one(result):
    result.y[0, -1, -1] += 1


def another_state(result):
    result.state[next(iter(result.state))][0, 0] += 1


def no_state(result):
    result.state.popitem()


def no_counts(result):
    result.saturations = ()


def found(**faults):
    graph = delay_line()
    run = drawn_run(graph, np.random.default_rng(0), 3, 4)
    right = ReferenceEngine().prepare(graph)
    wrong = Wrong(graph, **faults)
    return engine_difference("wrong", wrong, right, run.x, run.lengths, run.state)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (off_by_one, "the results"),
        (another_state, "the final state "),
        (no_state, "the names of the states"),
        (no_counts, "the counts of saturated values"),
    ],
)
def test_a_wrong_result_is_told(spoil, what):
    assert str(found(spoil=spoil)).startswith(
        f"the wrong engine differs from the reference in {what}"
    )


def test_a_wrong_value_is_told_with_its_node_and_step():
    def tell(name, step, raw, counts):
        return name, step, raw + (name == "y" and step == 2), counts

    assert str(found(tell=tell)) == "the wrong engine differs from the reference in y, step 2"


def test_values_that_are_not_told_or_belong_to_other_lanes_are_told():
    assert found(tell=lambda *told: None).what == "the values that it tells"
    assert found(tell=lambda name, step, raw, counts: (name, step, raw, ~counts)).step == 0


def test_an_engine_that_is_right_has_no_difference():
    assert found() is None
