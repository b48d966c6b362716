"""Saved programs for the loader fuzzer: two .onnx files and a .pt2 file, and who checks a result.

A damaged file may be a whole model of another network. Then the network that is found must give the
numbers that onnxruntime or torch find in the damaged file, wherever they can run it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from penstock import Hardware, Precision
from penstock.driver import compile_model
from penstock.frontend import from_onnx, from_pt2
from penstock.frontend.follow.saved_program import _plain_only
from penstock.layers import DenseHead
from penstock.model import HEAD, RecurrentModel
from penstock.ops.lut import sigma

INPUTS, CELLS, LANES, STEPS = 3, 4, 2, 6
QUICK = Precision(table_entries=64)
CLOSE = 1e-3
"""Of the greatest result: what float32 may be off in a network of damaged weights."""


def found_in(model: RecurrentModel) -> tuple[Any, ...]:
    """What can be compared; compiling the network must not crash either."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # how far off it is: rightly so, with such weights
        compile_model(model, None, Hardware(pes=1), QUICK)
    y = model.run(_frames(model, LANES, STEPS))
    return tuple(model.notes), model.batch_first, y.shape, y.tobytes()


def _frames(model: RecurrentModel, lanes: int, steps: int) -> Any:
    x = np.random.default_rng(0).normal(size=(lanes, steps, model.inputs))
    return x.astype(np.float32).astype(np.float64)


# -- onnx -----------------------------------------------------------------------------------------


def onnx_files() -> dict[str, bytes]:
    """A tagger with a computed shape, weights beside it; and a classifier by the last step."""
    return {"tagger": _tagger(), "classifier": _classifier()}


def _drawn(**shapes: Sequence[int]) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    return {
        name: generator.uniform(-0.6, 0.6, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def _model(nodes: list[Any], shape: Sequence[Any], constants: dict[str, Any]) -> bytes:
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


def _tagger() -> bytes:
    node = helper.make_node
    constants = _drawn(W=(1, 4 * CELLS, INPUTS), R=(1, 4 * CELLS, CELLS), B=(1, 8 * CELLS),
                       M=(CELLS, 2), b=(2,))  # fmt: skip
    constants |= {"zero": np.array([0], np.int64), "two": np.array([2], np.int64),
                  "n": np.array([-1, CELLS], np.int64)}  # fmt: skip
    return _model([
        node("Transpose", ["x"], ["turned"], "turn", perm=[1, 0, 2]),
        node("LSTM", ["turned", "W", "R", "B"], ["Y"], "/lstm/LSTM", hidden_size=CELLS),
        node("Shape", ["turned"], ["shape"], "shape"),
        node("Slice", ["shape", "zero", "two"], ["sizes"], "sizes"),
        node("Concat", ["sizes", "n"], ["wanted"], "wanted", axis=0),
        node("Gather", ["wanted", "kept"], ["three"], "three", axis=0),
        node("Reshape", ["Y", "three"], ["flat"], "flat"),
        node("Transpose", ["flat"], ["back"], "back", perm=[1, 0, 2]),
        node("MatMul", ["back", "M"], ["product"], "/fc/MatMul"),
        node("Add", ["product", "b"], ["y"], "/fc/Add"),
    ], ["lanes", "steps", INPUTS],
        constants | {"kept": np.array([0, 1, 3], np.int64)})  # fmt: skip


def _classifier() -> bytes:
    node = helper.make_node
    constants = _drawn(W=(2, 3 * CELLS, INPUTS), R=(2, 3 * CELLS, CELLS), B=(2, 6 * CELLS),
                       M=(3, 2 * CELLS), b=(3,), scale=(INPUTS,))  # fmt: skip
    constants |= {"ones": np.array([1, 1, 1], np.int64), "one": np.array([1], np.int64),
                  "last": np.array(-1, np.int64)}  # fmt: skip
    return _model([
        node("Tile", ["x", "ones"], ["tiled"], "tile"),
        node("Mul", ["tiled", "scale"], ["scaled"], "scale"),
        node("GRU", ["scaled", "W", "R", "B"], ["Y"], "gru", hidden_size=CELLS,
             direction="bidirectional", linear_before_reset=1),
        node("Transpose", ["Y"], ["turned"], "turn", perm=[0, 2, 1, 3]),
        node("Flatten", ["turned"], ["none"], "unused", axis=2),
        node("Gather", ["turned", "last"], ["step"], "step", axis=0),
        node("Flatten", ["step"], ["flat"], "flat", axis=1),
        node("Gemm", ["flat", "M", "b"], ["logits"], "fc", transB=1),
        node("Relu", ["logits"], ["y"], "relu"),
    ], ["steps", LANES, INPUTS], constants)  # fmt: skip


def load_onnx(folder: Path) -> Any:
    """The network in a damaged file."""
    return found_in(from_onnx(folder / "m.onnx"))


def is_right_onnx(folder: Path, found: Any) -> bool:
    """Is it what onnxruntime computes?"""
    path = folder / "m.onnx"
    model = from_onnx(path)
    try:
        theirs = _by_onnxruntime(path, model)
    except Exception:  # onnxruntime has errors of its own: nobody else knows this model
        return True
    return theirs is None or _agree(model, *theirs)


def _by_onnxruntime(path: Path, model: RecurrentModel) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()
    if len(given) != 1 or len(given[0].shape) != 3:
        return None
    sizes = [size if isinstance(size, int) and size > 0 else None for size in given[0].shape]
    a, b = sizes[:2] if model.batch_first else sizes[1::-1]
    x = _frames(model, a or LANES, b or STEPS)
    fed = x if model.batch_first else x.swapaxes(0, 1)
    dtype = {"tensor(double)": np.float64, "tensor(float16)": np.float16}.get(given[0].type)
    return x, session.run(None, {given[0].name: fed.astype(dtype or np.float32)})


def _agree(model: RecurrentModel, x: Any, theirs: Sequence[Any]) -> bool:
    """Every number of theirs is one of ours, wherever it stands."""
    if any("host" in note or "state" in note for note in model.notes):
        return True  # of which only a part is the network's
    y, head = model.run(x), model.find(HEAD)
    is_sigma = isinstance(head, DenseHead) and head.activation == "sigmoid"
    ours = np.sort(sigma(y) if is_sigma else y, axis=None)
    for values in map(np.ravel, theirs):
        near = np.searchsorted(ours, values).clip(1, len(ours) - 1) if len(ours) > 1 else 0
        gap = np.minimum(np.abs(values - ours[near]), np.abs(values - ours[near - 1]))
        if not (gap <= CLOSE * max(1.0, float(np.abs(ours).max()))).all():
            return False
    return True


# -- torch.export ---------------------------------------------------------------------------------


class Tagger(torch.nn.Module):
    """A small network that exports."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, CELLS, batch_first=True)
        self.fc = torch.nn.Linear(CELLS, 2)

    def forward(self, x: Any) -> Any:
        """Every step."""
        return self.fc(torch.relu(self.lstm(x)[0]))


def pt2_file() -> bytes:
    """Of a program with a free number of sequences."""
    torch.manual_seed(2)
    free = torch.export.Dim("lanes", min=1, max=64)
    program = torch.export.export(
        Tagger().eval(), (torch.zeros(3, STEPS, INPUTS),), dynamic_shapes=({0: free},)
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def load_pt2(folder: Path) -> Any:
    """The network in a damaged file."""
    return found_in(from_pt2(folder / "m.pt2"))


def is_right_pt2(folder: Path, found: Any) -> bool:
    """Is it what torch computes?"""
    model = from_pt2(folder / "m.pt2")
    try:
        with _plain_only(), torch.no_grad():
            program = torch.export.load(folder / "m.pt2")
            (name,) = program.graph_signature.user_inputs
            (node,) = (node for node in program.graph.nodes if node.name == name)
            sizes = [size if isinstance(size, int) else None for size in node.meta["val"].shape]
            a, b = sizes[:2] if model.batch_first else sizes[1::-1]
            x = _frames(model, a or LANES, b or STEPS)
            fed = torch.from_numpy(x if model.batch_first else x.swapaxes(0, 1))
            theirs = program.module()(fed.to(node.meta["val"].dtype))
    except Exception:  # nobody else knows this program
        return True
    leaves = torch.utils._pytree.tree_leaves(theirs)
    return _agree(model, x, [leaf.double().numpy() for leaf in leaves])
