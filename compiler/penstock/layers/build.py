"""Small steps that every layer takes when it becomes operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.ir import Graph, Node
from penstock.ir.matrix import Matrix
from penstock.layers.types import FINEST, Types
from penstock.ops import Add, Const, Lut, MatVec, Mul, Requant, Scale, StateRead, StateWrite, Sub
from penstock.ops.lut import lut_input_type, lut_tables
from penstock.settings import EXPONENT_BITS

SPREAD = 8
"""How many bits finer than its coarsest product an accumulator may be."""

Tables = dict[tuple[str, Fixed, Fixed], list[str]]
"""(function, input type, result type) -> constant nodes: one table for all its users."""

Source = tuple[str, int, int]
"""A node, and the columns (start, stop) of the layer's input matrix that it feeds."""


@dataclass
class Builder:
    """Adds nodes to ``graph`` under a layer's name, in one sweep."""

    graph: Graph
    types: Types
    layer: str
    sweep: int
    tables: Tables = field(default_factory=dict)

    def named(self, name: str) -> str:
        """The full name of a node of this layer."""
        return f"{self.layer}.{name}"

    def constant(self, name: str, dtype: Fixed, values: FloatArray) -> str:
        """A vector, quantized to ``dtype``."""
        return self._add_constant(name, dtype, dtype.quantize(values))

    def matrix(self, name: str, dtype: Fixed, values: FloatArray, exponents: IntArray) -> str:
        """A matrix, quantized to ``dtype``; exponents: (rows), row r times 2**exponents[r]."""

        exponents = np.broadcast_to(exponents, len(values))

        def raw_of(reals: NDArray[Any], rows: IntArray) -> IntArray:
            wide = reals.astype(np.float64)
            return dtype.quantize(np.ldexp(wide, exponents[rows]))

        return self._add_constant(name, dtype, Matrix.of(values, raw_of))

    def _add_constant(self, name: str, dtype: Fixed, raw: IntArray | Matrix) -> str:
        return self.graph.add(self.named(name), Const(dtype, raw), sweep=self.sweep)

    def read_state(self, name: str, length: int, dtype: Fixed) -> str:
        """The state ``name`` of this layer as the step before left it."""
        read = StateRead(self.named(name), length, dtype)
        return self.graph.add(self.named(f"{name}_before"), read, sweep=self.sweep)

    def write_state(self, name: str, value: str) -> None:
        """``value`` becomes the state ``name`` of this layer at the end of the step."""
        write = StateWrite(self.named(name))
        self.graph.add(self.named(f"{name}_after"), write, value, sweep=self.sweep)

    def vector(self, name: str, values: FloatArray, beside: str, x: str) -> str:
        """Quantized weights of x's elements; their products are little finer than the accumulator
        that they add to.
        """
        max_frac = self.graph[beside].tensor.type.frac - self.graph[x].tensor.type.frac + SPREAD
        return self.constant(name, self.types.weight(self.named(name), values, max_frac), values)

    def bias(self, name: str, values: FloatArray, beside: str) -> str:
        """A quantized bias vector, no finer than the accumulator ``beside`` it."""
        max_frac = self.graph[beside].tensor.type.frac
        return self.constant(name, self.types.bias(self.named(name), values, max_frac), values)

    def matvec(self, name: str, *products: tuple[str, str, FloatArray]) -> str:
        """The sum of W x over (x, name of W, W); refuses accumulators narrower than the proof.

        Each W has the finest scale that holds it; but products finer than the coarsest by more than
        ``SPREAD`` bits would only widen the accumulator. With ``row_scales``, row r of all W is
        stored 2**e_r times as great, and its sum scaled back.
        """
        fracs = [self.graph[x].tensor.type.frac for x, _, _ in products]
        finest = [
            frac + self.types.weight(self.named(weights), values).frac
            for frac, (_, weights, values) in zip(fracs, products, strict=True)
            if values.any()
        ]
        max_frac = min(finest, default=FINEST) + SPREAD
        dtypes = [
            self.types.weight(self.named(weights), values, max_frac - frac)
            for frac, (_, weights, values) in zip(fracs, products, strict=True)
        ]
        matrices = {self.named(w): values for _, w, values in products}
        exponents = self.types.row_exponents(matrices, dtypes)
        operands = []
        for dtype, (x, weights, values) in zip(dtypes, products, strict=True):
            operands += [x, self.matrix(weights, dtype, values, exponents)]
        total = self._accumulator(name, operands)
        if not exponents.any():
            return total
        scales = Const(Fixed(EXPONENT_BITS, 0, signed=False), exponents)
        scale = self.graph.add(self.named(f"{name}_exponent"), scales, sweep=self.sweep)
        return self.graph.add(self.named(f"{name}_scaled"), Scale(), total, scale, sweep=self.sweep)

    def _accumulator(self, name: str, operands: list[str]) -> str:
        asked = self.types.precision.accumulators or 0
        try:
            full = self.graph.add(self.named(name), MatVec(asked), *operands, sweep=self.sweep)
        except ValueError as error:
            raise PenstockError(
                str(error), "precision", "give weights and inputs fewer bits"
            ) from error
        width = self.graph[full].tensor.type.width
        if asked and width > asked:
            raise PenstockError(
                f"accumulators of {asked} bits could overflow: {full} needs {width}",
                "precision",
                f"ask for {width} bits or more, or leave the width to the proof",
            )
        return full

    def add(self, name: str, *terms: str) -> str:
        """An exact sum."""
        return self.graph.add(self.named(name), Add(), *terms, sweep=self.sweep)

    def sub(self, name: str, a: str, b: str) -> str:
        """An exact difference."""
        return self.graph.add(self.named(name), Sub(), a, b, sweep=self.sweep)

    def mul(self, name: str, a: str, b: str) -> str:
        """An exact product."""
        return self.graph.add(self.named(name), Mul(), a, b, sweep=self.sweep)

    def requant(self, name: str, x: str, to: Fixed) -> str:
        """Round and saturate to a type."""
        return self.graph.add(self.named(name), Requant(to), x, sweep=self.sweep)

    def function(self, name: str, function: str, x: str, reach: float) -> str:
        """sigma or tanh of ``x`` by a table over [-reach, reach)."""
        precision = self.types.precision
        dtype = lut_input_type(precision.table_entries, precision.interpolate_bits, reach)
        to = self.types.gate(self.named(name), function)
        index = self.requant(f"{name}_in", x, dtype)
        tables = self._table(function, dtype, to, precision.interpolate_bits)
        lut = Lut(function, to, precision.interpolate_bits)
        return self.graph.add(self.named(name), lut, index, *tables, sweep=self.sweep)

    def _table(self, function: str, x: Fixed, to: Fixed, interpolate_bits: int) -> list[str]:
        """Table constants, shared by all users of the same function and types."""
        key = (function, x, to)
        if key not in self.tables:
            stem = f"table.{function}_{_number(x)}_{_number(to)}"
            if stem in self.graph:  # the same widths, other modes
                stem += f"_{len(self.tables)}"
            raws = lut_tables(function, x, to, interpolate_bits)
            self.tables[key] = [
                self.graph.add(f"{stem}{suffix}", Const(_table_type(raw, to), raw), sweep=0)
                for suffix, raw in zip(("", "_rise"), raws, strict=False)
            ]
        return self.tables[key]


def _number(dtype: Fixed) -> str:
    return str(dtype).replace(".", "_").replace("-", "m")


def _table_type(raw: IntArray, to: Fixed) -> Fixed:
    return to if to.fits(raw) else Fixed(to.width + 1, to.frac)


def numbered(name: str, parts: int) -> list[str]:
    """The names of the parts into which ``name`` is divided: itself if it is one."""
    return [name] if parts == 1 else [f"{name}{index}" for index in range(parts)]


def split_columns(
    name: str, matrix: FloatArray, sources: list[Source]
) -> list[tuple[str, str, FloatArray]]:
    """(x, name of W, W) for each source: its columns of ``matrix``."""
    return [
        (source, part, matrix[:, start:stop])
        for part, (source, start, stop) in zip(numbered(name, len(sources)), sources, strict=True)
    ]


def part_names(name: str, is_known: Callable[[str], bool]) -> list[str]:
    """``name`` itself if it is known, else the names of its parts that are: see ``numbered``."""
    if is_known(name):
        return [name]
    return list(takewhile(is_known, (f"{name}{index}" for index in count())))


def parts_of(graph: Graph, name: str) -> list[Node]:
    """The node of a constant, or the nodes into which ``split_columns`` divided it."""
    return [graph[part] for part in part_names(name, graph.__contains__)]


def exponents_of(graph: Graph) -> dict[str, IntArray]:
    """Of every weight matrix whose rows have scales of their own, e: row r is stored times 2**e."""
    found: dict[str, IntArray] = {}
    for node in graph.of_kind("scale"):
        total, exponent = graph.inputs(node)
        assert isinstance(exponent.tensor.constant, np.ndarray)
        found |= dict.fromkeys(total.inputs[1::2], exponent.tensor.constant)
    return found
