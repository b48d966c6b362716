"""How a graph runs over sequences, whatever its values are: the one walk over sweeps and steps.

Knows neither NumPy nor torch: a reader derives from ``Walker`` and says what a node's value is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from penstock.ir.graph import Direction, Graph, Node
from penstock.ir.op import Tensor

V = TypeVar("V")
ENDS = ("first", "last")
"""The steps of a sequence for which a capture can wait."""


@dataclass(frozen=True)
class Sweep:
    """One sweep, prepared.

    nodes: what each step executes, in order; constants are left out. captured: the captures that it
    reads, node name -> name of the capture. read_later: its values and those before it that later
    sweeps read at the same step; all others are forgotten with the step.
    """

    direction: Direction
    nodes: tuple[Node, ...]
    captured: Mapping[str, str]
    read_later: frozenset[str]

    def order(self, steps: int) -> range:
        """The steps in the order in which they run; a ``once`` sweep has the last one's frame."""
        match self.direction:
            case Direction.FORWARD:
                return range(steps)
            case Direction.BACKWARD:
                return range(steps - 1, -1, -1)
            case Direction.ONCE:
                return range(steps - 1, steps)


@dataclass(frozen=True)
class Program:
    """A graph, prepared for any number of runs: all that an engine asks of it.

    states: name -> shape and type of what is kept; captures: name -> node.
    """

    graph: Graph
    sweeps: tuple[Sweep, ...]
    states: Mapping[str, Tensor]
    captures: Mapping[str, Node]

    @classmethod
    def of(cls, graph: Graph) -> Program:
        """Raises ValueError where states or captures are not as ``ir.verify`` wants them."""
        states = {name: state.read.tensor for name, state in graph.states().items()}
        sweeps = tuple(_sweep(graph, index) for index in range(len(graph.sweeps)))
        return cls(graph, sweeps, states, graph.captures())


def _sweep(graph: Graph, index: int) -> Sweep:
    nodes = tuple(node for node in graph.nodes(index) if node.tensor.constant is None)
    sources = {source.name: source for node in nodes for source in graph.inputs(node)}
    captured = {name: source.op.captures for name, source in sources.items()
                if source.op.captures is not None}  # fmt: skip
    later = (node for after in range(index + 1, len(graph.sweeps)) for node in graph.nodes(after))
    read_later = {
        source.name
        for node in later
        for source in graph.inputs(node)
        if source.sweep <= index and source.tensor.constant is None and source.op.captures is None
    }
    return Sweep(graph.sweeps[index], nodes, captured, frozenset(read_later))


def empty_capture(node: Node) -> int:
    """The raw integer of a capture before the first step: zero, or the least that it can be."""
    return node.tensor.lo if node.op.when == "max" else 0


class Moment:
    """Where a walk stands: step ``t`` of a sweep, and which lanes have it.

    frame: whose input frame is read; it differs from ``t`` in a ``once`` sweep, whose only step is
    number 0 and reads the last frame. lengths: (lanes), of any array library.
    """

    def __init__(self, sweep: Sweep, frame: int, lengths: Any, shortest: int) -> None:
        self.sweep = sweep
        self.frame = frame
        self.t = 0 if sweep.direction is Direction.ONCE else frame
        self.in_all_lanes = self.t < shortest
        self._lengths = lengths

    @cached_property
    def valid(self) -> Any:
        """(lanes, 1): the lane's sequence has this step."""
        return (self._lengths > self.t)[:, None]

    @cached_property
    def last(self) -> Any:
        """(lanes, 1): this is the last step of the lane's sequence."""
        return (self._lengths == self.frame + 1)[:, None]

    @cached_property
    def first(self) -> Any:
        """(lanes, 1): this is the first step of the lane's sequence."""
        return ((self._lengths > 0) & (self.frame == 0))[:, None]

    @cached_property
    def length(self) -> Any:
        """(lanes, 1): steps of the lane's sequence."""
        return self._lengths[:, None]

    def counts(self, when: str) -> Any:
        """(lanes, 1): the lanes in which the result of an operation counts; see ``Traits.when``."""
        return {"first": self.first, "last": self.last}[when] if when in ENDS else self.valid


class Walker(ABC, Generic[V]):
    """One run of a program over a batch of sequences.

    constants: their values by node name. memory: states and captures before the first step, by
    name; afterwards, as the last step left them. A state or capture is read as the step before left
    it, wherever the reading node stands: what a step writes counts from its end.
    """

    def __init__(
        self, program: Program, constants: Mapping[str, V], memory: dict[str, V], lengths: Any
    ) -> None:
        self.program = program
        self.memory = memory
        self.moment: Moment  # where the walk stands
        self._constants = constants
        self._lengths = lengths
        self._shortest = int(lengths.min())
        self._pending: dict[str, V] = {}

    @abstractmethod
    def execute(self, node: Node, *operands: V) -> V:
        """The value of ``node`` at this moment."""

    def write(self, name: str, value: V) -> None:
        """``value``, merged with what lanes without this step keep, is in memory from the next
        step on.
        """
        self._pending[name] = value

    def walk(self, steps: int) -> None:
        """All sweeps over ``steps`` >= 1 steps."""
        frames: list[dict[str, V]] = [{} for _ in range(steps)]
        for sweep in self.program.sweeps:
            for frame in sweep.order(steps):
                self.moment = Moment(sweep, frame, self._lengths, self._shortest)
                values = self._step(sweep, frames[frame])
                frames[frame] = {name: values[name] for name in sweep.read_later}

    def _step(self, sweep: Sweep, earlier: Mapping[str, V]) -> dict[str, V]:
        """One step of one sweep. earlier: this step's values of the sweeps before."""
        values = {**self._constants, **earlier}
        values.update((node, self.memory[name]) for node, name in sweep.captured.items())
        for node in sweep.nodes:
            try:
                values[node.name] = self.execute(node, *(values[name] for name in node.inputs))
            except Exception as error:
                place = f"{node.name} ({node.op.kind}), step {self.moment.t}"
                error.add_note(f"while executing node {place}")
                raise
        self.memory.update(self._pending)
        self._pending.clear()
        return values
