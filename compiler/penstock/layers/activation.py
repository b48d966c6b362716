"""sigma or tanh of every element, as a layer of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from penstock.fixed import FloatArray
from penstock.layers.build import Builder
from penstock.layers.elementwise import Elementwise
from penstock.layers.layer import Observe, State
from penstock.ops.lut import FUNCTIONS


@dataclass(frozen=True)
class Activation(Elementwise):
    """y = function(x), element by element, by a table. function: sigma or tanh."""

    kind: ClassVar[str] = "activation"

    function: str

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        observe("x", x)
        return FUNCTIONS[self.function](x), {}

    def lower_part(self, build: Builder, name: str, source: str) -> str:
        """See ``Elementwise``."""
        reach = build.types.reach(build.named("x"), self.function)
        return build.function(name, self.function, source, reach)

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {**super().describe(), "function": self.function}
