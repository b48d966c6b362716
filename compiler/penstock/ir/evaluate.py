"""The bit-true definition: a graph, executed on integers, node by node. The reference engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.ir.engine import Executable, Observer, Result, Stream, Streaming
from penstock.ir.graph import Direction, Graph, Node
from penstock.ir.op import Tensor, Value
from penstock.ir.saturation import Counter, Kind, Saturable, Saturation, merged, saturable
from penstock.ir.walk import Program, Walker, empty_capture


def initial_state(graph: Graph, lanes: int) -> dict[str, IntArray]:
    """All states at zero: name -> (lanes, n)."""
    return {name: _zeros(lanes, state.read.tensor).raw for name, state in graph.states().items()}


def evaluate(
    graph: Graph,
    x: IntArray,
    lengths: IntArray,
    state: dict[str, IntArray] | None = None,
    observe: Observer | None = None,
) -> Result:
    """One run of a graph by the reference engine; see ``Executable.run``."""
    return ReferenceEngine().prepare(graph).run(x, lengths, state, observe)


@dataclass(frozen=True)
class ReferenceEngine:
    """NumPy, one operation's ``eval`` after the other: what every other engine must equal."""

    name: str = "numpy"

    def prepare(self, graph: Graph) -> Evaluator:
        """Raises ValueError for a graph whose states or captures are not sound."""
        return Evaluator(graph)


class Evaluator:
    """A graph that the reference engine has prepared."""

    def __init__(self, graph: Graph) -> None:
        self._program = Program.of(graph)
        self._constants = {
            node.name: Value(cast(IntArray, node.tensor.constant), node.tensor.type)
            for node in graph.nodes()
            if node.tensor.constant is not None
        }
        self._saturable = saturable(graph)

    def run(
        self,
        x: IntArray,
        lengths: IntArray,
        state: dict[str, IntArray] | None = None,
        observe: Observer | None = None,
    ) -> Result:
        """See ``Executable.run``."""
        program = self._program
        memory = {name: _empty(len(x), kept) for name, kept in program.captures.items()}
        for name, kept in program.states.items():
            memory[name] = _zeros(len(x), kept) if state is None else Value(state[name], kept.type)
        counter = Counter(self._saturable, program.graph.sweeps)
        walk = _Walk(program, self._constants, memory, x, lengths, observe, counter)
        walk.walk(x.shape[1])
        after = {name: walk.memory[name].raw for name in program.states}
        return Result(np.stack(walk.outputs, axis=1), after, counter.result(lengths))


def stream(executable: Executable, lanes: int, state: dict[str, IntArray]) -> Stream:
    """The executable's own stream, or runs of one step each."""
    if isinstance(executable, Streaming):
        return executable.stream(lanes, state)
    return _Runs(executable, lanes, state)


class _Runs:
    """A stream of runs: each begins in the state that the one before left."""

    def __init__(self, executable: Executable, lanes: int, state: dict[str, IntArray]) -> None:
        self._executable, self._state = executable, state
        self._lengths = np.ones(lanes, dtype=np.int64)
        self._counted: tuple[Saturation, ...] = ()
        self._steps = 0

    def step(self, x: IntArray) -> IntArray:
        """See ``Stream.step``."""
        result = self._executable.run(x[:, None], self._lengths, self._state)
        self._state = result.state
        later = (one.later(self._steps) for one in result.saturations)
        self._counted = merged(self._counted, later)
        self._steps += 1
        return result.y[:, 0]

    @property
    def lost(self) -> int:
        """See ``Stream.lost``."""
        return sum(one.count for one in self._counted if one.kind is not Kind.TABLE)

    def saturations(self) -> tuple[Saturation, ...]:
        """See ``Stream.saturations``."""
        return self._counted


class _Walk(Walker[Value]):
    """A run on integers; to the operations, it is the ``ir.op.Step`` that they stand in."""

    def __init__(
        self,
        program: Program,
        constants: Mapping[str, Value],
        memory: dict[str, Value],
        x: IntArray,
        lengths: IntArray,
        observe: Observer | None,
        counter: Counter,
    ) -> None:
        super().__init__(program, constants, memory, lengths)
        self._counter, self._saturable = counter, counter.nodes
        self.outputs: list[IntArray] = []
        self._x, self._observe = x, observe

    @property
    def valid(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.moment.valid
        return mask

    @property
    def last(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.moment.last
        return mask

    @property
    def first(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self.moment.first
        return mask

    @property
    def length(self) -> IntArray:
        counts: IntArray = self.moment.length
        return counts

    def read_input(self, name: str) -> IntArray:
        return self._x[:, self.moment.frame]

    def read_state(self, name: str) -> IntArray:
        return self.memory[name].raw

    def write_state(self, name: str, value: IntArray) -> None:
        old = self.memory[name]
        self.write(name, Value(np.where(self.valid, value, old.raw), old.type))

    def write_output(self, name: str, value: IntArray) -> None:
        self.outputs.append(value)

    def execute(self, node: Node, *operands: Value) -> Value:
        raw = node.op.eval(self, *operands)
        limits = self._saturable.get(node.name)
        if limits is not None and not _is_within(operands[0].raw, limits):
            self._count(node, *operands)
        if raw.ndim == 1:  # computed of constants alone
            raw = np.broadcast_to(raw, (len(self._x), *raw.shape))
        if self._observe is not None:
            counts = self.moment.counts(node.op.when)
            self._observe(node.name, self.moment.t, raw, counts[:, 0])
        return Value(raw, node.tensor.type)

    def _count(self, node: Node, *operands: Value) -> None:
        """What was brought into range just now, in the lanes that have this step."""
        lost, moment = node.op.outside(self, *operands) & self.valid, self.moment
        is_once = moment.sweep.direction is Direction.ONCE
        steps = self.length[:, 0] - 1 if is_once else np.full(len(self._x), moment.t)
        self._counter.add(node.name, lost, steps)


def _is_within(raw: IntArray, limits: Saturable) -> bool:
    """What is asked at every step: two passes, and no array."""
    least, greatest = np.minimum.reduce(raw, axis=None), np.maximum.reduce(raw, axis=None)
    return bool(least >= limits.lo and greatest <= limits.hi)


def _empty(lanes: int, node: Node) -> Value:
    """A capture before the first step."""
    raw = np.full((lanes, node.tensor.length), empty_capture(node), dtype=np.int64)
    return Value(raw, node.tensor.type)


def _zeros(lanes: int, kept: Tensor) -> Value:
    return Value(np.zeros((lanes, kept.length), dtype=np.int64), kept.type)
