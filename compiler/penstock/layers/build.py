"""Small steps that every layer takes when it becomes operations."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.errors import PenstockError
from penstock.fixed import Fixed, FloatArray, IntArray
from penstock.ir import Graph
from penstock.layers.types import Types
from penstock.ops import Add, Const, Lut, MatVec, Mul, Requant
from penstock.ops.lut import lut_input_type, lut_tables

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

    def weights(self, name: str, values: FloatArray) -> str:
        """A quantized weight matrix or peephole vector."""
        kind = self.types.weight(self.named(name), values)
        return self.graph.add(
            self.named(name), Const(kind, kind.quantize(values)), sweep=self.sweep
        )

    def bias(self, name: str, values: FloatArray) -> str:
        """A quantized bias vector."""
        kind = self.types.bias(self.named(name), values)
        return self.graph.add(
            self.named(name), Const(kind, kind.quantize(values)), sweep=self.sweep
        )

    def matvec(self, name: str, *operands: str) -> str:
        """An accumulator; refuses an ``accumulators`` setting narrower than the proof."""
        asked = self.types.precision.accumulators or 0
        full = self.graph.add(self.named(name), MatVec(asked), *operands, sweep=self.sweep)
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

    def mul(self, name: str, a: str, b: str) -> str:
        """An exact product."""
        return self.graph.add(self.named(name), Mul(), a, b, sweep=self.sweep)

    def requant(self, name: str, x: str, to: Fixed) -> str:
        """Round and saturate to a type."""
        return self.graph.add(self.named(name), Requant(to), x, sweep=self.sweep)

    def function(self, name: str, function: str, x: str, reach: float) -> str:
        """sigma or tanh of ``x`` by a table over [-reach, reach)."""
        precision = self.types.precision
        kind = lut_input_type(precision.table_entries, precision.interpolate_bits, reach)
        to = self.types.gate(self.named(name), function)
        index = self.requant(f"{name}_in", x, kind)
        tables = self._table(function, kind, to, precision.interpolate_bits)
        lut = Lut(function, to, precision.interpolate_bits)
        return self.graph.add(self.named(name), lut, index, *tables, sweep=self.sweep)

    def _table(self, function: str, x: Fixed, to: Fixed, interpolate_bits: int) -> list[str]:
        """Table constants, shared by all users of the same function and types."""
        key = (function, x, to)
        if key not in self.tables:
            stem = f"table.{function}_{_number(x)}_{_number(to)}"
            raws = lut_tables(function, x, to, interpolate_bits)
            self.tables[key] = [
                self.graph.add(f"{stem}{suffix}", Const(_table_type(raw, to), raw), sweep=0)
                for suffix, raw in zip(("", "_rise"), raws, strict=False)
            ]
        return self.tables[key]


def _number(kind: Fixed) -> str:
    return str(kind).replace(".", "_").replace("-", "m")


def _table_type(raw: IntArray, to: Fixed) -> Fixed:
    return to if to.fits(raw) and to.raw_min <= raw.min() else Fixed(to.width + 1, to.frac)
