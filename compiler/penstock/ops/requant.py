"""Requant: where bits are dropped. Twin: templates/hls/ops/requant.h.j2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import Fixed, IntArray, requantize
from penstock.ir.op import Cost, Step, Tensor, Traits, Value, require_vectors
from penstock.ir.saturation import outside, range_within


@dataclass(frozen=True)
class Requant(Traits):
    """Round to ``to.frac`` fraction bits and bring into range, by the modes of ``to``.

    x: (n) of any type  ->  (n) of ``to``: an ap_fixed assignment (UG1399).
    """

    kind: ClassVar[str] = "requant"
    is_elementwise: ClassVar[bool] = True
    to: Fixed

    def infer(self, x: Tensor) -> Tensor:
        require_vectors(x)
        return Tensor(x.shape, self.to, *self.to.interval_from(x.lo, x.hi, x.type.frac))

    def eval(self, step: Step, x: Value) -> IntArray:
        return requantize(x.raw, x.type.frac, self.to)

    def fitting(self, *inputs: Tensor) -> tuple[int, int]:
        return range_within(self.to, inputs[0].type.frac)

    def outside(self, step: Step, *inputs: Value) -> NDArray[np.bool_]:
        (x,) = inputs
        return outside(x.raw, *range_within(self.to, x.type.frac))

    def cost(self, x: Tensor) -> Cost:
        return Cost(latency_cycles=2)
