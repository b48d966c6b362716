"""Runs of an engine beside the reference, and where the two differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Graph
from penstock.ir.engine import Engine
from penstock.ir.evaluate import ReferenceEngine
from penstock_runtime.engines.compare import EngineDifference, engine_difference

LANES = (1, 2, 3, 5, 8, 16, 19, 40)
STEPS = (1, 2, 5)


@dataclass
class Run:
    """The arguments of ``Executable.run``."""

    x: IntArray
    lengths: IntArray
    state: dict[str, IntArray] | None


def drawn_run(graph: Graph, generator: np.random.Generator, lanes: int, steps: int) -> Run:
    """Frames and states over all of their types, ends among them; lengths of all kinds."""

    def drawn(node, *shape):
        lo, hi = node.tensor.type.raw_min, node.tensor.type.raw_max
        shape = (*shape, node.tensor.length)
        values = generator.integers(lo, hi, shape, endpoint=True)
        small = generator.integers(max(lo, -9), min(hi, 9), shape, endpoint=True)
        ends = generator.choice(np.array([lo, hi]), shape)
        kind = generator.integers(0, 4, shape)
        return np.where(kind == 0, ends, np.where(kind == 1, small, values))

    lengths = generator.integers(0, steps + 1, lanes)
    if generator.integers(2):
        lengths[:] = steps
    state = {name: drawn(own.read, lanes) for name, own in graph.states().items()}
    (source,) = graph.of_kind("input")
    return Run(drawn(source, lanes, steps), lengths, state if generator.integers(4) else None)


def difference(engine: Engine, graph: Graph, run: Run) -> EngineDifference | None:
    """The first thing in which the engine is not the reference."""
    reference, executable = ReferenceEngine().prepare(graph), engine.prepare(graph)
    return engine_difference(engine.name, executable, reference, run.x, run.lengths, run.state)
