"""What the layers that work element by element have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source, numbered
from penstock.layers.layer import Parameter


@dataclass(frozen=True)
class Elementwise:
    """A layer without parameters and state, whose output k depends on input k alone.

    A subclass adds ``kind``, ``step`` and ``lower_part``.
    """

    kind: ClassVar[str]
    learned: ClassVar[tuple[str, ...]] = ()

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

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """One node for each source: see ``Layer``."""
        names = numbered("y", len(sources))
        return [
            self.lower_part(build, name, source)
            for name, (source, _, _) in zip(names, sources, strict=True)
        ]

    def lower_part(self, build: Builder, name: str, source: str) -> str:
        """Add the node ``name``, the layer's function of the node ``source``."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {"inputs": self.inputs, "outputs": self.outputs}
