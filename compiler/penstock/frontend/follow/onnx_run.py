"""What a model computes, by onnxruntime or, without it, by ONNX's reference implementation."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from penstock.frontend.follow.onnx_file import OnnxGraph
from penstock.frontend.follow.onnx_nodes import CELL_OPS

MOST_BYTES = 2**30
"""Of a model that is handed on whole."""


class CantRunError(Exception):
    """The model can't be run here; says why."""


def run_onnx(graph: OnnxGraph, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The outputs. Raises CantRunError."""
    model = _model(graph)
    try:
        return _by_runtime(model, feeds)
    except ImportError:
        why = "onnxruntime is not installed"
    except Exception as fault:  # onnxruntime has errors of its own
        why = f"onnxruntime can't run it: {_first_line(fault)}"
    ignored = _ignored(graph)
    if ignored:
        raise CantRunError(f"{why}, and ONNX's reference implementation ignores {ignored}")
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, dict(feeds))
        return [np.asarray(value) for value in found]
    except Exception as fault:
        reason = f"{why}; nor can ONNX's reference implementation: {_first_line(fault)}"
        raise CantRunError(reason) from fault


def _by_runtime(model: Any, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # the optimizer's time is not bounded by the size of a file: it grows with its square and more
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with redirect_stdout(io.StringIO()):  # where it prints what it raises
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    asked = {one.name for one in session.get_inputs()}
    given = {name: value for name, value in feeds.items() if name in asked}
    return [np.asarray(value) for value in session.run(None, given)]


def _ignored(graph: OnnxGraph) -> str:
    """What ONNX's reference implementation of recurrent nodes does not look at."""
    for node in graph.nodes:
        if node.op in CELL_OPS:
            for attribute in ("activations", "clip", "input_forget"):
                if node.get(attribute):
                    return attribute
            if len(node.inputs) > 4 and node.inputs[4]:
                return "sequence_lens"
    return ""


def _model(graph: OnnxGraph) -> Any:
    """The file's model, of what its outputs need alone, with all weights inside."""
    if sum(value.nbytes for value in graph.constants.values()) > MOST_BYTES:
        raise CantRunError("its weights are too large to be handed on")
    model = onnx.ModelProto()
    model.ir_version = graph.proto.ir_version
    model.opset_import.extend(graph.proto.opset_import)
    own, theirs = model.graph, graph.proto.graph
    own.name = theirs.name or "graph"
    used = {name for node in graph.nodes for name in node.inputs} | set(graph.outputs)
    types = {one.name: one.data_type for one in theirs.initializer}
    for name, value in graph.constants.items():
        if name in used:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(types[name])
            own.initializer.append(numpy_helper.from_array(value.astype(dtype), name))
    own.input.extend(one for one in theirs.input if one.name in used - graph.constants.keys())
    own.output.extend(theirs.output)
    for index, node in enumerate(graph.nodes):
        is_batchwise = node.op in CELL_OPS and node.get("layout")
        own.node.extend(_turned(node.proto, str(index)) if is_batchwise else [node.proto])
    for one in own.node:  # two of one name are no fault, but onnxruntime takes them for one
        one.name = ""
    return model


def _turned(node: Any, number: str) -> list[Any]:
    """A recurrent node of layout 1, which onnxruntime lacks, as one of layout 0 between turns."""
    turned = onnx.NodeProto()
    turned.CopyFrom(node)
    kept = [one for one in node.attribute if one.name != "layout"]
    del turned.attribute[:]
    turned.attribute.extend(kept)
    before, after = [], []
    for index in (0, 5, 6):  # X, initial_h, initial_c
        if index < len(node.input) and node.input[index]:
            name = f"{node.input[index]}_turned_{number}_{index}"
            before.append(onnx.helper.make_node("Transpose", [node.input[index]], [name],
                                                perm=[1, 0, 2]))  # fmt: skip
            turned.input[index] = name
    for index, output in enumerate(node.output):
        if output:
            name, perm = f"{output}_turned_{number}", [1, 0, 2] if index else [2, 0, 1, 3]
            after.append(onnx.helper.make_node("Transpose", [name], [output], perm=perm))
            turned.output[index] = name
    return [*before, turned, *after]


def _first_line(fault: Exception) -> str:
    text = str(fault).strip() or type(fault).__name__
    return text.splitlines()[0][:200]
