"""The dense head at the end of a network, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source
from penstock.layers.layer import Observe, State
from penstock.layers.linear import Linear
from penstock.ops import ArgMax

PLACES = ("step", "last", "final")
"""Where a head of a stack runs: at every step; on the last step's frame (output[:, -1]); on the
final state of each direction (h_n). Without a backward direction the last two are the same."""
ACTIVATIONS = ("none", "sigmoid", "argmax")


@dataclass(frozen=True)
class DenseHead(Linear):
    """Logits W x + b, then ``activation``, one of ``ACTIVATIONS``."""

    kind: ClassVar[str] = "head"
    learned: ClassVar[tuple[str, ...]] = ("logits",)

    activation: str = "none"

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        logits = self._affine(x)
        observe("logits", logits)
        return logits, {}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """The logits, probabilities or label: see ``Layer``."""
        total = self._sum(build, "acc_head", sources)
        if self.activation == "sigmoid":
            reach = build.types.reach(build.named("logits"), "sigma")
            return [build.function("probability", "sigma", total, reach)]
        logits = build.requant("logits", total, build.types.logits(build.named("logits")))
        if self.activation == "argmax":
            return [build.graph.add(build.named("label"), ArgMax(), logits, sweep=build.sweep)]
        return [logits]

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        function = {"sigmoid": "sigma"}.get(self.activation, self.activation)
        return {**super().describe(), "activation": function}
