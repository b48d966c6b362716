"""What the computing operations of ONNX become, except for the recurrent ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.fixed import FloatArray
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.network import End
from penstock.frontend.follow.onnx_file import Node
from penstock.frontend.follow.onnx_nodes import OnnxFollower, axes_of, rule, title_of
from penstock.frontend.follow.pooling import least, pool
from penstock.frontend.follow.rules import (
    Operand,
    added,
    clamped,
    function_of,
    greatest,
    labels_of,
    matrix_product,
    multiplied,
    normalized,
    pointwise,
    sloped,
)
from penstock.layers import Relu


def constant(value: Any, what: str) -> FloatArray:
    """An operand that must be known."""
    if isinstance(value, Labels):
        raise Unfollowed(f"its {what} depends on the input")
    return np.asarray(value, dtype=np.float64)


def operand(value: Any) -> Operand:
    """Labels, or a constant as float64."""
    return value if isinstance(value, Labels) else constant(value, "operand")


@rule("Shape")
def _shape(f: OnnxFollower, node: Node, x: Labels) -> Any:
    return np.array(x.shape[node.get("start", 0) : node.get("end")], dtype=np.int64)


@rule("Size")
def _size(f: OnnxFollower, node: Node, x: Labels) -> Any:
    return np.array(x.value.size, dtype=np.int64)


@rule("Cast", "CastLike")
def _cast(f: OnnxFollower, node: Node, x: Labels, *like: Any) -> Labels:
    is_float = node.get("to", 1) in (1, 10, 11, 16)  # float, float16, double, bfloat16
    is_tokens = f.build.values[0].width == 1 and (x.value == 0).all()
    if not is_float and not is_tokens:
        raise Unfollowed("it rounds values of the network")
    return x


@rule("Dropout")
def _dropout(f: OnnxFollower, node: Node, x: Labels, *more: Any) -> Labels:
    if len(more) > 1 and more[1] is not None and np.any(constant(more[1], "training_mode")):
        raise Unfollowed("it is in training mode", "export the model for inference")
    return x


@rule("MatMul")
def _matmul(f: OnnxFollower, node: Node, a: Any, b: Any) -> Labels:
    return matrix_product(f.build, operand(a), operand(b), title_of(node))


@rule("Gemm")
def _gemm(f: OnnxFollower, node: Node, a: Any, b: Any, c: Any = None) -> Labels:
    a, b = (
        one if not node.get(name) else one.moved(np.transpose) if isinstance(one, Labels) else one.T
        for one, name in ((a, "transA"), (b, "transB"))
    )
    y = _matmul(f, node, a, b).scaled(node.get("alpha", 1.0))
    if c is None:
        return y
    return added(f.build, y, labels_of(operand(c)).scaled(node.get("beta", 1.0)))


@rule("Add")
def _add(f: OnnxFollower, node: Node, a: Any, b: Any) -> Labels:
    return added(f.build, operand(a), operand(b))


@rule("Sum")
def _sum(f: OnnxFollower, node: Node, *terms: Any) -> Labels:
    total = terms[0]
    for term in terms[1:]:
        is_known = not isinstance(total, Labels) and not isinstance(term, Labels)
        total = total + term if is_known else added(f.build, operand(total), operand(term))
    return labels_of(total)


@rule("Sub")
def _sub(f: OnnxFollower, node: Node, a: Any, b: Any) -> Labels:
    return added(f.build, operand(a), b.scaled(-1.0) if isinstance(b, Labels) else -operand(b))  # type: ignore[operator]


@rule("Neg")
def _neg(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return x.scaled(-1.0)


@rule("Mul")
def _mul(f: OnnxFollower, node: Node, a: Any, b: Any) -> Labels:
    return multiplied(f.build, operand(a), operand(b))


@rule("Div")
def _div(f: OnnxFollower, node: Node, a: Any, b: Any) -> Labels:
    if isinstance(b, Labels):
        raise Unfollowed("it divides by a value of the network")
    by = constant(b, "divisor")
    if (by == 0).any():
        raise Unfollowed("it divides by zero")
    return labels_of(operand(a)).scaled(1.0 / by)


@rule("Pow")
def _pow(f: OnnxFollower, node: Node, x: Any, exponent: Any) -> Labels:
    power = np.unique(constant(exponent, "exponent")).tolist()
    if not isinstance(x, Labels) or power not in ([1.0], [2.0]):
        raise Unfollowed("only squares are followed")
    return f.build.product(x, x) if power == [2.0] else x


@rule("Relu")
def _relu(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return f.build.elementwise(x, "relu", Relu)


@rule("Conv")
def _conv(f: OnnxFollower, node: Node, x: Any, weight: Any, bias: Any = None) -> Labels:
    pads, strides = node.get("pads", [0]), node.get("strides", [1])
    is_padded = node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or any(pads)
    if is_padded or set(strides) != {1}:
        raise Unfollowed("a convolution that leaves out or adds steps has no layer here")
    shift = None if bias is None else constant(bias, "bias")
    kernel = constant(weight, "weights")
    return pointwise(f.build, labels_of(x), kernel, shift, node.get("group", 1), title_of(node))


@rule("LeakyRelu")
def _leaky(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return sloped(f.build, x, float(node.get("alpha", 0.01)))


@rule("PRelu")
def _prelu(f: OnnxFollower, node: Node, x: Labels, slope: Any) -> Labels:
    return sloped(f.build, x, constant(slope, "slope"))


@rule("Abs")
def _abs(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return sloped(f.build, x, -1.0)


@rule("Sigmoid")
def _sigmoid(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return function_of(f.build, x, "sigma")


@rule("Tanh")
def _tanh(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return function_of(f.build, x, "tanh")


@rule("Clip")
def _clip(f: OnnxFollower, node: Node, x: Labels, low: Any = None, high: Any = None) -> Labels:
    low = node.get("min", -np.inf) if low is None else _limit(low)
    high = node.get("max", np.inf) if high is None else _limit(high)
    return clamped(f.build, x, low, high)


@rule("Max", "Min")
def _limited(f: OnnxFollower, node: Node, *terms: Any) -> Labels:
    values = [term for term in terms if isinstance(term, Labels)]
    if len(terms) != 2:
        raise Unfollowed(f"it compares {len(terms)} values")
    if len(values) == 2:
        return greatest(f.build, values[0], values[1], 1 if node.op == "Max" else -1)
    (limit,) = (_limit(term) for term in terms if not isinstance(term, Labels))
    is_low = node.op == "Max"
    return clamped(f.build, values[0], limit if is_low else -np.inf, np.inf if is_low else limit)


def _limit(value: Any) -> float:
    limits = np.unique(constant(value, "limit"))
    if len(limits) != 1 or np.isnan(limits[0]):
        raise Unfollowed("every element has a limit of its own")
    limit = float(limits[0])
    most = float(np.finfo(np.float32).max)
    return limit if abs(limit) < most else float(np.copysign(np.inf, limit))


@rule("HardSigmoid")
def _hard_sigmoid(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    affine = x.scaled(node.get("alpha", 0.2)).shifted(node.get("beta", 0.5))
    return clamped(f.build, affine, 0.0, 1.0)


@rule("HardSwish")
def _hard_swish(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    return f.build.product(x, clamped(f.build, x.scaled(1 / 6).shifted(0.5), 0.0, 1.0))


@rule("BatchNormalization")
def _batch_norm(
    f: OnnxFollower, node: Node, x: Labels, scale: Any, bias: Any, mean: Any, var: Any
) -> Labels:
    if node.get("training_mode"):
        raise Unfollowed("it is in training mode", "export the model for inference")
    scale, bias, mean, var = (constant(one, "statistics") for one in (scale, bias, mean, var))
    return normalized(x, scale, bias, mean, var, node.get("epsilon", 1e-5))


def _reduced(f: OnnxFollower, node: Node, x: Labels, axes: Any, how: str) -> Labels:
    chosen = axes_of(node, x, axes)
    return pool(f.build, x, chosen, how, bool(node.get("keepdims", 1))) if chosen else x


@rule("ReduceMean")
def _mean(f: OnnxFollower, node: Node, x: Labels, axes: Any = None) -> Labels:
    return _reduced(f, node, x, axes, "mean")


@rule("ReduceMin")
def _min(f: OnnxFollower, node: Node, x: Labels, axes: Any = None) -> Labels:
    chosen = axes_of(node, x, axes)
    return least(f.build, x, chosen, bool(node.get("keepdims", 1))) if chosen else x


@rule("ReduceMax")
def _max(f: OnnxFollower, node: Node, x: Labels, axes: Any = None) -> Labels:
    return _reduced(f, node, x, axes, "max")


@rule("ReduceSum")
def _reduce_sum(f: OnnxFollower, node: Node, x: Labels, axes: Any = None) -> Labels:
    return _reduced(f, node, x, axes, "sum")


@rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(f: OnnxFollower, node: Node, x: Labels) -> Labels:
    how = "max" if node.op == "GlobalMaxPool" else "mean"
    return pool(f.build, x, list(range(2, len(x.shape))), how, True)


@rule("Softmax", "LogSoftmax")
def _softmax(f: OnnxFollower, node: Node, x: Labels) -> End:
    return f.end(node, x, node.get("axis", -1 if f.graph.opset >= 13 else 1))


@rule("ArgMax")
def _argmax(f: OnnxFollower, node: Node, x: Labels) -> End:
    return f.end(node, x, node.get("axis", 0))
