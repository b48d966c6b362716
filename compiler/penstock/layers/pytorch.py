"""How PyTorch names and shapes the tensors of a recurrent module, as each cell declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

Shapes = Mapping[str, tuple[str, ...]]
"""Tensor (``weight_ih``) -> what its dimensions count: rows (of all gates), inputs, cells,
outputs. In a module its name goes on with the layer: ``weight_ih_l0``, ``weight_ih_l0_reverse``."""

REQUIRED: Shapes = {"weight_ih": ("rows", "inputs"), "weight_hh": ("rows", "outputs")}
PROJECTION: Shapes = {"weight_hr": ("outputs", "cells")}


@dataclass(frozen=True)
class TensorGroup:
    """Tensors that a module has all together, in every layer and direction, or not at all."""

    shapes: Shapes
    rule: str


BIASES = TensorGroup(
    {"bias_ih": ("rows",), "bias_hh": ("rows",)}, "biases come in pairs, in all layers or none"
)


@dataclass(frozen=True)
class TorchCell:
    """A recurrent module of PyTorch.

    module: its class in ``torch.nn``; title: the same with its article. gates: in the order in
    which their rows are stacked; apart: those whose product with y is no term of the sum that the
    product with x is in. codes: scalars of the module -> the choices that they number; without the
    scalar it is the first.
    """

    module: str
    title: str
    gates: tuple[str, ...]
    apart: tuple[str, ...] = ()
    has_projection: bool = False
    optional: tuple[TensorGroup, ...] = (BIASES,)
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def shapes(self) -> Shapes:
        """Every tensor that the module may have for a layer, in its own order."""
        projection = PROJECTION if self.has_projection else {}
        groups = chain.from_iterable(group.shapes.items() for group in self.optional)
        return {**REQUIRED, **projection, **dict(groups)}

    def stacked(self, tensor: str) -> tuple[str, ...]:
        """The gates whose rows are stacked in a tensor; a single nameless one if none are."""
        return self.gates if self.shapes[tensor][0] == "rows" else ("",)
