"""MatVec: sparse matrix times vector, exact.

Twin: templates/hls/ops/matvec.h.j2 and pe_array.h.j2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from penstock.fixed import Fixed, IntArray
from penstock.ir.matrix import Matrix
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require

FARTHEST = 64
"""A product aligned by more bits is 0, or the accumulator can't be proven."""


@dataclass(frozen=True)
class MatVec(Traits):
    """W_1 x_1 + W_2 x_2 + ..., each product exact, all aligned to the finest.

    Operands x_1, W_1, x_2, W_2, ...: x_k (n_k) and constant W_k (rows, n_k)  ->  (rows).
    The accumulator can't overflow, whatever the order of accumulation: it is as wide as the worst
    row needs, by interval arithmetic with the actual weights (sum of the extremes of w * x). So
    every partial sum fits, too. ``width`` > 0 asks for at least that many bits.
    """

    kind: ClassVar[str] = "matvec"
    vectors: ClassVar[slice] = slice(None, None, 2)
    matrices: ClassVar[slice] = slice(1, None, 2)
    width: int = 0

    def infer(self, *inputs: Tensor) -> Tensor:
        require(len(inputs) >= 2 and len(inputs) % 2 == 0, "operands come in pairs x, W")
        rows = inputs[1].length
        frac = self.frac(*inputs)
        lo = np.zeros(rows)
        hi = np.zeros(rows)
        for x, w in zip(inputs[::2], inputs[1::2], strict=True):
            if not isinstance(w.constant, Matrix):
                raise ValueError("the weights must be a constant matrix")
            require(w.shape == (rows, x.length), f"W is {w.shape}, x has {x.length} values")
            require(len(x.shape) == 1, f"x of shape {x.shape} is not a vector")
            positive, negative = w.constant.row_sums
            scale = 2.0 ** min(frac - x.type.frac - w.type.frac, FARTHEST)
            # 0 belongs to every term's interval: a skipped (pruned) term, or a partial sum.
            x_lo, x_hi = min(x.lo, 0), max(x.hi, 0)
            lo += (positive * x_lo + negative * x_hi) * scale
            hi += (positive * x_hi + negative * x_lo) * scale
        require(max(-lo.min(), hi.max()) < 2.0**53, "the accumulator needs more than 54 bits")
        # So all of the above was exact: integers below 2**53, in float64.
        lowest, highest = int(lo.min()), int(hi.max())
        exact = Fixed.exact(lowest, highest, frac)
        return Tensor((rows,), Fixed(max(exact.width, self.width), frac), lowest, highest)

    @staticmethod
    def frac(*inputs: Tensor) -> int:
        """Fraction bits of the accumulator: those of the finest product."""
        return max(
            x.type.frac + w.type.frac for x, w in zip(inputs[::2], inputs[1::2], strict=True)
        )

    @staticmethod
    def aligns(*inputs: Tensor) -> tuple[int, ...]:
        """For each operand pair, the left shift that brings its products to the accumulator."""
        frac = MatVec.frac(*inputs)
        return tuple(
            frac - x.type.frac - w.type.frac for x, w in zip(inputs[::2], inputs[1::2], strict=True)
        )

    def eval(self, step: Step, *inputs: Value) -> IntArray:
        """Exact in float64: ``infer`` proves every partial sum below 2**53."""
        pairs = list(zip(inputs[::2], inputs[1::2], strict=True))
        frac = max(x.type.frac + w.type.frac for x, w in pairs)
        total = np.zeros((1, 1))
        for x, w in pairs:
            products = w.weights.times(x.as_float)
            total = total + products * 2.0 ** min(frac - x.type.frac - w.type.frac, FARTHEST)
        return total.astype(np.int64)

    def cost(self, *inputs: Tensor) -> Cost:
        return Cost(dsp=1, latency_cycles=6)
