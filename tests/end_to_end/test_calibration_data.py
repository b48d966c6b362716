"""What calibration is given beside frames: lengths, states, another order; what it looks at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError
from penstock.calibration import calibrate
from penstock.driver import compile_model
from penstock_runtime import Interpreter, Session

LENGTHS = np.array([7, 3, 5])
HARDWARE = Hardware(pes=2)


def network(**arguments):
    return random_model(inputs=4, cells=(6,), density=1.0, **arguments)


def frames(seed=0):
    return np.random.default_rng(seed).normal(0, 1, (3, 7, 4))


def padded(value):
    x = frames()
    for row, length in enumerate(LENGTHS):
        x[row, length:] = value
    return x


def files(*arguments, **named):
    return compile_model(*arguments, hardware=HARDWARE, **named).files


def refusal(model, x, **named):
    with pytest.raises(PenstockError) as caught:
        compile_model(model, x, HARDWARE, **named)
    return caught.value.line()


@pytest.mark.parametrize("value", [np.nan, -np.inf, -1e4])
def test_what_lies_beyond_a_sequence_changes_no_byte_of_the_project(value):
    wanted = files(network(), padded(0.0), calibration_lengths=LENGTHS)
    assert files(network(), padded(value), calibration_lengths=LENGTHS) == wanted
    assert files(network(), padded(500.0)) != wanted


@pytest.mark.parametrize("value", [np.nan, -1e4])
def test_what_lies_beyond_a_sequence_changes_no_result(value, tmp_path):
    interpreter = Interpreter(compile_model(network(), frames(), HARDWARE).write(tmp_path / "p"))
    wanted = interpreter.run(padded(0.0), LENGTHS).raw
    assert (interpreter.run(padded(value), LENGTHS).raw == wanted).all()
    with pytest.raises(PenstockError, match="a frame has NaN"):
        interpreter.run(padded(np.nan), np.array([7, 4, 5]))


def test_nan_within_a_sequence_is_refused():
    line = refusal(network(), padded(np.nan), calibration_lengths=[7, 3, 6])
    assert line.startswith("a frame has NaN or infinite values (calibration); hint: ")


@pytest.mark.parametrize("lengths", [[7, 3], [7, 3, 8], [7, -1, 3], [7.0, 3.0, 5.0]], ids=str)
def test_lengths_that_do_not_fit_the_frames_are_refused(lengths):
    assert refusal(network(), frames(), calibration_lengths=lengths) == (
        "lengths must be 3 integers from 0 to 7 (calibration); "
        "hint: give one length for each sequence"
    )


def test_the_same_array_means_the_same_in_compile_and_in_run(tmp_path):
    model, x = network(), frames()
    x[0] *= 5
    wanted = compile_model(model, x, HARDWARE, calibration_lengths=LENGTHS)
    time_major = replace(model, batch_first=False)
    swapped = x.swapaxes(0, 1)
    got = compile_model(time_major, swapped, HARDWARE, calibration_lengths=LENGTHS)
    assert got.files["graph.json"] == wanted.files["graph.json"]
    both = [Interpreter(one.write(tmp_path / str(n))) for n, one in enumerate((wanted, got))]
    results = [both[0].run(x, LENGTHS).raw, both[1].run(swapped, LENGTHS).raw]
    assert (results[0] == results[1]).all()


@pytest.mark.parametrize("form", ["pytorch", "stacked by name", "by name"])
def test_the_states_in_which_sequences_begin_belong_to_the_ranges(form):
    h, c = np.full((1, 3, 6), 0.5), np.full((1, 3, 6), 9.0)
    states = {
        "pytorch": (h, c),
        "stacked by name": {"h_0": h, "c_0": c},
        "by name": {"l0.y": h[0], "l0.c": c[0]},
    }[form]
    model = network()
    assert calibrate(model, frames()).peak["l0.c"] < 4
    ranges = calibrate(model, frames(), states=states)
    assert ranges.peak["l0.c"] == 9.0
    compiled = compile_model(model, frames(), HARDWARE, calibration_states=states)
    dtype = compiled.graph["l0.c"].tensor.type
    assert dtype.to_float(dtype.raw_max) > 9.0


def test_a_gru_takes_its_only_state_as_torch_names_it():
    from penstock.layers import Gru
    from penstock.model import stack

    generator = np.random.default_rng(0)
    weights = [{gate: generator.normal(0, 1, (6, n)) for gate in "rzn"} for n in (4, 6)]
    model = stack([Gru(*weights, {name: np.zeros(6) for name in ("r", "z", "nx", "nr")})])
    states = np.full((1, 3, 6), 0.9)
    assert calibrate(model, frames(), states=states).peak["l0.y"] >= 0.9


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"l0.d": np.zeros((3, 6))}, "the states are ['l0.c', 'l0.y'], not l0.d (calibration); "),
        ({"l0.c": np.zeros((2, 6))}, "state l0.c must be finite numbers of shape (3, 6), not (2, "),
        ({"l0.c": np.full((3, 6), np.nan)}, "state l0.c must be finite numbers"),
        ({"l0.c": np.zeros((3, 6), int)}, "the states l0.c are integers (int64), but calibration "),
        ((np.zeros((2, 3, 6)), np.zeros((2, 3, 6))), "h_0 has shape (2, 3, 6), not (1, sequences"),
        ((1.0, 2.0, 3.0), "3 arrays are not a state (calibration); hint: give (h_0, c_0) as in "),
    ],
    ids=["unknown", "too few", "NaN", "integers", "two layers", "three"],
)
def test_states_that_do_not_fit_are_refused(states, message):
    line = refusal(network(), frames(), calibration_states=states)
    assert line.startswith(message), line


def test_raw_integers_are_taken_where_they_are_called_raw(tmp_path):
    compiled = compile_model(network(), frames(), HARDWARE)
    interpreter = Interpreter(compiled.write(tmp_path / "p"))
    raw = compiled.graph["x"].tensor.type.quantize(frames())
    wanted = interpreter.run(frames())
    assert (interpreter.run(raw, raw_input=True).raw == wanted.raw).all()
    session = Session(interpreter, 3)
    got = np.stack([session.step(raw[:, t], raw_input=True) for t in range(7)], axis=1)
    assert (got == wanted.values).all()
    for take in (interpreter.run, interpreter.quantize, lambda x: session.step(x[:, 0])):
        with pytest.raises(PenstockError, match="the frames are integers"):
            take(raw)


def test_random_tokens_stand_in_for_data_where_there_is_an_embedding():
    table = np.random.default_rng(5).normal(0, 0.01, (50, 4))
    model = replace(network(), table=table)
    compiled = compile_model(model, None, HARDWARE)
    (note,) = [note for note in compiled.notes if "no calibration data" in note]
    assert "number formats were chosen using random tokens (give --calibration" in note
    assert compiled.error.source == "sequences of random tokens"
    assert calibrate(model, None).peak["x"] == np.abs(table).max()
