"""A function of every element, as a layer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source, numbered
from penstock.layers.layer import Observe, Parameter, State
from penstock.ops.lut import FUNCTIONS


@dataclass(frozen=True)
class Activation:
    """y = function(x), element by element, by a table. function: sigma or tanh."""

    kind: ClassVar[str] = "activation"
    learned: ClassVar[tuple[str, ...]] = ()

    function: str
    inputs: int

    @property
    def outputs(self) -> int:
        """As many as inputs."""
        return self.inputs

    def parameters(self) -> dict[str, Parameter]:
        """None."""
        return {}

    def with_parameters(self, values: Mapping[str, FloatArray]) -> Self:
        """See ``Layer``."""
        return self

    def states(self) -> dict[str, int]:
        """None."""
        return {}

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        observe("x", x)
        return FUNCTIONS[self.function](x), {}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """One node for each source: see ``Layer``."""
        reach = build.types.reach(build.named("x"), self.function)
        names = numbered("y", len(sources))
        return [
            build.function(name, self.function, source, reach)
            for name, (source, _, _) in zip(names, sources, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {"inputs": self.inputs, "outputs": self.outputs, "function": self.function}
