"""Limits to every element, as a layer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder
from penstock.layers.elementwise import Elementwise
from penstock.layers.layer import Observe, State
from penstock.ops import Clamp as ClampOp


def add_clamp(build: Builder, name: str, source: str, low: float, high: float) -> str:
    """The node ``name``: limits to a node, rounded to its type."""
    dtype = build.graph[source].tensor.type
    limits = (
        dtype.raw_min if value == -np.inf else dtype.raw_max if value == np.inf
        else int(np.clip(np.floor(value / dtype.step + 0.5), dtype.raw_min, dtype.raw_max))
        for value in (low, high)
    )  # fmt: skip
    return build.graph.add(build.named(name), ClampOp(*limits), source, sweep=build.sweep)


@dataclass(frozen=True)
class Clamp(Elementwise):
    """y = min(max(x, low), high), element by element; exact. Infinity is no limit."""

    kind: ClassVar[str] = "clamp"

    low: float = -1.0
    high: float = 1.0

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        return np.clip(x, self.low, self.high), {}

    def lower_part(self, build: Builder, name: str, source: str) -> str:
        """See ``Elementwise``. The limits are as fine as x is."""
        return add_clamp(build, name, source, self.low, self.high)

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        limits = [value if np.isfinite(value) else None for value in (self.low, self.high)]
        return {**super().describe(), "limits": limits}
