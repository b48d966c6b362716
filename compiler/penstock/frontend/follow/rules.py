"""Rules that all front ends share: what an operation computes, on Labels and NumPy arrays.

An operand is Labels, or an array of constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from penstock.fixed import FloatArray
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Labels, Unfollowed
from penstock.layers import Activation, Cell, Clamp, Relu
from penstock.layers.gated import Gated

Operand = Labels | FloatArray


def labels_of(value: Operand) -> Labels:
    """Labels as they are; an array as labels of constants."""
    return value if isinstance(value, Labels) else Labels.constants(np.asarray(value, dtype=float))


def joined(parts: Sequence[Labels], axis: int) -> Labels:
    """Arrays one behind the other."""
    return Labels(*(np.concatenate(ones, axis) for ones in zip(*(p.parts for p in parts),
                                                              strict=True)))  # fmt: skip


def stacked(parts: Sequence[Labels], axis: int = 0) -> Labels:
    """Arrays of one shape along a new axis."""
    return Labels(*(np.stack(ones, axis) for ones in zip(*(p.parts for p in parts),
                                                         strict=True)))  # fmt: skip


def added(build: Builder, a: Operand, b: Operand) -> Labels:
    """a + b; at least one is Labels."""
    if not isinstance(a, Labels):
        return labels_of(b).shifted(a)
    if not isinstance(b, Labels):
        return a.shifted(b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    terms = [a.broadcast(shape), b.broadcast(shape)]
    for one, other in (terms, terms[::-1]):
        if one.is_constant.all():
            return other.shifted(one.shift)
    return build.combination(terms)


def multiplied(build: Builder, a: Operand, b: Operand) -> Labels:
    """a . b, element by element; at least one is Labels."""
    if not isinstance(a, Labels):
        return labels_of(b).scaled(a)
    if not isinstance(b, Labels):
        return a.scaled(b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = a.broadcast(shape), b.broadcast(shape)
    for one, other in ((a, b), (b, a)):
        if one.is_constant.all():
            return other.scaled(one.shift)
    return build.product(a, b)


def matrix_product(build: Builder, a: Operand, b: Operand, title: str) -> Labels:
    """a b as numpy.matmul has it; one is Labels, the other a constant matrix or vector."""
    if isinstance(a, Labels) and isinstance(b, Labels):
        raise Unfollowed("it multiplies two values of the network, as attention does")
    if isinstance(b, Labels):
        if len(b.shape) > 2:
            raise Unfollowed("a constant matrix stands before the frames")
        turned = b.moved(lambda part: part.T)
        return build.linear(turned, np.asarray(a), None, title).moved(lambda part: part.T)
    a, weight = labels_of(a), b
    if weight.ndim > 2 and (weight == weight[:1]).all():
        weight = weight[0]
    if weight.ndim == 1:
        return build.linear(a, weight[None], None, title).moved(lambda part: part[..., 0])
    if weight.ndim != 2:
        raise Unfollowed("every sequence has a matrix of its own")
    return build.linear(a, weight.T, None, title)


def pointwise(
    build: Builder, x: Labels, weight: FloatArray, bias: FloatArray | None, groups: int, title: str
) -> Labels:
    """A convolution whose kernel is one step long: a Linear layer at every step.

    x: (sequences, inputs, steps); weight: (outputs, inputs / groups, 1).
    """
    if x.shape[2:] != x.shape[2:3] or weight.ndim != 3 or weight.shape[2] != 1:
        raise Unfollowed("a convolution over several steps has no layer here")
    count = weight.shape[1]
    matrix = np.zeros((len(weight), x.shape[1]))
    for group, rows in enumerate(np.split(np.arange(len(weight)), groups)):
        matrix[rows, group * count : (group + 1) * count] = weight[rows, :, 0]
    frames = x.moved(lambda part: part.swapaxes(1, 2))
    return build.linear(frames, matrix, bias, title).moved(lambda part: part.swapaxes(1, 2))


def normalized(
    x: Labels, weight: FloatArray | float, bias: FloatArray | float, mean: FloatArray,
    var: FloatArray, eps: float,
) -> Labels:  # fmt: skip
    """BatchNorm in inference; the channels are axis 1."""
    shape = (1, -1) + (1,) * (len(x.shape) - 2)
    scale = weight / np.sqrt(var + eps)
    shift = bias - mean * scale
    return x.scaled(scale.reshape(shape)).shifted(shift.reshape(shape))


def function_of(build: Builder, x: Labels, function: str) -> Labels:
    """``sigma`` or ``tanh`` of every element."""
    return build.elementwise(x, function, lambda n: Activation(n, function))


def clamped(build: Builder, x: Labels, low: float, high: float) -> Labels:
    """Every element between two limits; infinity is none."""
    kind = f"clamp_{_digits(low)}_{_digits(high)}"
    return build.elementwise(x, kind, lambda n: Clamp(n, low, high))


def _digits(limit: float) -> str:
    """A number in a name: as short as it can be, and different for different numbers."""
    short = f"{limit:g}"
    text = short if float(short) == limit else repr(limit)
    return text.replace("-", "m").replace(".", "_").replace("+", "")


def sloped(build: Builder, x: Labels, slope: FloatArray | float) -> Labels:
    """x where it is positive, slope x elsewhere: slope x + (1 - slope) relu(x)."""
    positive = build.elementwise(x, "relu", Relu)
    return build.combination([x.scaled(slope), positive.scaled(1.0 - np.asarray(slope))])


def greatest(build: Builder, a: Labels, b: Labels, sign: int = 1) -> Labels:
    """The greater of a and b, element by element: b + relu(a - b). sign -1: the lesser."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = a.broadcast(shape), b.broadcast(shape)
    above = build.elementwise(added(build, a, b.scaled(-1.0)).scaled(sign), "relu", Relu)
    return added(build, b, above.scaled(sign))


def reads_through(cell: Cell, matrix: FloatArray, shift: FloatArray) -> Cell:
    """The cell whose frame is ``matrix`` x + ``shift``, as a cell that reads x."""
    if not isinstance(cell, Gated):
        raise TypeError(f"{type(cell).__name__} has no gates")
    bias = dict(cell.bias)
    for gate, weights in cell.w_x.items():
        name = gate if gate in bias else f"{gate}x"
        bias[name] = bias[name] + weights @ shift
    w_x = {gate: weights @ matrix for gate, weights in cell.w_x.items()}
    return replace(cell, w_x=w_x, bias=bias)
