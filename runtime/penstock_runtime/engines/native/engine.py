"""The native engine behind the protocol of ``ir.engine``."""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Direction, Graph
from penstock.ir.engine import Observer, Result
from penstock.ir.saturation import Saturation, merged
from penstock.ir.walk import Moment
from penstock.ops import Output
from penstock_runtime.engines.native.library import library
from penstock_runtime.engines.native.memory import NEVER, Image, Memory
from penstock_runtime.engines.native.plan import plan

MOST_LANES = 32
"""Sequences that run side by side: more do not share a weight's way from memory any better."""
FEWEST_LANES = 4
"""Fewer run one by one: lanes come in eights."""


@dataclass(frozen=True)
class NativeEngine:
    """C++ over vectors of a block of rows; ``flags`` for the compiler, see ``library``.

    threads: how many run at once (default: the processors that the process may use).
    """

    name: str = "native"
    flags: tuple[str, ...] = ("-march=native",)
    threads: int = 0

    def prepare(self, graph: Graph) -> NativeExecutable:
        """Raises Unavailable if this machine can't have the engine."""
        return NativeExecutable(graph, library(self.flags), self.threads or processors())


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class NativeExecutable:
    """A graph that the native engine has prepared."""

    def __init__(self, graph: Graph, built: ct.CDLL, threads: int) -> None:
        self._graph, self._built, self._threads = graph, built, threads
        self._can_permute = bool(built.penstock_can_permute())
        self._image = Image(plan(graph), self._can_permute)
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
        if observe is not None:
            return self._run(self._observed, x, y, slice(0, len(x)), lengths, state, observe)
        blocks = list(_blocks(len(x), self._threads))
        parts = self._mapped(
            lambda block: self._run(self._image, x, y, block, lengths, state), blocks
        )
        if len(parts) == 1:
            return parts[0]
        states = {
            name: np.concatenate([part.state[name] for part in parts]) for name in parts[0].state
        }
        return Result(y, states, merged(*(part.saturations for part in parts)))

    def _mapped(self, function, blocks):  # type: ignore[no-untyped-def]
        if len(blocks) == 1 or self._threads == 1:
            return [function(block) for block in blocks]
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(function, blocks))

    @cached_property
    def _observed(self) -> Image:
        return Image(plan(self._graph, keeps_all=True), self._can_permute)

    def _run(
        self,
        image: Image,
        x: IntArray,
        y: IntArray,
        lanes: slice,
        lengths: IntArray,
        state: dict[str, IntArray] | None,
        observe: Observer | None = None,
    ) -> Result:
        """Some lanes of a run, whose results go to theirs of ``y``."""
        x, y, lengths = x[lanes], y[lanes], lengths[lanes]
        memory = Memory(image, len(x))
        memory.reserve(x.shape[1])
        given = None if state is None else {name: own[lanes] for name, own in state.items()}
        memory.restart(lengths, given)
        memory.connect(x, y)
        if observe is None:
            self._built.penstock_run_all(ct.byref(memory.call))
        else:
            self._watch(memory, y, lengths, observe)
        return Result(y, memory.state(), _saturations(memory, lengths))

    def _watch(
        self, memory: Memory, y: IntArray, lengths: IntArray, observe: Observer
    ) -> None:
        """Step by step, every value told."""
        memory.call.is_observed = 1
        shortest = int(lengths.min())
        for index, sweep in enumerate(memory.plan.program.sweeps):
            for place, frame in enumerate(sweep.order(memory.call.steps)):
                self._built.penstock_run(ct.byref(memory.call), index, place, place + 1)
                moment = Moment(sweep, frame, lengths, shortest)
                for node in sweep.nodes:
                    if isinstance(node.op, Output):
                        raw = y[:, moment.t]
                    else:
                        raw = memory.value(index, node)
                    observe(node.name, moment.t, raw, moment.counts(node.op.when)[:, 0])


def _blocks(lanes: int, threads: int) -> Iterator[slice]:
    """Lanes that run side by side."""
    if lanes < FEWEST_LANES:
        size = 1
    else:
        size = min(MOST_LANES, max(-(-lanes // threads + 7) // 8 * 8, 8))
    for start in range(0, lanes, size):
        yield slice(start, min(start + size, lanes))


def _saturations(memory: Memory, lengths: IntArray) -> tuple[Saturation, ...]:
    """What the run counted, of every tensor that can saturate."""
    each, once = int(lengths.sum()), int(np.count_nonzero(lengths))
    sweeps = memory.plan.program.graph.sweeps
    return tuple(
        Saturation(
            name, own.kind, found.count,
            own.node.tensor.length
            * (once if sweeps[own.node.sweep] is Direction.ONCE else each),
            None if found.first == NEVER else found.first,
        )
        for (name, own), found in zip(memory.plan.slots.items(), memory.saturated, strict=False)
    )  # fmt: skip
