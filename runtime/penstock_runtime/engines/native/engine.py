"""The native engine behind the protocols of ``ir.engine``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Direction, Graph
from penstock.ir.engine import Observer, Result
from penstock.ir.saturation import Saturation, merged
from penstock.ir.walk import Moment
from penstock.ops import Output
from penstock_runtime.engines.native.library import NATIVE, Library, library
from penstock_runtime.engines.native.memory import SIZES, Image, Memory
from penstock_runtime.engines.native.planner import plan

STEPS = 1000
"""So many are run before an interrupt is heard."""
FEWEST, FEWEST_PERMUTED = 4, 8
"""Fewer sequences a thread run one by one: side by side they come in eights; alone, a sequence is
nearly as fast where registers can be permuted."""
LONG = 8
"""Steps of a run that is worth dividing so."""


@dataclass(frozen=True)
class NativeEngine:
    """C++ over vectors of a block of rows.

    flags: what the compiler may use of the processor, see ``library``. threads: how many sequences,
    or groups of up to 32 of them, run at once; default: the processors that the process may use.
    """

    name: str = "native"
    flags: tuple[str, ...] = NATIVE
    threads: int = 0

    def prepare(self, graph: Graph) -> NativeExecutable:
        """Raises UnavailableError if this machine can't have the engine."""
        return NativeExecutable(graph, library(self.flags), self.threads or processors())


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class NativeExecutable:
    """A graph that the native engine has prepared."""

    def __init__(self, graph: Graph, built: Library, threads: int) -> None:
        self._graph, self._built, self._threads = graph, built, threads
        self._image = Image(plan(graph), built.can_permute)
        self._idle: defaultdict[int, list[Memory]] = defaultdict(list)
        (output,) = graph.of_kind("output")
        self._outputs = output.tensor.length
        self._is_once = graph.sweeps[output.sweep] is Direction.ONCE

    def run(
        self,
        x: IntArray,
        lengths: IntArray,
        state: dict[str, IntArray] | None = None,
        observe: Observer | None = None,
    ) -> Result:
        """See ``Executable.run``."""
        x = np.ascontiguousarray(x, dtype=np.int64)
        y = np.zeros((len(x), 1 if self._is_once else x.shape[1], self._outputs), np.int64)
        blocks = self._blocks(len(x), x.shape[1], 1 if observe is not None else self._threads)
        if observe is not None:
            memories = [Memory(self._observed, block.stop - block.start) for block in blocks]
            for memory, block in zip(memories, blocks, strict=True):
                _begin(memory, block, x, y, lengths, state)
            self._watch(memories, y, lengths, observe)
            return _joined(y, [_result(memory) for memory in memories])

        def part(block: slice) -> Result:
            with self._borrowed(block.stop - block.start) as memory:
                _begin(memory, block, x, y, lengths, state)
                self._run_sweeps(memory)
                return _result(memory)

        return _joined(y, self._mapped(part, blocks))

    def stream(self, lanes: int, state: dict[str, IntArray]) -> NativeStream:
        """See ``ir.engine.Streaming``."""
        return NativeStream(self._built, self._image, lanes, state, self._outputs)

    def _blocks(self, lanes: int, steps: int, threads: int) -> list[slice]:
        fewest = FEWEST_PERMUTED if self._built.can_permute and steps >= LONG else FEWEST
        return list(_blocks(lanes, threads, fewest))

    def _run_sweeps(self, memory: Memory) -> None:
        """All steps; Python looks up now and then, for an interrupt."""
        for index, sweep in enumerate(memory.plan.program.sweeps):
            steps = len(sweep.order(memory.call.steps))
            for first in range(0, steps, STEPS):
                self._built.run(memory.call, index, first, min(first + STEPS, steps))

    def weight_bytes(self, lanes: int) -> int:
        """Bytes of packed weights that a step of so many sequences reads."""
        blocks = self._blocks(lanes, LONG, self._threads)
        sizes = [block.stop - block.start for block in blocks]
        return sum(self._image.weight_bytes(size == 1) for size in sizes)

    def _mapped(self, function: Callable[[slice], Result], blocks: list[slice]) -> list[Result]:
        if len(blocks) == 1 or self._threads == 1:
            return [function(block) for block in blocks]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self._threads) as pool:  # C++ runs without Python's lock
            return list(pool.map(function, blocks))

    @contextmanager
    def _borrowed(self, lanes: int) -> Iterator[Memory]:
        """Memory for ``lanes`` sequences; a list's append and pop are safe among threads."""
        idle = self._idle[lanes]
        memory = idle.pop() if idle else Memory(self._image, lanes)
        yield memory
        memory.shrink()
        idle.append(memory)

    @cached_property
    def _observed(self) -> Image:
        return Image(plan(self._graph, keeps_all=True), self._built.can_permute)

    def _watch(
        self, memories: list[Memory], y: IntArray, lengths: IntArray, observe: Observer
    ) -> None:
        """All lanes step by step, every value told."""
        shortest, steps = int(lengths.min()), int(memories[0].call.steps)
        for memory in memories:
            memory.call.is_observed = 1
        for index, sweep in enumerate(memories[0].plan.program.sweeps):
            for place, frame in enumerate(sweep.order(steps)):
                for memory in memories:
                    self._built.run(memory.call, index, place, place + 1)
                moment = Moment(sweep, frame, lengths, shortest)
                for node in sweep.nodes:
                    if isinstance(node.op, Output):
                        raw = y[:, moment.t].copy()
                    else:
                        raw = np.concatenate([memory.value(index, node) for memory in memories])
                    observe(node.name, moment.t, raw, moment.counts(node.op.when)[:, 0])


class NativeStream:
    """Sequences that advance step by step in one memory."""

    def __init__(
        self,
        built: Library,
        image: Image,
        lanes: int,
        state: dict[str, IntArray],
        outputs: int,
    ) -> None:
        self._built = built
        (source,) = image.plan.program.graph.of_kind("input")
        blocks = list(_blocks(lanes, 1, FEWEST))
        self._x = np.zeros((lanes, 1, source.tensor.length), np.int64)
        self._y = np.zeros((lanes, 1, outputs), np.int64)
        self._memories = [Memory(image, block.stop - block.start) for block in blocks]
        self._steps = 0
        for memory, block in zip(self._memories, blocks, strict=True):
            _begin(memory, block, self._x, self._y, np.ones(lanes, np.int64), state)

    def step(self, x: IntArray) -> IntArray:
        """See ``ir.engine.Stream``; the result is overwritten by the next step."""
        self._x[:, 0] = x
        for memory in self._memories:
            memory.call.steps_before = self._steps
            memory.restart_captures()
            self._built.run_all(memory.call)
        self._steps += 1
        return self._y[:, 0]

    @property
    def lost(self) -> int:
        """See ``ir.engine.Stream``."""
        return sum(memory.saturated[-1].count for memory in self._memories)

    def saturations(self) -> tuple[Saturation, ...]:
        """What was out of range so far, of every tensor that can be."""
        return merged(*(memory.saturations(self._steps) for memory in self._memories))


def _begin(
    memory: Memory,
    lanes: slice,
    x: IntArray,
    y: IntArray,
    lengths: IntArray,
    state: dict[str, IntArray] | None,
) -> None:
    """Ready ``memory`` for some lanes of a run, whose results go to theirs of ``y``."""
    memory.reserve(x.shape[1])
    given = None if state is None else {name: own[lanes] for name, own in state.items()}
    memory.restart(lengths[lanes], given)
    memory.connect(x[lanes], y[lanes])


def _result(memory: Memory) -> Result:
    """What the lanes of a memory give, but for their results."""
    return Result(np.zeros(0, np.int64), memory.state(), memory.saturations(1))


def _joined(y: IntArray, parts: list[Result]) -> Result:
    """All lanes of a run."""
    states = {name: np.concatenate([part.state[name] for part in parts]) for name in parts[0].state}
    return Result(y, states, merged(*(part.saturations for part in parts)))


def _blocks(lanes: int, threads: int, fewest: int) -> Iterator[slice]:
    """Lanes that run side by side: a thread's share, or each alone if that is below ``fewest``."""
    share = -(-lanes // threads)
    size = 1 if share < fewest else next((own for own in SIZES[1:] if own >= share), SIZES[-1])
    for start in range(0, lanes, size):
        yield slice(start, min(start + size, lanes))
