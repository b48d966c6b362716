"""Add, Mul, Scale: exact element-wise arithmetic. Twins: templates/hls/ops/{add,mul,scale}.h.j2."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from penstock.fixed import Fixed, IntArray
from penstock.ir.op import Cost, Step, Tensor, Value, require


def _require_same_length(inputs: tuple[Tensor, ...]) -> None:
    require(len({x.shape for x in inputs}) == 1 and len(inputs[0].shape) == 1,
            f"operands of shapes {[x.shape for x in inputs]} can't be combined")  # fmt: skip


@dataclass(frozen=True)
class Add:
    """x_1 + x_2 + ..., aligned to the finest operand; the result is as wide as its interval needs.

    x_k: (n) of any type  ->  (n), exact.
    """

    kind: ClassVar[str] = "add"

    def infer(self, *inputs: Tensor) -> Tensor:  # noqa: D102
        require(len(inputs) >= 1, "nothing to add")
        _require_same_length(inputs)
        frac = max(x.type.frac for x in inputs)
        lo = sum(x.lo << (frac - x.type.frac) for x in inputs)
        hi = sum(x.hi << (frac - x.type.frac) for x in inputs)
        return Tensor(inputs[0].shape, Fixed.exact(lo, hi, frac), lo, hi)

    def eval(self, step: Step, *inputs: Value) -> IntArray:  # noqa: D102
        frac = max(x.type.frac for x in inputs)
        total = inputs[0].raw << (frac - inputs[0].type.frac)
        for x in inputs[1:]:
            total = total + (x.raw << (frac - x.type.frac))
        return total

    def cost(self, *inputs: Tensor) -> Cost:  # noqa: D102
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Mul:
    """a * b, element by element.  a, b: (n)  ->  (n), exact."""

    kind: ClassVar[str] = "mul"

    def infer(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102
        _require_same_length((a, b))
        corners = [x * y for x, y in product((a.lo, a.hi), (b.lo, b.hi))]
        lo, hi = min(corners), max(corners)
        return Tensor(a.shape, Fixed.exact(lo, hi, a.type.frac + b.type.frac), lo, hi)

    def eval(self, step: Step, a: Value, b: Value) -> IntArray:  # noqa: D102
        return a.raw * b.raw

    def cost(self, a: Tensor, b: Tensor) -> Cost:  # noqa: D102
        return Cost(dsp=1, latency_cycles=3)


@dataclass(frozen=True)
class Scale:
    """x * 2**-e, element by element: sums of matrix rows that have scales of their own.

    x: (n); e: (n), constants of an unsigned integer type  ->  (n), exact.
    """

    kind: ClassVar[str] = "scale"

    def infer(self, x: Tensor, exponent: Tensor) -> Tensor:  # noqa: D102
        _require_same_length((x, exponent))
        require(exponent.constant is not None, "exponents must be constant")
        require(exponent.type.frac == 0 and not exponent.type.signed,
                f"exponents of {exponent.type} are no counts")  # fmt: skip
        most = exponent.hi - exponent.lo
        lo, hi = min(x.lo, x.lo << most), max(x.hi, x.hi << most)
        frac = x.type.frac + exponent.hi
        return Tensor(x.shape, Fixed.exact(lo, hi, frac), lo, hi)

    def eval(self, step: Step, x: Value, exponent: Value) -> IntArray:  # noqa: D102
        return np.asarray(x.raw << (exponent.raw.max() - exponent.raw))

    def cost(self, x: Tensor, exponent: Tensor) -> Cost:  # noqa: D102
        return Cost(latency_cycles=1)
