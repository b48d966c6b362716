"""What stands around the recurrent nodes of an ONNX graph, compared with onnxruntime."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from frontend.onnx_models import FREE, cell_node, model_of, saved, weights_of
from onnx import TensorProto, helper

from penstock.errors import PenstockError
from penstock.frontend import HeadOptions, from_onnx
from penstock.model import HEAD

onnxruntime = pytest.importorskip("onnxruntime")
INPUTS, CELLS = 3, 4
WEIGHTS = weights_of("LSTM", INPUTS, CELLS)
GENERATOR = np.random.default_rng(0)
INTS = {
    "minus_one": [-1], "zero": [0], "one": [1], "two": [2], "three": [3],
    "flat": [0, 0, CELLS], "pair": [1, 1, CELLS], "halves": [2, 2], "last": np.int64(-1),
}  # fmt: skip
FLOATS = {
    "matrix": GENERATOR.normal(size=(CELLS, 2)), "row": GENERATOR.normal(size=CELLS),
    "half": np.float32(0.5), "low": np.float32(-0.4), "square": np.float32(2.0),
    "gain": GENERATOR.uniform(0.5, 2, CELLS), "var": GENERATOR.uniform(0.5, 2, CELLS),
    "wide": GENERATOR.normal(size=(CELLS + 3, 2)), "slope": GENERATOR.uniform(0, 0.5, CELLS),
    "kernel": GENERATOR.normal(size=(2, CELLS, 1)), "narrow": GENERATOR.normal(size=2),
    "two_by": GENERATOR.normal(size=(2, CELLS)),
}  # fmt: skip
CONSTANTS = (
    WEIGHTS
    | {name: np.asarray(value, dtype=np.int64) for name, value in INTS.items()}
    | {name: np.asarray(value, dtype=np.float32) for name, value in FLOATS.items()}
)


def node(op, inputs, output="y", **attributes):
    outputs = output.split() if isinstance(output, str) else output
    return helper.make_node(op, inputs.split(), outputs, f"net/{op}", **attributes)


def behind(*nodes):
    """An LSTM whose squeezed Y (steps, lanes, n) is ``h``, and what follows."""
    return [cell_node("LSTM", WEIGHTS), node("Squeeze", "Y one", "h"), *nodes]


def model_at(path, *nodes, outputs=("y",), inputs=None, **options):
    inputs = inputs or {"x": (*FREE, INPUTS)}
    return from_onnx(saved(path, nodes, inputs, outputs, CONSTANTS, **options))


OPERATIONS = {
    "MatMul": [node("MatMul", "h matrix")],
    "MatMul and Add": [node("MatMul", "h matrix", "a"), node("Add", "a a")],
    "Add of a constant": [node("Add", "h row")],
    "Sub from a constant": [node("Sub", "half h")],
    "Abs": [node("Abs", "h")],
    "ReduceMin of the steps": [node("ReduceMin", "h", "y", axes=[0], keepdims=0)],
    "Conv of one step": [
        node("Transpose", "h", "t", perm=[1, 2, 0]), node("Conv", "t kernel narrow", "c"),
        node("Transpose", "c", perm=[2, 0, 1]),
    ],
    "Max of two": [node("Tanh", "h", "t"), node("Max", "h t")],
    "Min of two": [node("MatMul", "h matrix", "a"), node("Tanh", "a", "t"), node("Min", "a t")],
    "Sub": [node("Tanh", "h", "t"), node("Sub", "h t")],
    "Mul": [node("Sigmoid", "h", "t"), node("Mul", "h t")],
    "Mul by a constant": [node("Mul", "row h")],
    "Div by a constant": [node("Div", "h gain")],
    "Neg": [node("Neg", "h")],
    "Sum": [node("Relu", "h", "t"), node("Sum", "h t row")],
    "Relu": [node("Relu", "h")],
    "LeakyRelu": [node("LeakyRelu", "h", alpha=0.3)],
    "LeakyRelu without a slope": [node("LeakyRelu", "h")],
    "PRelu": [node("PRelu", "h slope")],
    "Tanh": [node("Tanh", "h")],
    "Sigmoid": [node("Sigmoid", "h")],
    "HardSigmoid": [node("HardSigmoid", "h", alpha=1.5, beta=0.4)],
    "HardSigmoid without a slope": [node("HardSigmoid", "h")],
    "HardSwish": [node("HardSwish", "h")],
    "Clip": [node("Clip", "h low half")],
    "Clip from below": [node("Clip", "h low")],
    "Max": [node("Max", "h low")],
    "Min": [node("Min", "half h")],
    "Pow": [node("Pow", "h square")],
    "Dropout": [node("Dropout", "h")],
    "Identity": [node("Identity", "h")],
    "BatchNormalization": [
        node("Transpose", "h", "t", perm=[1, 2, 0]),
        node("BatchNormalization", "t gain row slope var", "b"),
        node("Transpose", "b", "y", perm=[2, 0, 1]),
    ],
    "Unsqueeze and Reshape": [
        node("Unsqueeze", "h two", "u"), node("Reshape", "u flat_shape", "y"),
    ],
    "Split and Concat": [
        node("Split", "h halves", "a b", axis=2), node("Concat", "b a", "y", axis=2),
    ],
    "Slice and Expand": [
        node("Slice", "h one three two", "s"), node("Tile", "s tiled", "y"),
    ],
    "Pad": [node("Pad", "h pads", "p"), node("MatMul", "p wide")],
    "Gather of the last step": [node("Gather", "h last", "y", axis=0)],
    "Slice of the first step": [node("Slice", "h zero one zero")],
    "ReduceMean of the steps": [node("ReduceMean", "h", "y", axes=[0], keepdims=0)],
    "ReduceMax of the steps": [node("ReduceMax", "h", "y", axes=[0], keepdims=0)],
    "ReduceSum of the elements": [node("ReduceSum", "h two", "y", keepdims=1)],
    "ReduceSum of nothing": [node("ReduceSum", "h", noop_with_empty_axes=1)],
    "ReduceMean of the elements": [node("ReduceMean", "h", "y", axes=[-1])],
    "GlobalAveragePool": [
        node("Transpose", "h", "t", perm=[1, 2, 0]), node("GlobalAveragePool", "t"),
    ],
    "GlobalMaxPool": [node("Transpose", "h", "t", perm=[1, 2, 0]), node("GlobalMaxPool", "t")],
    "Gemm": [
        node("Gather", "h last", "g", axis=0), node("Gemm", "g two_by half", transB=1, alpha=2.0),
    ],
    "Softmax": [node("MatMul", "h matrix", "a"), node("Softmax", "a", axis=-1)],
    "LogSoftmax": [node("MatMul", "h matrix", "a"), node("LogSoftmax", "a", axis=2)],
    "ArgMax": [node("MatMul", "h matrix", "a"), node("ArgMax", "a", axis=2, keepdims=0)],
    "shapes computed in the graph": [
        node("Shape", "h", "s"), node("Gather", "s zero", "steps"),
        node("Concat", "steps minus_one two", "shape", axis=0),
        node("Reshape", "h shape", "p"), node("Shape", "p", "q"),
        node("Reshape", "p s", "y"),
    ],
}  # fmt: skip
SHAPED = {
    "flat_shape": np.array([0, 0, CELLS]), "tiled": np.array([1, 1, 2]),
    "pads": np.array([0, 0, 1, 0, 0, 2]),
}  # fmt: skip
CONSTANTS |= SHAPED


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_compiled_and_compared(tmp_path, name):
    model = model_at(tmp_path / "m.onnx", *behind(*OPERATIONS[name]))
    assert not [note for note in model.notes if "not compared" in note]


def test_padding_is_of_zeros(tmp_path):
    nodes = behind(node("Pad", "h pads half", "p"), node("MatMul", "p wide"))
    with pytest.raises(PenstockError, match="it pads with something else than zeros"):
        model_at(tmp_path / "m.onnx", *nodes)


def test_a_softmax_is_left_to_the_host_with_a_note(tmp_path):
    model = model_at(tmp_path / "m.onnx", *behind(*OPERATIONS["Softmax"]))
    assert model.notes == ["softmax of the result runs on the host"]
    assert model[HEAD].activation == "none"


def test_an_argmax_is_the_heads(tmp_path):
    model = model_at(tmp_path / "m.onnx", *behind(*OPERATIONS["ArgMax"]))
    assert (model.notes, model[HEAD].activation) == ([], "argmax")


def test_a_sigmoid_behind_the_head_is_its_activation(tmp_path):
    nodes = behind(node("MatMul", "h matrix", "a"), node("Sigmoid", "a"))
    assert model_at(tmp_path / "m.onnx", *nodes)[HEAD].activation == "sigmoid"


def test_head_options_say_what_follows_the_head(tmp_path):
    path = saved(
        tmp_path / "m.onnx", behind(*OPERATIONS["MatMul"]), {"x": (*FREE, INPUTS)}, ["y"], CONSTANTS
    )
    assert from_onnx(path, HeadOptions("step", "sigmoid"))[HEAD].activation == "sigmoid"


def test_an_embedding_stays_on_the_host(tmp_path):
    weights = weights_of("LSTM", 5, CELLS)
    table = GENERATOR.normal(size=(9, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["x"], "net/look_up"),
        cell_node("LSTM", weights),
    ]
    inputs = {"tokens": (FREE, np.int64)}
    model = from_onnx(saved(tmp_path / "m.onnx", nodes, inputs, ["Y"], weights | {"table": table}))
    assert (model.table == table).all()
    assert model.notes == ["net is an embedding of 9 entries: the look-up stays on the host"]


def test_directions_may_be_reversed_by_their_lengths(tmp_path):
    nodes = [
        node("Cast", "lengths", "long", to=TensorProto.INT64),
        node("ReverseSequence", "x long", "r"),
        cell_node("LSTM", WEIGHTS, ["sequence_lens"]),
        node("Squeeze", "Y one", "h"), node("ReverseSequence", "h long"),
    ]  # fmt: skip
    nodes[2].input[0], nodes[2].input[4] = "r", "lengths"
    inputs = {"x": (*FREE, INPUTS), "lengths": (("lanes",), np.int32)}
    model = model_at(tmp_path / "m.onnx", *nodes, inputs=inputs)
    assert [place.is_backward for place in model.places] == [True] and model.notes == []


def test_a_fixed_number_of_steps_is_free_in_the_network(tmp_path):
    model = model_at(tmp_path / "m.onnx", *behind(node("Relu", "h")), inputs={"x": (7, 2, INPUTS)})
    assert model.notes == ["'x' has 7 steps in the file; the network takes any"]
    assert model.run(np.zeros((1, 3, INPUTS))).shape == (1, 3, CELLS)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21])
def test_operations_are_those_of_the_files_opset(tmp_path, opset):
    squeeze = (
        helper.make_node("Squeeze", ["Y"], ["h"], axes=[1])
        if opset < 13 else node("Squeeze", "Y one", "h")
    )  # fmt: skip
    nodes = [
        cell_node("LSTM", WEIGHTS), squeeze, node("MatMul", "h matrix", "a"),
        node("Softmax", "a", axis=2),
    ]  # fmt: skip
    model = model_at(tmp_path / "m.onnx", *nodes, opset=opset)
    assert model.notes == ["softmax of the result runs on the host"]


def test_two_layers_and_a_residual_connection(tmp_path):
    square = weights_of("GRU", CELLS, CELLS)
    second = helper.make_node("GRU", ["h", "W2", "R2"], ["Y2"], "second", hidden_size=CELLS)
    constants = CONSTANTS | {"W2": square["W"], "R2": square["R"]}
    nodes = behind(second, node("Squeeze", "Y2 one", "h2"), node("Add", "h h2"))
    model = from_onnx(saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, INPUTS)}, ["y"], constants))
    assert [place.layer.kind for place in model.places] == ["lstm", "gru", "sum"]


def test_weights_may_be_listed_as_inputs_too(tmp_path):
    model = model_of([cell_node("LSTM", WEIGHTS)], {"x": (*FREE, INPUTS)}, ["Y"], WEIGHTS)
    model.graph.input.append(
        helper.make_tensor_value_info("W", TensorProto.FLOAT, WEIGHTS["W"].shape)
    )
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert "l0" in from_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("resets_after", [True, False])
def test_the_node_of_docs_keras_is_a_gru(tmp_path, resets_after):
    text = (Path(__file__).parents[2] / "docs" / "keras.md").read_text()
    code = re.search(r"## A GRU of Keras.*?```python\n(.*?)```", text, re.DOTALL)[1]
    rows = (2, 3 * CELLS) if resets_after else (3 * CELLS,)
    parts = [GENERATOR.normal(size=shape).astype(np.float32)
             for shape in ((INPUTS, 3 * CELLS), (CELLS, 3 * CELLS), rows)]  # fmt: skip
    gru = SimpleNamespace(get_weights=lambda: parts, reset_after=resets_after)
    exec(code.replace('"gru.onnx"', "path"), {"gru": gru, "path": tmp_path / "gru.onnx"})
    model = from_onnx(tmp_path / "gru.onnx")
    assert model["l0"].resets_before is not resets_after and model.notes == []
    kernel, _, bias = parts
    bias = bias if resets_after else np.stack([bias, np.zeros_like(bias)])
    x, h = GENERATOR.normal(size=(1, 1, INPUTS)), np.zeros(CELLS)
    z, r, n = np.split(x[0, 0] @ kernel + bias[0], 3)  # of Keras: the first step, from zero
    h_n = np.split(bias[1], 3)
    z, r = (1 / (1 + np.exp(-(a + b))) for a, b in zip((z, r), h_n, strict=False))
    expected = z * h + (1 - z) * np.tanh(n + r * h_n[2] if resets_after else n + h_n[2])
    np.testing.assert_allclose(model.run(x)[0, 0], expected, rtol=0, atol=1e-6)
