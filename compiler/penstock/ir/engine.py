"""What runs a graph: the protocol of engines, all of which give the bits of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.ir.graph import Graph
from penstock.ir.saturation import Saturation

Observer = Callable[[str, int, IntArray, NDArray[np.bool_]], None]
"""Called with a node's name, the step, its raw values (lanes, n) and which lanes count."""


@dataclass
class Result:
    """What a run leaves. y: (lanes, frames, n); state: name -> (lanes, n). All raw integers.

    saturations: one of every node of ``ir.saturation.saturable``, in that order, with what the
    reference counts; ``ir.saturation.Counter`` adds up.
    """

    y: IntArray
    state: dict[str, IntArray]
    saturations: tuple[Saturation, ...]


class Executable(Protocol):
    """A graph, prepared to be run any number of times."""

    def run(
        self,
        x: IntArray,
        lengths: IntArray,
        state: dict[str, IntArray] | None = None,
        observe: Observer | None = None,
    ) -> Result:
        """Run whole sequences: x (lanes, steps >= 1, inputs) raw, lengths (lanes) <= steps.

        ``state`` is the state before the first step (default: zero) and is not changed. With
        ``observe``, it is called for every node of every step, in the order of the graph.
        """
        ...


class Engine(Protocol):
    """A way to run graphs. ``ir.evaluate.ReferenceEngine`` defines what each must give."""

    @property
    def name(self) -> str:
        """As the user asks for it."""
        ...

    def prepare(self, graph: Graph) -> Executable:
        """Whatever can be done once for a graph that ``ir.verify`` accepts."""
        ...
