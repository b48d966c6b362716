"""Odd ONNX files that a fuzzer of their fields found: a line each, in bounded memory."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from frontend.onnx_models import FREE, cell_node, saved, weights_of
from onnx import helper

from penstock import PenstockError
from penstock.frontend import from_onnx

LSTM = weights_of("LSTM")
MOST = 128 * 2**20


def bounded(path):
    """The refusal of a file, which may not take much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(PenstockError) as caught:
            from_onnx(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    return caught.value.line().replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((2**40, 3, 3), [3, 2**40, 3]), ((3, 2**40, 3), [2**40, 5, 3]),
        ((2**20, 2, 2**20), [2, 5, 2**20]),
    ],
)  # fmt: skip
def test_an_input_may_claim_to_be_huge(tmp_path, shape, seen):
    path = saved(tmp_path / "m.onnx", [cell_node("LSTM", LSTM)], {"x": shape}, ["Y"], LSTM)
    assert bounded(path).startswith(f"input 'x' has the shape {seen}, which is too large to be")


def test_an_initial_state_may_claim_to_be_huge(tmp_path):
    inputs = {"x": (*FREE, 3), "initial_h": (2**20, 2**20, 4)}
    nodes = [cell_node("LSTM", LSTM, ("initial_h",))]
    assert bounded(saved(tmp_path / "m.onnx", nodes, inputs, ["Y"], LSTM)) == (
        "input 'initial_h' has the shape [1048576, 1048576, 4], which is too large to be followed "
        "(m.onnx); hint: export the model for fewer sequences and steps, or with free ones"
    )


def test_a_constant_may_have_more_axes_than_numpy_takes(tmp_path):
    constants = {"many": np.ones((1,) * 40, np.float32)}
    nodes = [helper.make_node("Mul", ["x", "many"], ["y"], "n")]
    line = bounded(saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, 3)}, ["y"], constants))
    assert line.startswith("node 'n' (Mul) can't be compiled: its operands do not fit: ")


@pytest.mark.filterwarnings("error")
def test_an_input_that_nothing_reads_is_no_reason_not_to_compare(tmp_path):
    inputs = {"x": (*FREE, 3), "another": (*FREE, 3)}
    path = saved(tmp_path / "m.onnx", [cell_node("LSTM", LSTM,
                 activations=["Sigmoid", "Tanh", "Tanh"])], inputs, ["Y"], LSTM)  # fmt: skip
    assert not [note for note in from_onnx(path).notes if "compared" in note]


def test_constants_of_few_bytes_may_not_grow_to_many(tmp_path):
    nodes = [
        helper.make_node("Concat", [f"c{k}", f"c{k}"], [f"c{k + 1}"], axis=0) for k in range(23)
    ]
    nodes.append(helper.make_node("Expand", ["x", "c23"], ["y"], "n"))
    constants = {"c0": np.int64([1, 1, 1, 1])}
    line = bounded(saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, 3)}, ["y"], constants))
    assert line.startswith(
        "a node of type Concat can't be compiled: the constants that the graph computes are too "
    )


def test_a_result_may_have_no_elements(tmp_path):
    nodes = [helper.make_node("Slice", ["x", "n", "n"], ["y"], "cut")]
    constants = {"n": np.int64([1])}
    assert bounded(saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, 3)}, ["y"], constants)) == (
        "the graph gives a result without elements (m.onnx); hint: make the network's result an "
        "output"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.inf, 3e38])
def test_weights_that_overflow_give_no_warning(tmp_path, value):
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["m"]),
        helper.make_node("Mul", ["m", "m"], ["y"]),
    ]  # fmt: skip
    constants = {"b": np.full(3, value, np.float32), "w": np.eye(3, dtype=np.float32)}
    assert "NaN or infinite values" in bounded(
        saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, 3)}, ["y"], constants)
    )


def test_an_attribute_may_be_infinite(tmp_path):
    nodes = [cell_node("LSTM", LSTM, hidden_size=float("inf"))]
    line = bounded(saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, 3)}, ["Y"], LSTM))
    assert line.startswith("node 'cell' (LSTM) can't be compiled: its operands do not fit: ")


def test_a_node_may_read_a_value_very_often(tmp_path):
    """Where an LSTM reads it too, onnxruntime's optimizer takes the square of that in time."""
    pytest.importorskip("onnxruntime")
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["turned", "W", "R", "B"], ["Y"], "cell", hidden_size=4),
        helper.make_node("Concat", ["turned"] * 4000, ["wide"], axis=2),
        helper.make_node("Shape", ["wide"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "axis"], ["count"], axis=0),
        helper.make_node("Concat", ["count", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["Y", "shape"], ["y"]),
    ]
    constants = LSTM | {"axis": np.int64([0]), "rest": np.int64([-1, 4])}
    path = saved(tmp_path / "m.onnx", nodes, {"x": (*FREE, 3)}, ["y"], constants)
    start = time.process_time()
    assert not [note for note in from_onnx(path).notes if "compared" in note]
    assert time.process_time() - start < 6
