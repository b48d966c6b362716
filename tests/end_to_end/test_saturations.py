"""What was out of range is counted and told: by a run, a session, a check."""

from __future__ import annotations

import numpy as np
import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.ir.evaluate import ReferenceEngine
from penstock.ir.saturation import Kind, Saturation
from penstock.layers import Lstm
from penstock.model import stack
from penstock_runtime import Interpreter, Session
from penstock_runtime.saturated import is_alarming


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    """Calibrated on frames within -1..1."""
    frames = np.random.default_rng(0).uniform(-1, 1, (4, 6, 5))
    network = random_model(cells=(6,), pes=2, seed=5)
    folder = tmp_path_factory.mktemp("saturations") / "project"
    return Interpreter(compile_model(network, frames, Hardware(pes=2)).write(folder))


def counter(cells=1):
    """A cell that adds 0.99 x at every step: i and f are open."""
    gates = "ifgo"
    bias = {"i": 9.0, "f": 9.0, "g": 0.0, "o": 9.0}
    return Lstm(
        {gate: np.full((cells, 1), 2.6 * (gate == "g")) for gate in gates},
        {gate: np.zeros((cells, cells)) for gate in gates},
        {gate: np.full(cells, bias[gate]) for gate in gates},
    )


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    """Calibrated on five steps: the cell's type ends near 16."""
    folder = tmp_path_factory.mktemp("growing") / "project"
    model = stack([counter()])
    return Interpreter(compile_model(model, np.ones((1, 5, 1)), Hardware(pes=1)).write(folder))


def found(saturations, kind):
    return {one.name: one for one in saturations if one.kind is kind}


def test_frames_that_fit_leave_nothing_to_tell(interpreter, recwarn):
    result = interpreter.run(np.zeros((2, 3, 5)))
    assert result.saturations == [] and not recwarn.list
    assert {one.name for one in result.counted} >= {"x", "l0.c"}


def test_frames_beyond_the_input_type_are_counted_and_warned_of(interpreter):
    x = np.zeros((2, 4, 5))
    x[1, 2, 3] = x[1, 3, 4] = -30.0
    with pytest.warns(UserWarning, match=r"x \(input frame\): 2 of 40 values, first at step 2"):
        result = interpreter.run(x)
    assert found(result.saturations, Kind.INPUT) == {"x": Saturation("x", Kind.INPUT, 2, 40, 2)}


def test_padding_is_never_counted(interpreter, recwarn):
    x = np.zeros((2, 4, 5))
    x[1, 2:] = 1e4
    assert interpreter.run(x, [4, 2]).saturations == [] and not recwarn.list


def test_an_outlier_is_told_without_a_warning(interpreter, recwarn):
    x = np.zeros((1, 400, 5))
    x[0, 7, 0] = 30.0
    result = interpreter.run(x)
    assert found(result.saturations, Kind.INPUT) == {"x": Saturation("x", Kind.INPUT, 1, 2000, 7)}
    assert not recwarn.list


def test_raw_integers_can_not_be_out_of_range(interpreter):
    result = interpreter.run(np.zeros((1, 4, 5), dtype=np.int64), raw_input=True)
    assert "x" not in {one.name for one in result.counted}


def test_a_given_state_that_does_not_fit_is_named(interpreter):
    h, c = np.zeros((1, 2, 6)), np.zeros((1, 2, 6))
    c[0, 1, 2], h[0, 0, 0] = 1e3, -1.5
    with pytest.warns(UserWarning, match=r"l0.y \(given state\): 1 of 12.*l0.c \(given state\): 1"):
        result = interpreter.run(np.zeros((2, 3, 5)), state=(h, c))
    assert set(found(result.saturations, Kind.STATE)) == {"l0.y", "l0.c"}
    with pytest.warns(UserWarning, match=r"l0.c \(given state\)"):
        session = Session(interpreter, 2, state=(h, c))
    assert set(found(session.saturations, Kind.STATE)) == {"l0.y", "l0.c"}
    session.reset()
    assert session.saturations == []


def test_a_cell_that_outgrows_calibration_is_named_with_its_first_step(growing):
    x = np.ones((1, 40, 1))
    with pytest.warns(UserWarning, match=r"l0.c: \d+ of 40 values, first at step \d+"):
        result = growing.run(x)
    c = found(result.saturations, Kind.VALUE)["l0.c"]
    top = growing.project.graph["l0.c"].tensor.type
    assert c.first_step is not None and c.count == 40 - c.first_step
    before = growing.run(x[:, : c.first_step])
    assert not found(before.saturations, Kind.VALUE)
    assert growing.run_quietly(x[:, : c.first_step + 1]).state["l0.c"].item() == top.raw_max


def test_inputs_of_tables_never_warn(growing, recwarn):
    result = growing.run(np.ones((1, 8, 1)))
    assert found(result.saturations, Kind.TABLE) and not recwarn.list


@pytest.mark.parametrize("engine", ["native", "numpy"])
def test_a_session_counts_as_one_run_over_the_whole_does(growing, engine):
    x = np.ones((1, 40, 1))
    whole = growing.run_quietly(x)
    session = Session(Interpreter(growing.project, engine))
    with pytest.warns(UserWarning, match="l0.c") as warned:
        for t in range(40):
            session.step(x[0, t])
    assert session.saturations == whole.saturations
    assert len(warned) == 1


def test_frames_that_are_cut_off_are_counted_in_the_steps_in_which_they_were(growing):
    x = np.ones((1, 9, 1))
    x[0, 4] = x[0, 7] = 1e9
    session = Session(growing)
    with pytest.warns(UserWarning, match="input frame"):
        for frame in x[0]:
            session.step(frame)
    whole = growing.run_quietly(x)
    assert session.saturations == whole.saturations
    (lost,) = found(session.saturations, Kind.INPUT).values()
    assert (lost.count, lost.of, lost.first_step) == (2, 9, 4)


def test_another_engine_gives_its_own_counts(interpreter):
    class Silent(ReferenceEngine):
        def prepare(self, graph):
            executable = super().prepare(graph)
            run = executable.run

            def quiet(*arguments):
                result = run(*arguments)
                result.saturations = (Saturation("l0.c", Kind.VALUE, 1, 2, 0),)
                return result

            executable.run = quiet
            return executable

    result = Interpreter(interpreter.project, engine=Silent()).run_quietly(np.zeros((1, 1, 5)))
    assert result.saturations == [Saturation("l0.c", Kind.VALUE, 1, 2, 0)]


def test_one_value_of_a_given_state_alarms_and_one_in_thousands_of_a_tensor_does_not():
    lost = {kind: Saturation("l0.c", kind, 1, 10_000, 0) for kind in Kind}
    assert [kind for kind, one in lost.items() if is_alarming(one)] == [Kind.STATE]
    assert not is_alarming(Saturation("l0.c", Kind.STATE, 0, 10_000))
