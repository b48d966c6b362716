"""Lut: sigma and tanh from a table. Twin: templates/hls/ops/lut.h.j2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from penstock.fixed import MAX_WIDTH, Fixed, FloatArray, IntArray, Overflow, Rounding, requantize
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require, require_vectors


def sigma(x: FloatArray) -> FloatArray:
    """The logistic function 1 / (1 + exp(-x))."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def tanh(x: FloatArray) -> FloatArray:
    """The hyperbolic tangent."""
    return np.asarray(np.tanh(x))


FUNCTIONS: dict[str, Callable[[FloatArray], FloatArray]] = {"sigma": sigma, "tanh": tanh}
LIMITS = {"sigma": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""What each function approaches far below and far above zero."""
FINE = 40
"""Fraction bits of results that count as not rounded."""


@dataclass(frozen=True)
class Lut(Traits):
    """``function`` of x by a table; with ``interpolate_bits``, linear between its entries.

    Operands: x (n), signed of b + interpolate_bits bits; the table, (2**b) constants of ``to``;
    with interpolation also the rises, (2**b) constants: next entry less this one.  ->  (n) of
    ``to``. The table is indexed by the top b bits of x as they are (two's complement): entry k
    belongs to x = k for k < 2**(b-1) and to x = k - 2**b above. Interpolation: entry + rise * (low
    bits) / 2**interpolate_bits, rounded by the modes of ``to``.
    """

    kind: ClassVar[str] = "lut"
    is_elementwise: ClassVar[bool] = True
    vectors: ClassVar[slice] = slice(0, 1)
    tables: ClassVar[slice] = slice(1, None)
    function: str
    to: Fixed
    interpolate_bits: int = 0

    def infer(self, x: Tensor, table: Tensor, rise: Tensor | None = None) -> Tensor:
        require(self.function in FUNCTIONS, f"there is no table of {self.function!r}")
        require_vectors(x)
        require(x.type.signed, f"x is of the unsigned type {x.type}")
        require(0 <= self.interpolate_bits < x.type.width,
                f"{self.interpolate_bits} bits of {x.type} can't be interpolated")  # fmt: skip
        entries = 1 << (x.type.width - self.interpolate_bits)
        require(table.shape == (entries,), f"{table.shape} entries for {x.type}")
        require(table.type == self.to, f"a table of {table.type} can't give {self.to}")
        if (rise is not None) != (self.interpolate_bits > 0):
            raise ValueError("interpolation needs the rises, and only it does")
        if rise is None:
            return Tensor(x.shape, self.to, table.lo, table.hi)
        require(rise.shape == table.shape and rise.type.frac == self.to.frac, "rises do not match")
        greatest = max(-table.lo, table.hi) + max(-rise.lo, rise.hi)
        require(greatest.bit_length() + self.interpolate_bits <= MAX_WIDTH,
                f"{self.interpolate_bits} bits between entries of {self.to} are too many"
                )  # fmt: skip
        return Tensor(x.shape, self.to, self.to.raw_min, self.to.raw_max)

    def eval(self, step: Step, x: Value, table: Value, rise: Value | None = None) -> IntArray:
        index = (x.raw >> self.interpolate_bits) & (len(table.raw) - 1)
        if rise is None:
            return np.asarray(table.raw[index])
        low = x.raw & ((1 << self.interpolate_bits) - 1)
        fine = (table.raw[index] << self.interpolate_bits) + rise.raw[index] * low
        return requantize(fine, self.to.frac + self.interpolate_bits, self.to)

    def cost(self, x: Tensor, table: Tensor, rise: Tensor | None = None) -> Cost:
        bits = table.length * (table.type.width + (rise.type.width if rise else 0))
        return Cost(
            dsp=int(rise is not None),
            bram18=-(-bits // 18432),
            latency_cycles=3 + 4 * int(rise is not None),
        )


def lut_input_type(entries: int, interpolate_bits: int, reach: float) -> Fixed:
    """The type of a table's input: ``entries`` entries over [-reach, reach).

    ``reach`` is rounded up to a power of two; values outside saturate.
    """
    width = entries.bit_length() - 1 + interpolate_bits
    integer_bits = int(np.ceil(np.log2(reach))) + 1
    return Fixed(width, width - integer_bits, True, Rounding.RND, Overflow.SAT)


def lut_tables(function: str, x: Fixed, to: Fixed, interpolate_bits: int) -> list[IntArray]:
    """The raw table (with interpolation, also the rises) of ``function`` for inputs of type x.

    The first and the last entry stand for all that saturates, so they are the function's limits:
    sigma's 0.0 and 1.0, tanh's -1.0 and 1.0 (or what ``to`` has nearest to it). With interpolation
    the last interval is flat, and its neighbour leads to the limit.
    """
    entries = 1 << (x.width - interpolate_bits)
    signed_index = (np.arange(entries) + entries // 2) % entries - entries // 2
    x_of = Fixed(x.width, x.frac - interpolate_bits).to_float

    def at(index: IntArray) -> IntArray:
        values = FUNCTIONS[function](x_of(index))
        values = np.where(index <= -(entries // 2), LIMITS[function][0], values)
        return to.quantize(np.where(index >= entries // 2 - 1, LIMITS[function][1], values))

    table = at(signed_index)
    return [table] if interpolate_bits == 0 else [table, at(signed_index + 1) - table]


def table_error(
    function: str, values: FloatArray, entries: int, interpolate_bits: int, reach: float
) -> FloatArray:
    """The squared error of a table over [-reach, reach) for each value, results not rounded."""
    x = lut_input_type(entries, interpolate_bits, reach)
    to = Fixed(FINE + 2, FINE, True, Rounding.RND, Overflow.SAT)
    tables = [Value(raw, to) for raw in lut_tables(function, x, to, interpolate_bits)]
    index = Value(x.quantize(values), x)
    got = Lut(function, to, interpolate_bits).eval(cast(Step, None), index, *tables)
    return np.asarray((to.to_float(got) - FUNCTIONS[function](values)) ** 2)
