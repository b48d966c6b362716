"""Pooling over time: one vector of a whole sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.layers.build import Builder
from penstock.layers.elementwise import Elementwise
from penstock.layers.layer import Observe, State
from penstock.ops import Capture, Mean

POOLS = ("first", "last", "mean", "max")


@dataclass(frozen=True)
class Pool(Elementwise):
    """A vector at every step -> one a sequence, element by element; zero in a lane without steps.

    how: one of ``POOLS``. ``last``: PyTorch's output[:, -1] of a packed sequence; ``mean`` and
    ``max`` take the steps that the lane's sequence has.
    """

    kind: ClassVar[str] = "pool"
    learned: ClassVar[tuple[str, ...]] = ("y",)

    how: str = "last"

    def reduce(self, x: FloatArray, lengths: IntArray) -> FloatArray:
        """x (lanes, steps, n) -> (lanes, n) in float64."""
        lanes = np.arange(len(x))
        valid = (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]
        match self.how:
            case "first":
                y = x[:, 0]
            case "last":
                y = x[lanes, np.maximum(lengths - 1, 0)]
            case "mean":
                y = np.where(valid, x, 0.0).sum(axis=1) / np.maximum(lengths, 1)[:, None]
            case _:
                y = np.where(valid, x, -np.inf).max(axis=1)
        return np.where(lengths[:, None] > 0, y, 0.0)

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """Not of one step: see ``reduce``."""
        raise TypeError("a pool has no single step")

    def lower_part(self, build: Builder, name: str, source: str) -> str:
        """A capture where the source is computed, and what follows once, in ``build``'s sweep."""
        when = "sum" if self.how == "mean" else self.how
        capture = f"{source}.{when}"
        if capture not in build.graph:
            build.graph.add(
                capture, Capture(capture, when), source, sweep=build.graph[source].sweep
            )
        if self.how != "mean":
            return capture
        mean = Mean(build.types.pooled(build.named("y")))
        return build.graph.add(build.named(name), mean, capture, sweep=build.sweep)

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {**super().describe(), "how": self.how}
