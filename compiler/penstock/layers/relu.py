"""The rectifier as a layer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder
from penstock.layers.elementwise import Elementwise
from penstock.layers.layer import Observe, State
from penstock.ops import Relu as ReluOp


@dataclass(frozen=True)
class Relu(Elementwise):
    """y = max(x, 0), element by element; exact, so that it needs no number format of its own."""

    kind: ClassVar[str] = "relu"

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        return np.maximum(x, 0.0), {}

    def lower_part(self, build: Builder, name: str, source: str) -> str:
        """See ``Elementwise``."""
        return build.graph.add(build.named(name), ReluOp(), source, sweep=build.sweep)
