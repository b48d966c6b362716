"""Small ONNX models made by hand, and ONNX's own node cases with their weights stored."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import gru, lstm, rnn

OPSET = 17
KINDS = {"LSTM": (lstm, 4), "GRU": (gru, 3), "RNN": (rnn, 1)}
FREE = ("steps", "lanes")


def model_of(nodes, inputs, outputs, constants=(), opset=OPSET):
    """inputs: name -> (shape, dtype) or shape; outputs: names; constants: name -> array."""
    given = []
    for name, shape in inputs.items():
        shape, dtype = shape if isinstance(shape[-1], type) else (shape, np.float32)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        given.append(helper.make_tensor_value_info(name, kind, shape))
    graph = helper.make_graph(
        nodes, "test", given,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name)
         for name, value in dict(constants).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def saved(path, *arguments, **options):
    onnx.save(model_of(*arguments, **options), path)
    return path


def weights_of(op, inputs=3, cells=4, directions=1, seed=0, has_bias=True, has_peepholes=False):
    """W, R, B and P of a node, by their names."""
    generator = np.random.default_rng(seed)
    rows = KINDS[op][1] * cells

    def draw(*shape):
        return generator.uniform(-0.6, 0.6, shape).astype(np.float32)

    found = {"W": draw(directions, rows, inputs), "R": draw(directions, rows, cells)}
    if has_bias:
        found["B"] = draw(directions, 2 * rows)
    if has_peepholes:
        found["P"] = draw(directions, 3 * cells)
    return found


def cell_node(op, constants, given=(), outputs=("Y",), **attributes):
    """A recurrent node that reads x, these constants, and these inputs by their own names."""
    names = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
    known = {"X": "x"} | {name: name for name in (*constants, *given)}
    inputs = [known.get(name, "") for name in (names if op == "LSTM" else names[:6])]
    while not inputs[-1]:
        inputs.pop()
    attributes.setdefault("hidden_size", constants["R"].shape[2])
    return helper.make_node(op, inputs, list(outputs), "cell", **attributes)


def cases(monkeypatch):
    """ONNX's node cases of the three operators: name -> (node, inputs, outputs)."""
    found = {}

    def expect(node, inputs, outputs, name, **more):
        found[name] = (node, inputs, outputs)

    for op, (module, _) in KINDS.items():
        monkeypatch.setattr(module, "expect", expect)
        chosen = getattr(module, op)
        for export in dir(chosen):
            if export.startswith("export"):
                getattr(chosen, export)()
    return found
