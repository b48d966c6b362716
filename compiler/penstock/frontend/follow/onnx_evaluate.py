"""Single nodes on arrays, by ONNX's own reference implementation, with bounds on their results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from penstock.frontend.follow.labels import Unfollowed
from penstock.frontend.follow.onnx_file import Node

Array = NDArray[Any]
MOST_CONSTANTS, UNFOLDED = 2**22, 16
"""Elements of all constants that a graph computes, together: so many, or so many times those that
it holds."""
MOVES = frozenset({
    "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Gather", "GatherElements", "Concat",
    "Split", "Flatten", "Expand", "Identity", "Tile", "Pad", "Where", "ReverseSequence",
})  # fmt: skip
"""Operations that only move elements."""
ARITHMETIC = frozenset({
    "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sqrt", "Exp", "Log", "Pow", "Reciprocal", "Min",
    "Max", "Mod", "Sum", "MatMul", "Gemm", "Relu", "Tanh", "Sigmoid", "Clip", "Cast", "CastLike",
    "Floor", "Ceil", "Round", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Not",
    "And", "Or", "ConstantOfShape", "Range", "Shape", "Size", "ReduceProd", "ReduceMin",
    "ReduceMax", "ReduceSum", "ReduceMean", "DequantizeLinear", "CumSum", "NonZero", "Sign", "Erf",
})  # fmt: skip
"""Those that constants may be computed with, beside moves."""


def evaluate(node: Node, opset: int, operands: Sequence[Array | None]) -> list[Array]:
    """What a node makes of arrays. Raises Unfollowed where it can't."""
    feeds = {name: value for name, value in zip(node.inputs, operands, strict=True)
             if name and value is not None}  # fmt: skip
    names = [name for name in node.outputs if name]
    try:
        graph = helper.make_graph(
            [node.proto], "node", [_untyped(name) for name in feeds], [_untyped(n) for n in names]
        )
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(graph, opsets={"": opset}).run(names, feeds)
    except Exception as fault:  # whatever a damaged node makes of the evaluator
        text = (str(fault).strip() or type(fault).__name__).splitlines()[0][:200]
        raise Unfollowed(f"it can't be evaluated: {text}", "is the model valid?") from fault
    return [np.asarray(value) for value in found]


def _untyped(name: str) -> Any:
    return helper.make_tensor_value_info(name, 0, None)


def result_size(node: Node, operands: Sequence[Array | None]) -> int:
    """Elements of what a node gives, at most. Raises Unfollowed for impossible operands."""
    try:
        return _size(node, [np.asarray(one) for one in operands if one is not None])
    except (ValueError, IndexError, TypeError, OverflowError) as fault:
        raise Unfollowed(f"its inputs do not fit: {fault}", "is the model valid?") from fault


def _size(node: Node, operands: list[Array]) -> int:
    shapes: list[tuple[int, ...]] = [one.shape for one in operands]
    sizes = [math.prod(shape) for shape in shapes]
    match node.op:
        case "ConstantOfShape":
            return math.prod(_integers(operands[0]))
        case "Expand":
            wanted = tuple(_integers(operands[1]))
            if any(size < 0 for size in wanted):
                raise ValueError(f"a shape of {list(wanted)}")
            rank = max(len(wanted), len(shapes[0]))
            a = (1,) * (rank - len(shapes[0])) + shapes[0]
            b = (1,) * (rank - len(wanted)) + wanted
            return math.prod(max(x, y) for x, y in zip(a, b, strict=True))
        case "Tile":
            return sizes[0] * math.prod(_integers(operands[1]))
        case "Range":
            start, limit, delta = (float(one) for one in operands[:3])
            return max(math.ceil((limit - start) / delta), 0) if delta else sizes[0]
        case "Pad":
            pads = node.get("pads") or _integers(operands[1])
            return (sum(abs(int(pad)) for pad in pads) + 1) * math.prod(
                size + abs(int(a)) + abs(int(b))
                for size, a, b in zip(shapes[0], pads, pads[len(pads) // 2 :], strict=False)
            )
        case "MatMul":
            rows = sizes[0] // max(shapes[0][-1], 1)
            return rows * (sizes[1] // max(shapes[1][-2:][0], 1))
        case "Gemm":
            rows = shapes[0][1 if node.get("transA") else 0]
            return rows * shapes[1][0 if node.get("transB") else 1]
        case "Gather":
            rest = list(shapes[0])
            del rest[node.get("axis", 0)]
            return sizes[1] * math.prod(rest)
        case "Concat":
            return sum(sizes)
        case "GatherElements":
            return sizes[1]
    if node.op in MOVES - {"Where"}:
        return sizes[0] if sizes else 0
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return math.prod(max(axis) for axis in zip(*padded, strict=True))


def _integers(array: Array) -> list[int]:
    return [int(value) for value in np.ravel(array)]
