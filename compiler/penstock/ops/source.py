"""Input and Const: where values come from. Twins: templates/hls/ops/{input,const}.h.j2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from penstock.fixed import Fixed, IntArray
from penstock.ir.matrix import Matrix
from penstock.ir.op import Cost, Step, Tensor, Traits, require


@dataclass(frozen=True)
class Input(Traits):
    """The frame of the step: a vector of ``length`` values of ``type``, in the caller's order."""

    kind: ClassVar[str] = "input"
    is_source: ClassVar[bool] = True
    length: int
    type: Fixed

    def infer(self) -> Tensor:
        require(self.length >= 1, f"a vector of {self.length} values")
        return Tensor((self.length,), self.type, self.type.raw_min, self.type.raw_max)

    def eval(self, step: Step) -> IntArray:
        return step.read_input("x")

    def cost(self) -> Cost:
        return Cost()


@dataclass(frozen=True, eq=False)
class Const(Traits):
    """Weights, biases or a table: raw integers that never change.

    A matrix is (rows, columns) and goes to the processing elements; a vector stays on chip. One
    that is given as an array becomes a ``Matrix``.
    """

    kind: ClassVar[str] = "const"
    is_source: ClassVar[bool] = True
    type: Fixed
    raw: IntArray | Matrix

    def __post_init__(self) -> None:
        if isinstance(self.raw, np.ndarray) and self.raw.ndim == 2 and self.raw.size:
            object.__setattr__(self, "raw", Matrix.of(self.raw))

    def infer(self) -> Tensor:
        require(self.raw.ndim in (1, 2) and self.raw.size > 0, f"shape {self.raw.shape}")
        lo, hi = int(self.raw.min()), int(self.raw.max())
        require(
            self.type.raw_min <= lo <= hi <= self.type.raw_max, f"a value is outside {self.type}"
        )
        return Tensor(self.raw.shape, self.type, lo, hi, self.raw)

    def eval(self, step: Step) -> IntArray:
        return np.asarray(self.raw)

    def cost(self) -> Cost:
        return Cost()
