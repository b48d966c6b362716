"""What runs a graph: the protocol of engines, all of which give the bits of the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


class Stream(Protocol):
    """Sequences that advance together, one step a call, from a state of their own."""

    @property
    def lost(self) -> int:
        """How many values have been out of range so far; inputs of tables do not count."""
        ...

    def step(self, x: IntArray) -> IntArray:
        """Take the next frames, (lanes, inputs) raw; give the results, (lanes, outputs) raw.

        What is given may be overwritten by the next step.
        """
        ...

    def saturations(self) -> tuple[Saturation, ...]:
        """What has been out of range so far, of every tensor, as of one run over all steps."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """An executable that has streams of its own; of any other, ``ir.evaluate`` makes them."""

    def stream(self, lanes: int, state: dict[str, IntArray]) -> Stream:
        """``lanes`` sequences in ``state``, which is not changed.

        Every step is a whole sequence to ``once`` sweeps and captures.
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
