"""What a layer owes the compiler: parameters, states, a float step, and its operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source
from penstock.layers.pytorch import TorchCell

Observe = Callable[[str, FloatArray], None]
"""Called with a tensor's name and its values, (lanes, n), of every step."""
State = dict[str, FloatArray]
"""What a layer knows of the step before, by name: (lanes, n) each."""


class Role(StrEnum):
    """What a parameter is for; its number format follows from it."""

    MATRIX = "matrix"  # (rows, columns) of a matrix product: can be sparse
    BIAS = "bias"  # (rows), added to a sum of products
    VECTOR = "vector"  # (n), multiplied element by element, such as a peephole


@dataclass(frozen=True)
class Parameter:
    """A trained array of a layer."""

    role: Role
    values: FloatArray


class Layer(Protocol):
    """A layer without state, or one direction of a recurrent one. Implementations are frozen.

    Names of parameters, states and tensors are the layer's own (``W_ix``, ``c``); in the network
    they stand behind the layer's name (``l0.W_ix``, ``l1_reverse.c``).
    """

    kind: ClassVar[str]
    """What it is called in a report."""
    learned: ClassVar[tuple[str, ...]]
    """The tensors whose range quantization-aware training may learn, those of them that the layer
    has; the others have it by their nature."""

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        ...

    @property
    def outputs(self) -> int:
        """Width of the output frame."""
        ...

    def parameters(self) -> dict[str, Parameter]:
        """All trained arrays by name, in the order in which they are reported."""
        ...

    def with_parameters(self, values: Mapping[str, FloatArray]) -> Self:
        """The same layer with other values for all its ``parameters``."""
        ...

    def states(self) -> dict[str, int]:
        """Name -> length of everything that a step passes on to the next."""
        ...

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """One step in float64: x (lanes, inputs) -> (lanes, outputs), and the new state.

        ``observe`` gets every tensor whose number format is found by calibration.
        """
        ...

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """Add the layer's operations to the graph; the nodes that make up the output, in order."""
        ...

    def describe(self) -> dict[str, Any]:
        """The layer's row in a report: sizes and features, as plain values."""
        ...


@runtime_checkable
class Cell(Layer, Protocol):
    """One direction of a recurrent layer that PyTorch has, too."""

    torch: ClassVar[TorchCell]

    @property
    def cells(self) -> int:
        """Memory cells: rows of one gate."""
        ...

    @classmethod
    def from_torch(cls, tensors: Mapping[str, FloatArray], codes: Mapping[str, str]) -> Self:
        """The layer that these tensors make, of the shapes in ``torch``; optional ones may lack.

        codes: what each of ``torch.codes`` chooses.
        """
        ...

    def to_torch(self) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """The inverse of ``from_torch``: tensors, and the codes that are not the default."""
        ...


def matrices_of(layer: Layer) -> dict[str, FloatArray]:
    """The weight matrices among a layer's parameters."""
    return {
        name: parameter.values
        for name, parameter in layer.parameters().items()
        if parameter.role is Role.MATRIX
    }
