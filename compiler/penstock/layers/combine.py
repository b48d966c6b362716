"""Several vectors of one length, combined element by element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source
from penstock.layers.layer import Observe, Parameter, State


@dataclass(frozen=True)
class Combined:
    """A layer whose input is ``operands`` vectors of n elements side by side; its output has n."""

    kind: ClassVar[str]
    learned: ClassVar[tuple[str, ...]] = ("y",)

    inputs: int
    operands: int = 2

    def __post_init__(self) -> None:
        if self.inputs % self.operands:
            raise ValueError(
                f"{self.inputs} elements are not {self.operands} vectors of one length"
            )

    @property
    def outputs(self) -> int:
        """Elements of one operand."""
        return self.inputs // self.operands

    def parameters(self) -> dict[str, Parameter]:
        """None."""
        return {}

    def with_parameters(self, values: Mapping[str, FloatArray]) -> Self:
        """See ``Layer``."""
        return self

    def states(self) -> dict[str, int]:
        """None."""
        return {}

    def combined(self, operands: list[FloatArray]) -> FloatArray:
        """The function itself, in float."""
        raise NotImplementedError

    def add_nodes(self, build: Builder, name: str, *operands: str) -> str:
        """The function as an exact operation."""
        raise NotImplementedError

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        y = self.combined(np.split(x, self.operands, axis=1))
        observe("y", y)
        return y, {}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """See ``Layer``. Operands are split where any source ends."""
        parts: dict[int, list[str]] = {}
        for node, start, stop in sources:
            if start // self.outputs != (stop - 1) // self.outputs:
                raise ValueError(f"{node} belongs to two operands of {build.layer}")
            parts.setdefault(start // self.outputs, []).append(node)
        lengths = {
            tuple(build.graph[node].tensor.length for node in nodes) for nodes in parts.values()
        }
        if len(lengths) > 1:
            raise ValueError(f"the operands of {build.layer} are divided in different ways")
        found = []
        for index, nodes in enumerate(zip(*parts.values(), strict=True)):
            number = str(index) if len(parts[0]) > 1 else ""
            exact = self.add_nodes(build, f"exact{number}", *nodes)
            to = build.types.activation(build.named("y"))
            found.append(build.requant(f"y{number}", exact, to))
        return found

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {"inputs": self.inputs, "outputs": self.outputs, "operands": self.operands}


@dataclass(frozen=True)
class Sum(Combined):
    """y = x_1 + x_2 + ...: a residual connection, or both directions of a layer added up."""

    kind: ClassVar[str] = "sum"

    def combined(self, operands: list[FloatArray]) -> FloatArray:
        """See ``Combined``."""
        return np.asarray(np.sum(operands, axis=0))

    def add_nodes(self, build: Builder, name: str, *operands: str) -> str:
        """See ``Combined``."""
        return build.add(name, *operands)


@dataclass(frozen=True)
class Product(Combined):
    """y = x_1 . x_2, element by element: one vector gates another."""

    kind: ClassVar[str] = "product"

    def combined(self, operands: list[FloatArray]) -> FloatArray:
        """See ``Combined``."""
        return np.asarray(np.prod(operands, axis=0))

    def add_nodes(self, build: Builder, name: str, *operands: str) -> str:
        """See ``Combined``."""
        first, *rest = operands
        for index, other in enumerate(rest):
            first = build.mul(name if index == len(rest) - 1 else f"{name}_{index}", first, other)
        return first
