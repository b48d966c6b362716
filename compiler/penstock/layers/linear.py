"""A dense layer: anywhere in the stack, or at its end as a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source, split_columns
from penstock.layers.layer import Observe, Parameter, Role, State
from penstock.layers.product import product


@dataclass(frozen=True)
class Linear:
    """y = W x + b at every step. weight: (outputs, inputs); bias: (outputs), or None."""

    kind: ClassVar[str] = "linear"
    learned: ClassVar[tuple[str, ...]] = ("y",)

    weight: FloatArray
    bias: FloatArray | None = None

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        """Width of y."""
        return int(self.weight.shape[0])

    def parameters(self) -> dict[str, Parameter]:
        """``W`` and ``b``: see ``Layer``."""
        found = {"W": Parameter(Role.MATRIX, self.weight)}
        return found if self.bias is None else found | {"b": Parameter(Role.BIAS, self.bias)}

    def with_parameters(self, values: Mapping[str, FloatArray]) -> Self:
        """See ``Layer``."""
        bias = None if self.bias is None else values["b"]
        return replace(self, weight=values["W"], bias=bias)

    def states(self) -> dict[str, int]:
        """None."""
        return {}

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        y = self._affine(x)
        observe("y", y)
        return y, {}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """See ``Layer``."""
        total = self._sum(build, "acc", sources)
        return [build.requant("y", total, build.types.output(build.named("y")))]

    def _affine(self, x: FloatArray) -> FloatArray:
        bias = 0.0 if self.bias is None else self.bias
        y: FloatArray = product(x, self.weight) + bias
        return y

    def _sum(self, build: Builder, name: str, sources: list[Source]) -> str:
        """W x + b, exact; ``name``: of the accumulator."""
        total = build.matvec(name, *split_columns("W", self.weight, sources))
        if self.bias is None or not self.bias.any():
            return total
        return build.add("sum", total, build.bias("b", self.bias, total))

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {"inputs": self.inputs, "outputs": self.outputs}
