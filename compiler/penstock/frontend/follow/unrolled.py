"""Recurrences that an exporter has unrolled into single operations: how they are told."""

from __future__ import annotations

from collections import defaultdict

from penstock.frontend.follow.onnx_file import Node, OnnxGraph

LEAST_COPIES = 2
PRODUCTS = ("MatMul", "Gemm")
CELLS = ("LSTM", "GRU", "RNN")
EXPLANATION = (
    "the recurrence is unrolled into single operations, a copy of the cell for each step ({} "
    "matrix products, one behind the other)"
)
UNROLLED_HINT = (
    "export it so that LSTM, GRU or RNN stays one node (torch: nn.LSTM and nn.GRU, or dynamo=False "
    "for nn.RNN; Keras: tf2onnx), or compile the torch module or its state dict"
)


def copies_of_a_cell(graph: OnnxGraph) -> int:
    """How often one matrix multiplies what depends on its own product; 0 for no recurrence."""
    if any(node.op in CELLS for node in graph.nodes):
        return 0
    groups: dict[tuple[object, ...], list[Node]] = defaultdict(list)
    origin: dict[str, str] = {}
    for node in graph.nodes:
        if node.op in ("Transpose", "Identity", "Squeeze"):
            origin[node.outputs[0]] = origin.get(node.inputs[0], node.inputs[0])
        if node.op not in PRODUCTS:
            continue
        for name in node.inputs[:2]:
            weight = graph.constants.get(origin.get(name, name))
            if weight is not None:
                groups[(weight.shape, weight.tobytes())].append(node)
    return max((_chain(graph, nodes) for nodes in groups.values()), default=0)


def _chain(graph: OnnxGraph, copies: list[Node]) -> int:
    """Copies that depend on the first of them, itself among them; 0 for fewer than the least."""
    if len(copies) < LEAST_COPIES:
        return 0
    reached = set(copies[0].outputs)
    count = 1
    wanted = {id(node) for node in copies[1:]}
    for node in graph.nodes:
        if reached & set(node.inputs):
            reached |= set(node.outputs)
            count += id(node) in wanted
    return count if count >= LEAST_COPIES else 0
