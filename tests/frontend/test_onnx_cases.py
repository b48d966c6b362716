"""ONNX's own node cases for LSTM, GRU and RNN: the float network and the bit-true interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from frontend.onnx_models import cases, saved

import penstock
from penstock import Hardware
from penstock.frontend import from_onnx
from penstock_runtime.interpreter import Interpreter

GIVEN = ("X", "sequence_lens", "initial_h", "initial_c")
BOUND = 2e-3
"""Of the interpreter with the default types, whose tables have 11 index bits; of 1, or the peak."""
with pytest.MonkeyPatch.context() as patch:
    CASES = cases(patch)
every_case = pytest.mark.parametrize("name", CASES)


def file_of(path, name):
    """The case with its weights stored -> path, frames, initial states."""
    node, arrays, _ = CASES[name]
    values = dict(zip(node.input, arrays, strict=True))
    values.pop("", None)
    inputs = {k: (v.shape, v.dtype.type) for k, v in values.items() if k in GIVEN}
    constants = {k: v for k, v in values.items() if k not in GIVEN}
    outputs = [one for one in node.output if one]
    states = {"h": values.get("initial_h"), "c": values.get("initial_c")}
    return saved(path, [node], inputs, outputs, constants), values["X"], states


def expected_of(name):
    """-> what the network gives, (lanes, steps or 1, n), and final states, (directions, ...)."""
    node, _, results = CASES[name]
    outputs = dict(zip((one for one in node.output if one), results, strict=True))
    is_batchwise = any(one.name == "layout" and one.i for one in node.attribute)
    finals = {k: v.swapaxes(0, 1) if is_batchwise else v for k, v in outputs.items() if k != "Y"}
    if "Y" in outputs:
        y = outputs["Y"] if is_batchwise else outputs["Y"].transpose(2, 0, 1, 3)
        return y.reshape(*y.shape[:2], -1), finals
    parts = [part for final in finals.values() for part in final]  # all directions of h, then of c
    return np.concatenate(parts, axis=1)[:, None], finals


def assert_within(values, expected):
    peak = max(1.0, float(np.abs(expected).max()))  # a cell state is no fraction
    np.testing.assert_allclose(values, expected, rtol=0, atol=BOUND * peak)


def test_there_are_eighteen_cases():
    assert len(CASES) == 18


@every_case
def test_the_float_network_is_the_case(tmp_path, name):
    path, x, states = file_of(tmp_path / "case.onnx", name)
    model = from_onnx(path)
    frames = x if model.batch_first else x.swapaxes(0, 1)
    own = {"y": states["h"], "c": states["c"]}
    given = {
        f"{place}.{state}": own[state][0]
        for place, layer in model.named_layers()
        for state in layer.states()
        if own.get(state) is not None
    }
    expected, _ = expected_of(name)
    assert not any("not compared" in note for note in model.notes)
    np.testing.assert_allclose(model.run(frames, state=given), expected, rtol=0, atol=1e-5)


@every_case
def test_the_interpreter_is_within_the_types(tmp_path, name):
    path, x, states = file_of(tmp_path / "case.onnx", name)
    compiled = penstock.compile(path, x, Hardware(pes=2))
    interpreter = Interpreter(compiled.write(tmp_path / "project"))
    given = {k: v for k, v in (("h_0", states["h"]), ("c_0", states["c"])) if v is not None}
    state = interpreter.state_from_arrays(given, "test") if given else None
    result = interpreter.run(x, state=state)
    expected, finals = expected_of(name)
    values = interpreter.project.output_type.to_float(result.raw)
    assert_within(values, expected)
    states = interpreter.project.graph.states()
    for output, final in finals.items():
        suffix = ".y" if output == "Y_h" else ".c"
        names = [name for name in states if name.endswith(suffix)]
        got = [states[name].read.tensor.type.to_float(result.state[name]) for name in names]
        assert_within(np.stack(got), final)
