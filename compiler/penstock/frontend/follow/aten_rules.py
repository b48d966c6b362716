"""What every ATen operation computes, on labels and constants."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from penstock.fixed import FloatArray
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.frontend.follow.network import End
from penstock.frontend.follow.pooling import least, pool
from penstock.frontend.follow.rules import (
    Operand,
    added,
    matrix_product,
    multiplied,
    normalized,
    pointwise,
)

WHY_NOT = {
    "layer_norm": "LayerNorm has no layer here",
    "scaled_dot_product_attention": "attention has no layer here",
    "conv2d": "a convolution has no layer here",
    "exp": "there is no table of it",
    "sqrt": "there is no table of it",
    "gelu": "there is no table of it",
    "elu": "there is no table of it",
    "softplus": "there is no table of it",
    "cumsum": "it adds up along an axis, step by step",
    "avg_pool1d": "it pools over windows of steps",
    "max_pool1d": "it pools over windows of steps",
    "sort": "where an element goes depends on its value",
}

Rule = Callable[..., Any]
OneRule = TypeVar("OneRule", bound=Rule)
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[OneRule], OneRule]:
    """Makes a function the rule of ATen operations: (follower, title, *arguments) -> result."""

    def register(function: OneRule) -> OneRule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def on_array(
    call: Callable[[Any], Any], before: Callable[[Any], Any] = lambda values: values
) -> Callable[[Any], Any]:
    """A function of a tensor as one of an array, behind another."""
    return lambda values: call(torch.from_numpy(np.asarray(before(values)))).numpy()


def labels(value: Any) -> Labels:
    """A tensor as labels: of constants, if it is one."""
    if isinstance(value, Labels):
        return value
    return Labels.constants(numbers(value))


def operand(value: Any) -> Operand:
    """Labels as they are; a tensor or a number as an array."""
    return value if isinstance(value, Labels) else numbers(value)


def numbers(value: Any) -> FloatArray:
    """A constant tensor or number as an array. Raises Unfollowed."""
    if isinstance(value, Labels):
        raise Unfollowed("a value of the network stands where a constant is needed")
    if isinstance(value, torch.Tensor):
        return np.asarray(value.detach().cpu().to(torch.float64).numpy())
    return np.asarray(value, dtype=np.float64)


def _end(kind: str, target: Any) -> Callable[..., End]:
    def rule(build: Builder, title: str, x: Labels, dim: int, *rest: Any, **named: Any) -> End:
        return End(x, kind, dim, on_array(lambda values: target(values, dim)))

    return rule


RULES["softmax"] = RULES["_softmax"] = _end("softmax", torch.softmax)
RULES["log_softmax"] = RULES["_log_softmax"] = _end("log_softmax", torch.log_softmax)


@rule("argmax")
def _argmax(build: Builder, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> End:
    if dim is None:
        raise Unfollowed("argmax over all sequences")
    return End(x, "argmax", dim, on_array(lambda values: torch.argmax(values, dim, keepdim)))


@rule("embedding")
def _embedding(build: Builder, title: str, weight: Any, tokens: Labels, *rest: Any) -> Labels:
    return build.embedded(tokens, numbers(weight), title)


@rule("linear")
def _linear(build: Builder, title: str, x: Any, weight: Any, bias: Any = None) -> Labels:
    return build.linear(labels(x), numbers(weight), None if bias is None else numbers(bias), title)


@rule("matmul", "mm", "bmm")
def _matmul(build: Builder, title: str, a: Any, b: Any) -> Labels:
    return matrix_product(build, operand(a), operand(b), title)


@rule("addmm")
def _addmm(
    build: Builder, title: str, bias: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1
) -> Labels:
    return _add(
        build,
        title,
        _matmul(build, title, a, b).scaled(float(alpha)),
        labels(bias).scaled(float(beta)),
    )


@rule("copy")
def _copy(build: Builder, title: str, old: Any, new: Any, non_blocking: Any = False) -> Labels:
    """What is written into an array takes its shape; a scatter puts it into its place."""
    return labels(new).broadcast(tuple(old.shape))


@rule("einsum")
def _einsum(build: Builder, title: str, equation: str, operands: Any, path: Any = None) -> Labels:
    found = re.fullmatch(r"([a-z]*)([a-z]),([a-z])([a-z])->\1([a-z])", equation.replace(" ", ""))
    if not found or len(operands) != 2 or not isinstance(operands[0], Labels):
        raise Unfollowed(f"einsum {equation!r} is not a Linear layer")
    _, own, rows, columns, out = found.groups()
    weight = numbers(operands[1])
    if (own, out) == (rows, columns):
        weight = weight.T
    elif (own, out) != (columns, rows):
        raise Unfollowed(f"einsum {equation!r} is not a Linear layer")
    return build.linear(operands[0], weight, None, title)


@rule("add", "add_", "__add__")
def _add(build: Builder, title: str, a: Any, b: Any, alpha: Any = 1) -> Labels:
    b = b * alpha if not isinstance(b, Labels) else b.scaled(float(alpha))
    return added(build, operand(a), operand(b))


@rule("rsub")
def _rsub(build: Builder, title: str, a: Any, b: Any, alpha: Any = 1) -> Labels:
    return _sub(build, title, b, a, alpha)


@rule("sub")
def _sub(build: Builder, title: str, a: Any, b: Any, alpha: Any = 1) -> Labels:
    negated = b.scaled(-float(alpha)) if isinstance(b, Labels) else -b * alpha
    return _add(build, title, a, negated)


@rule("neg")
def _neg(build: Builder, title: str, x: Labels) -> Labels:
    return x.scaled(-1.0)


@rule("mul")
def _mul(build: Builder, title: str, a: Any, b: Any) -> Labels:
    return multiplied(build, operand(a), operand(b))


@rule("div")
def _div(build: Builder, title: str, a: Any, b: Any, rounding_mode: Any = None) -> Labels:
    if isinstance(b, Labels) or rounding_mode is not None:
        raise Unfollowed("it divides by a value of the network, or rounds")
    return labels(a).scaled(1.0 / numbers(b))


@rule("square")
def _square(build: Builder, title: str, x: Labels) -> Labels:
    return build.product(x, x)


@rule("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm")
def _batch_norm(
    build: Builder, title: str, x: Labels, weight: Any, bias: Any, mean: Any, var: Any, *rest: Any
) -> Any:
    is_plain = len(rest) == 4
    if is_plain and rest[0]:
        raise Unfollowed("BatchNorm takes the statistics of the batch", "call model.eval() first")
    eps = float(rest[2] if is_plain else rest[-1])
    if mean is None or var is None:
        raise Unfollowed("BatchNorm has no running statistics")
    scale = 1.0 if weight is None else numbers(weight)
    y = normalized(
        x, scale, 0.0 if bias is None else numbers(bias), numbers(mean), numbers(var), eps
    )
    return y if is_plain else (y, None, None)


@rule("conv1d")
def _conv1d(
    build: Builder, title: str, x: Labels, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Labels:  # fmt: skip
    moves = [*np.ravel(stride)] != [1] or [*np.ravel(padding)] not in ([0], ["valid"])
    if moves:
        raise Unfollowed("a convolution that leaves out or adds steps has no layer here")
    shift = None if bias is None else numbers(bias)
    return pointwise(build, labels(x), numbers(weight), shift, groups, title)


def _axes(x: Labels, dim: Any) -> list[int]:
    dims = (
        range(len(x.shape))
        if dim is None or dim == []
        else dim
        if isinstance(dim, list | tuple)
        else [dim]
    )
    return [axis % len(x.shape) for axis in dims]


def _pooling(how: str) -> Rule:
    def pooled(
        build: Builder, title: str, x: Labels, dim: Any = None, keepdim: bool = False,
        dtype: Any = None,
    ) -> Labels:  # fmt: skip
        return pool(build, x, _axes(x, dim), how, keepdim)

    return pooled


RULES |= {"mean": _pooling("mean"), "sum": _pooling("sum"), "amax": _pooling("max")}


@rule("max")
def _max(build: Builder, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> Any:
    pooled = pool(build, x, _axes(x, dim), "max", keepdim)
    return pooled if dim is None else (pooled, None)


@rule("amin")
def _amin(build: Builder, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> Labels:
    return least(build, x, _axes(x, dim), keepdim)


@rule("min")
def _min(build: Builder, title: str, x: Labels, dim: Any = None, keepdim: bool = False) -> Any:
    pooled = least(build, x, _axes(x, dim), keepdim)
    return pooled if dim is None else (pooled, None)


@rule("adaptive_avg_pool1d")
def _average_pool(build: Builder, title: str, x: Labels, size: Any) -> Labels:
    return _pool_to_one(build, x, size, "mean")


@rule("adaptive_max_pool1d")
def _max_pool(build: Builder, title: str, x: Labels, size: Any) -> Any:
    return _pool_to_one(build, x, size, "max"), None


def _pool_to_one(build: Builder, x: Labels, size: Any, how: str) -> Labels:
    if list(size) != [1]:
        raise Unfollowed("it pools to more than one frame")
    return pool(build, x, [len(x.shape) - 1], how, True)
