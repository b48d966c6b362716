"""Capture and Mean: one vector of a whole sequence.

Twins: templates/hls/ops/{capture,mean}.h.j2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import MAX_WIDTH, Fixed, IntArray, Rounding, requantize
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require, require_vectors
from penstock.ir.saturation import lowest_of, outside, range_within

CAPTURES = ("first", "last", "max", "sum")
LONGEST = 1 << 20
"""Steps of the longest sequence whose sum is proven to fit."""


@dataclass(frozen=True)
class Capture(Traits):
    """Make one vector of a sequence, lane by lane, for a later ``once`` sweep.

    when: ``first`` and ``last``, x at that step of the lane's sequence, in whatever direction the
    sweep runs; ``max``, the greatest of each element so far; ``sum``, the sum so far, exact for
    ``LONGEST`` steps.  x: (n)  ->  (n); zero in a lane without steps, but for ``max``.
    """

    kind: ClassVar[str] = "capture"
    name: str
    when: str = "last"

    @property
    def captures(self) -> str:
        return self.name

    @property
    def accumulates(self) -> bool:
        return self.when in ("max", "sum")

    def infer(self, x: Tensor) -> Tensor:
        require_vectors(x)
        require(self.when in CAPTURES, f"when {self.when!r}")
        if self.when == "max":
            return Tensor(x.shape, x.type, x.lo, x.hi)
        most = LONGEST if self.when == "sum" else 1
        lo, hi = min(x.lo, 0) * most, max(x.hi, 0) * most
        dtype = Fixed.exact(lo, hi, x.type.frac) if self.when == "sum" else x.type
        return Tensor(x.shape, dtype, lo, hi)

    def eval(self, step: Step, x: Value) -> IntArray:
        old = step.read_state(self.name)
        match self.when:
            case "max":
                value = np.where(step.valid, np.maximum(x.raw, old), old)
            case "sum":
                value = np.where(step.valid, x.raw + old, old)
            case _:
                value = np.where(step.last if self.when == "last" else step.first, x.raw, old)
        step.write_state(self.name, value)
        return value

    def cost(self, x: Tensor) -> Cost:
        return Cost(latency_cycles=1)


@dataclass(frozen=True)
class Mean(Traits):
    """A sum over a sequence, divided by its number of steps and rounded half up, then brought into
    range by the modes of ``to``. In a ``once`` sweep.

    x: (n)  ->  (n) of ``to``; x itself where a lane has no steps.
    """

    kind: ClassVar[str] = "mean"
    is_elementwise: ClassVar[bool] = True
    reads_length: ClassVar[bool] = True
    to: Fixed

    def infer(self, x: Tensor) -> Tensor:
        require_vectors(x)
        up, _ = self.shifts(x)
        require(
            self.to.rounding is Rounding.RND,
            f"a mean is rounded half up, not by {self.to.rounding}",
        )
        require(
            self.quotient_bits(x) <= MAX_WIDTH,
            f"{self.to} is too fine, or too coarse, for {x.type}",
        )
        return Tensor(
            x.shape, self.to, *self.to.interval_from(x.lo << up, x.hi << up, self.to.frac)
        )

    def shifts(self, x: Tensor) -> tuple[int, int]:
        """(up, down): bits by which the sum, or the number of steps, is shifted left."""
        return max(self.to.frac - x.type.frac, 0), max(x.type.frac - self.to.frac, 0)

    def quotient_bits(self, x: Tensor) -> int:
        """Of the signed integers in which the division is made: twice the sum, and the steps."""
        up, down = self.shifts(x)
        return max(x.type.width + up, LONGEST.bit_length() + down) + 3

    def eval(self, step: Step, x: Value) -> IntArray:
        return requantize(self._quotient(step, x), self.to.frac, self.to)

    def _quotient(self, step: Step, x: Value) -> IntArray:
        up, down = max(self.to.frac - x.type.frac, 0), max(x.type.frac - self.to.frac, 0)
        count = np.maximum(step.length, 1) << down
        quotient: IntArray = (2 * (x.raw << up) + count) // (2 * count)
        return quotient

    def fitting(self, *inputs: Tensor) -> tuple[int, int]:
        return range_within(self.to, inputs[0].type.frac)  # a sum that fits, whatever divides it

    def outside(self, step: Step, *inputs: Value) -> NDArray[np.bool_]:
        (x,) = inputs
        return outside(self._quotient(step, x), lowest_of(self.to), self.to.raw_max)

    def cost(self, x: Tensor) -> Cost:
        return Cost(latency_cycles=x.type.width + 4)
