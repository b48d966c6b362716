"""Add, Sub, Mul, Scale, Relu, Clamp: exact arithmetic, element by element.

Twins: templates/hls/ops/{add,sub,mul,scale,relu,clamp}.h.j2. The results' types refuse intervals
beyond 60 bits; so must be aligned operands, which int64 holds on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from penstock.fixed import MAX_WIDTH, Fixed, IntArray
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require, require_vectors


def _aligned(*inputs: Tensor) -> tuple[int, list[tuple[int, int]]]:
    """The most fraction bits, and the interval of each operand when shifted to it."""
    frac = max(x.type.frac for x in inputs)
    ends = [(x.lo << (frac - x.type.frac), x.hi << (frac - x.type.frac)) for x in inputs]
    for x, (lo, hi) in zip(inputs, ends, strict=True):
        require(-(1 << (MAX_WIDTH - 1)) <= lo <= hi < 1 << (MAX_WIDTH - 1),
                f"{x.type} with {frac} fraction bits needs more than {MAX_WIDTH} bits")  # fmt: skip
    return frac, ends


@dataclass(frozen=True)
class Add(Traits):
    """x_1 + x_2 + ..., aligned to the finest operand; the result is as wide as its interval needs.

    x_k: (n) of any type  ->  (n), exact.
    """

    kind: ClassVar[str] = "add"
    is_elementwise: ClassVar[bool] = True

    def infer(self, *inputs: Tensor) -> Tensor:
        require_vectors(*inputs)
        frac, ends = _aligned(*inputs)
        lo, hi = sum(lo for lo, _ in ends), sum(hi for _, hi in ends)
        return Tensor(inputs[0].shape, Fixed.exact(lo, hi, frac), lo, hi)

    def eval(self, step: Step, *inputs: Value) -> IntArray:
        frac = max(x.type.frac for x in inputs)
        total = inputs[0].raw << (frac - inputs[0].type.frac)
        for x in inputs[1:]:
            total = total + (x.raw << (frac - x.type.frac))
        return total

    def cost(self, *inputs: Tensor) -> Cost:
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Sub(Traits):
    """a - b, aligned to the finer one; the result is as wide as its interval needs.

    a, b: (n) of any types  ->  (n), exact.
    """

    kind: ClassVar[str] = "sub"
    is_elementwise: ClassVar[bool] = True

    def infer(self, a: Tensor, b: Tensor) -> Tensor:
        require_vectors(a, b)
        frac, ((a_lo, a_hi), (b_lo, b_hi)) = _aligned(a, b)
        lo, hi = a_lo - b_hi, a_hi - b_lo
        return Tensor(a.shape, Fixed.exact(lo, hi, frac), lo, hi)

    def eval(self, step: Step, a: Value, b: Value) -> IntArray:
        frac = max(a.type.frac, b.type.frac)
        return (a.raw << (frac - a.type.frac)) - (b.raw << (frac - b.type.frac))

    def cost(self, a: Tensor, b: Tensor) -> Cost:
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Mul(Traits):
    """a * b, element by element.  a, b: (n)  ->  (n), exact."""

    kind: ClassVar[str] = "mul"
    is_elementwise: ClassVar[bool] = True

    def infer(self, a: Tensor, b: Tensor) -> Tensor:
        require_vectors(a, b)
        corners = [x * y for x, y in product((a.lo, a.hi), (b.lo, b.hi))]
        lo, hi = min(corners), max(corners)
        return Tensor(a.shape, Fixed.exact(lo, hi, a.type.frac + b.type.frac), lo, hi)

    def eval(self, step: Step, a: Value, b: Value) -> IntArray:
        return a.raw * b.raw

    def cost(self, a: Tensor, b: Tensor) -> Cost:
        return Cost(dsp=1, latency_cycles=4)


@dataclass(frozen=True)
class Scale(Traits):
    """x * 2**-e, element by element: sums of matrix rows that have scales of their own.

    x: (n); e: (n), constants of an unsigned integer type  ->  (n), exact.
    """

    kind: ClassVar[str] = "scale"
    is_elementwise: ClassVar[bool] = True

    def infer(self, x: Tensor, exponent: Tensor) -> Tensor:
        require_vectors(x, exponent)
        require(exponent.constant is not None, "exponents must be constant")
        require(exponent.type.frac == 0 and not exponent.type.signed,
                f"exponents of type {exponent.type} are not unsigned integers")  # fmt: skip
        most = exponent.hi - exponent.lo
        require(most < MAX_WIDTH, f"exponents {exponent.lo}..{exponent.hi} are too far apart")
        lo, hi = min(x.lo, x.lo << most), max(x.hi, x.hi << most)
        frac = x.type.frac + exponent.hi
        return Tensor(x.shape, Fixed.exact(lo, hi, frac), lo, hi)

    def eval(self, step: Step, x: Value, exponent: Value) -> IntArray:
        return np.asarray(x.raw << (exponent.raw.max() - exponent.raw))

    def cost(self, x: Tensor, exponent: Tensor) -> Cost:
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Relu(Traits):
    """max(x, 0), element by element.  x: (n)  ->  (n), exact, of an unsigned type."""

    kind: ClassVar[str] = "relu"
    is_elementwise: ClassVar[bool] = True

    def infer(self, x: Tensor) -> Tensor:
        require_vectors(x)
        lo, hi = max(x.lo, 0), max(x.hi, 0)
        width = max(hi.bit_length(), 1)
        return Tensor(x.shape, Fixed(width, x.type.frac, signed=False), lo, hi)

    def eval(self, step: Step, x: Value) -> IntArray:
        return np.maximum(x.raw, 0)

    def cost(self, x: Tensor) -> Cost:
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Clamp(Traits):
    """min(max(x, low), high), element by element; low <= high are raw integers of x's type.

    x: (n)  ->  (n) of the same type, exact.
    """

    kind: ClassVar[str] = "clamp"
    is_elementwise: ClassVar[bool] = True
    low: int
    high: int

    def infer(self, x: Tensor) -> Tensor:
        require_vectors(x)
        require(x.type.raw_min <= self.low <= self.high <= x.type.raw_max,
                f"limits {self.low}..{self.high} for {x.type}")  # fmt: skip
        lo, hi = (min(max(end, self.low), self.high) for end in (x.lo, x.hi))
        return Tensor(x.shape, x.type, lo, hi)

    def eval(self, step: Step, x: Value) -> IntArray:
        return np.clip(x.raw, self.low, self.high)

    def cost(self, x: Tensor) -> Cost:
        return Cost(latency_cycles=1)
