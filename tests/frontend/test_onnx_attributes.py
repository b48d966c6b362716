"""Every attribute of LSTM, GRU and RNN nodes against ONNX's formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from frontend import onnx_numpy
from frontend.onnx_models import FREE, cell_node, model_of, saved, weights_of

import penstock
from penstock import Hardware
from penstock.frontend import from_onnx
from penstock_runtime.interpreter import Interpreter

INPUTS, CELLS, LANES, STEPS = 3, 4, 3, 6
LENGTHS = np.array([6, 4, 1])
G_OF_EACH = ["Sigmoid", "Sigmoid", "Tanh", "Sigmoid", "Tanh", "Tanh"]
VARIANTS = {
    "LSTM": ("LSTM", {}),
    "LSTM with clip": ("LSTM", {"clip": 0.3}),
    "LSTM with input_forget": ("LSTM", {"input_forget": 1}),
    "LSTM with peepholes and input_forget": ("LSTM", {"input_forget": 1, "peepholes": True}),
    "LSTM with peepholes and clip": ("LSTM", {"clip": 0.5, "peepholes": True}),
    "LSTM with sigmoid as g": ("LSTM", {"activations": ["Sigmoid", "Sigmoid", "Tanh"]}),
    "LSTM in both directions, each with its own g": (
        "LSTM",
        {"direction": "bidirectional", "activations": G_OF_EACH},
    ),
    "LSTM with peepholes in both directions": (
        "LSTM", {"direction": "bidirectional", "peepholes": True},
    ),
    "LSTM without biases": ("LSTM", {"has_bias": False, "direction": "reverse"}),
    "GRU": ("GRU", {}),
    "GRU that resets after": ("GRU", {"linear_before_reset": 1}),
    "GRU with clip": ("GRU", {"clip": 0.3}),
    "GRU that resets after, with clip": ("GRU", {"linear_before_reset": 1, "clip": 0.3}),
    "GRU in both directions": ("GRU", {"direction": "bidirectional"}),
    "RNN": ("RNN", {}),
    "RNN with Relu": ("RNN", {"activations": ["Relu"]}),
    "RNN with clip": ("RNN", {"clip": 0.4}),
    "RNN with Relu and clip": ("RNN", {"activations": ["Relu"], "clip": 0.4}),
    "RNN in both directions": (
        "RNN", {"direction": "bidirectional", "activations": ["Relu", "Tanh"]},
    ),
}  # fmt: skip
variants = pytest.mark.parametrize(
    ("op", "options"), VARIANTS.values(), ids=[name.replace(" ", "-") for name in VARIANTS]
)


def parts_of(op, options):
    """-> weights, attributes."""
    attributes = dict(options)
    has_peepholes = attributes.pop("peepholes", False)
    has_bias = attributes.pop("has_bias", True)
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    weights = weights_of(
        op, INPUTS, CELLS, directions, has_bias=has_bias, has_peepholes=has_peepholes
    )
    return weights, attributes


def frames(scale=2.0):
    return scale * np.random.default_rng(1).standard_normal((STEPS, LANES, INPUTS))


def as_lanes(y):
    """Y (steps, directions, lanes, n) -> (lanes, steps, directions * n)."""
    return y.transpose(2, 0, 1, 3).reshape(y.shape[2], y.shape[0], -1)


@variants
@pytest.mark.parametrize("layout", [0, 1])
def test_a_node_computes_what_onnx_says(tmp_path, op, options, layout):
    weights, attributes = parts_of(op, options)
    node = cell_node(op, weights, layout=layout, **attributes)
    shape = FREE if layout == 0 else FREE[::-1]
    path = saved(tmp_path / "m.onnx", [node], {"x": (*shape, INPUTS)}, ["Y"], weights)
    model = from_onnx(path)
    assert model.batch_first is bool(layout)
    expected = as_lanes(onnx_numpy.run(op, frames(), weights, **attributes)[0])
    np.testing.assert_allclose(model.run(frames().swapaxes(0, 1)), expected, rtol=0, atol=1e-6)


@variants
def test_the_interpreter_is_within_the_types(tmp_path, op, options):
    weights, attributes = parts_of(op, options)
    node = cell_node(op, weights, **attributes)
    path = saved(tmp_path / "m.onnx", [node], {"x": (*FREE, INPUTS)}, ["Y"], weights)
    compiled = penstock.compile(path, frames(), Hardware(pes=2))
    result = Interpreter(compiled.write(tmp_path / "project")).run(frames(), LENGTHS)
    y = onnx_numpy.run(op, frames(), weights, LENGTHS, **attributes)[0]
    values = as_lanes(result.values.reshape(STEPS, LANES, y.shape[1], CELLS).transpose(0, 2, 1, 3))
    peak = max(1.0, np.abs(y).max())
    np.testing.assert_allclose(values, as_lanes(y), rtol=0, atol=0.01 * peak)


@variants
def test_lengths_may_be_an_input(tmp_path, op, options):
    weights, attributes = parts_of(op, options)
    node = cell_node(op, weights, ["sequence_lens"], **attributes)
    inputs = {"x": (*FREE, INPUTS), "sequence_lens": (("lanes",), np.int32)}
    model = from_onnx(saved(tmp_path / "m.onnx", [node], inputs, ["Y"], weights))
    y = onnx_numpy.run(op, frames(), weights, LENGTHS, **attributes)[0]
    values = model.run(frames().swapaxes(0, 1), LENGTHS)
    np.testing.assert_allclose(values, as_lanes(y), rtol=0, atol=1e-6)
    assert not any("not compared" in note for note in model.notes)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_states_may_be_inputs(tmp_path, op, direction):
    weights, _ = parts_of(op, {"direction": direction})
    count = len(weights["W"])
    names = ["initial_h", "initial_c"] if op == "LSTM" else ["initial_h"]
    node = cell_node(op, weights, names, ["Y", "Y_h"], direction=direction)
    inputs = {"x": (*FREE, INPUTS)} | dict.fromkeys(names, (count, "lanes", CELLS))
    model = from_onnx(saved(tmp_path / "m.onnx", [node], inputs, ["Y", "Y_h"], weights))
    generator = np.random.default_rng(2)
    initial = [generator.uniform(-1, 1, (count, LANES, CELLS)) for _ in names]
    given = {}
    for place in model.places:
        index = int(place.is_backward and direction == "bidirectional")
        given |= {f"{place.name}.{s}": one[index] for s, one in zip("yc", initial, strict=False)}
    y = onnx_numpy.run(op, frames(), weights, initial=initial, direction=direction)[0]
    values = model.run(frames().swapaxes(0, 1), state=given)
    np.testing.assert_allclose(values, as_lanes(y), rtol=0, atol=1e-6)
    given_text = ", ".join(names)
    assert model.notes == [
        "the final states are read with --state-output",
        f"the initial state ({given_text}) is given with --state; zero without",
    ]


def test_the_reference_is_onnxruntimes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = frames().astype(np.float32)
    for op, options in VARIANTS.values():
        weights, attributes = parts_of(op, options)
        node = cell_node(op, weights, **attributes)
        model = model_of([node], {"x": (*FREE, INPUTS)}, ["Y"], weights)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (y,) = session.run(None, {"x": x})
        expected = onnx_numpy.run(op, x, weights, **attributes)[0]
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)
