"""What a report needs to know of the kernel: ``codegen.storage.Storage``, by structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.fixed import Fixed
from penstock.ir import Direction, Graph, Node
from penstock.packing.vectors import Ports
from penstock.schedule import Schedule


class StateMemory(Protocol):
    """One state; ``array`` is None if only the activation memory holds it."""

    @property
    def state(self) -> str:
        """Its name."""
        ...

    @property
    def type(self) -> Fixed:
        """Type of its elements."""
        ...

    @property
    def positions(self) -> int:
        """Its length in hardware."""
        ...

    @property
    def array(self) -> str | None:
        """The C++ array of its own, if it has one."""
        ...


class Kernel(Protocol):
    """A graph, its schedule, and which memory holds which tensor."""

    @property
    def graph(self) -> Graph:
        """The network."""
        ...

    @property
    def plan(self) -> Schedule:
        """Where and when everything happens."""
        ...

    @property
    def ports(self) -> Ports:
        """How frames and states lie in memory."""
        ...

    def positions(self, name: str) -> int:
        """A vector's length in hardware, with the empty positions."""
        ...

    def states(self) -> Sequence[StateMemory]:
        """All states."""
        ...

    def parameters(self) -> Sequence[Node]:
        """On-chip constant vectors, tables apart."""
        ...

    def frames(self) -> Sequence[Node]:
        """Values that are buffered for all steps."""
        ...

    def results(self) -> Sequence[Node]:
        """The vectors that make up the output."""
        ...


def is_every_step(keep: Kernel, sweep: int) -> bool:
    """False for a sweep that runs once, after the last step."""
    return keep.graph.sweeps[sweep] is not Direction.ONCE


def tables_of(graph: Graph) -> list[Node]:
    """The constants that hold a function's table, each once, in graph order."""
    names = {source for node in graph.of_kind("lut") for source in node.inputs[1:]}
    return [node for node in graph.of_kind("const") if node.name in names]


def ratio(part: float, whole: float) -> float | None:
    """part / whole; None where there is nothing to compare with."""
    return part / whole if whole else None
