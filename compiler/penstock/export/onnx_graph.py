"""An ONNX graph in the making: nodes in order, constants, and names that nobody else has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penstock.fixed import Fixed, IntArray
from penstock.ir.matrix import Matrix, narrowest
from penstock.ir.op import Tensor

OPSET, IR_VERSION = 21, 10
"""The first opset whose DequantizeLinear takes 16-bit integers, and the format of its time."""
SINGLE_BITS = 24
"""float32 holds every integer of so many bits."""
FARTHEST = 100
"""Binary points that float32 can express with its integers' bits to spare."""


class Model:
    """What all parts of an ONNX graph share: constants, and names. taken: names of its ends."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.initializers: list[Any] = []
        self._taken = set(taken)
        self._scalars: dict[tuple[str, float], str] = {}

    def fresh(self, stem: str) -> str:
        """``stem``, or with a number behind it if a value has that name already."""
        name, count = stem, 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name

    def array(self, stem: str, values: NDArray[Any]) -> str:
        """A constant."""
        name = self.fresh(stem)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def scalar(self, value: float, dtype: type[Any] = np.float64) -> str:
        """A number, which all that ask for it share."""
        key = dtype.__name__, value
        if key not in self._scalars:
            text = f"{value:g}" if value == float(f"{value:g}") else repr(value)
            self._scalars[key] = self.array(f"{dtype.__name__}.{text}", np.array(value, dtype))
        return self._scalars[key]


class Body:
    """Nodes that run one after the other: those of the graph itself, or of a Scan's step.

    stem: the node of the network that is being written; ONNX nodes are named after it.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.nodes, self.stem = model, list[Any](), ""

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node with one result; ``name``: what that is called, if nothing else is."""
        stem = f"{self.stem}/{op.lower()}" if name is None else name
        return self.add_all(op, inputs, [stem], **attributes)[0]

    def add_all(
        self, op: str, inputs: Iterable[str], stems: Iterable[str], **attributes: Any
    ) -> list[str]:
        """A node, and the names of all its results."""
        results = [self.model.fresh(stem) for stem in stems]
        node = helper.make_node(op, list(inputs), results, name=results[0], **attributes)
        self.nodes.append(node)
        return results

    def named(self, value: str, stem: str) -> str:
        """The result of the last node, called ``stem``, if it is ``value``; else ``value``."""
        if not self.nodes or list(self.nodes[-1].output) != [value]:
            return value
        name = self.model.fresh(stem)
        self.nodes[-1].output[0] = self.nodes[-1].name = name
        return name

    def give(self, value: str, name: str, dtype: int) -> None:
        """``value`` leaves the graph as ``dtype``, under ``name``, which is taken for it."""
        self.nodes.append(helper.make_node("Cast", [value], [name], name=name, to=dtype))

    def times(self, value: str, factor: float) -> str:
        """``value`` times a number."""
        return value if factor == 1 else self.add("Mul", value, self.model.scalar(factor))

    def cast(self, value: str, dtype: int, name: str | None = None) -> str:
        """``value`` as another type."""
        return self.add("Cast", value, name=name, to=dtype)

    def constant(self, name: str, tensor: Tensor) -> str:
        """A constant of the network in float64, from its integers by DequantizeLinear.

        Where float32, which is what DequantizeLinear gives, can't hold it, it stands there in
        float64.
        """
        self.stem = name
        raw, dtype = dense(tensor.constant), tensor.type
        if max(-tensor.lo, tensor.hi) > 1 << SINGLE_BITS or abs(dtype.frac) > FARTHEST:
            return self.model.array(name, dtype.to_float(raw))
        integers = self.model.array(f"{name}.raw", raw)
        scale = self.model.scalar(dtype.step, np.float32)
        return self.cast(self.add("DequantizeLinear", integers, scale), TensorProto.DOUBLE, name)


def needed(nodes: Sequence[Any], results: Iterable[str]) -> tuple[list[Any], set[str]]:
    """The nodes that ``results`` depend on, in order, and the names of all that is read by them."""
    read, found = set(results), list[Any]()
    for node in reversed(nodes):
        if read.isdisjoint(node.output):
            continue
        found.append(node)
        read.update(read_by(node))
    return found[::-1], read


def read_by(node: Any) -> set[str]:
    """What a node reads, and what the graph inside of it does."""
    inner = (one for attribute in node.attribute for one in attribute.g.node)
    return {*node.input, *(name for one in inner for name in one.input)}


def dense(constant: IntArray | Matrix | None) -> NDArray[Any]:
    """Raw integers, zeros and all, in the smallest type."""
    if not isinstance(constant, Matrix):
        return narrowest(np.asarray(constant))
    found = np.zeros(constant.shape, constant.values.dtype)
    found[constant.rows, constant.columns] = constant.values
    return found


def real_type(dtype: Fixed) -> int:
    """The ONNX type in which values of ``dtype`` come and go: float32 if it holds all of them."""
    bits = dtype.width - int(dtype.signed)
    fits = bits <= SINGLE_BITS and abs(dtype.frac) <= FARTHEST
    found: int = TensorProto.FLOAT if fits else TensorProto.DOUBLE
    return found
