"""Runs of an engine beside the reference, and where the two differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Graph
from penstock.ir.engine import Engine
from penstock.ir.evaluate import ReferenceEngine

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


def difference(engine: Engine, graph: Graph, run: Run) -> str | None:
    """The first thing in which the engine is not the reference: every value, then all results."""
    wanted_values, values = [], []
    wanted = ReferenceEngine().prepare(graph).run(
        run.x, run.lengths, run.state, lambda *told: wanted_values.append(told)
    )  # fmt: skip
    executable = engine.prepare(graph)
    seen = executable.run(run.x, run.lengths, run.state, lambda *told: values.append(told))
    for (name, step, raw, counts), told in zip(wanted_values, values, strict=True):
        if told[:2] != (name, step):
            return f"{told[:2]} is told where {name} of step {step} is due"
        if not (np.array_equal(raw, told[2]) and np.array_equal(counts, told[3])):
            return f"{name} ({graph[name].op.kind}) in step {step}"
    for kind, got in (("run", executable.run(run.x, run.lengths, run.state)), ("observed", seen)):
        if not np.array_equal(wanted.y, got.y):
            return f"{kind}: y"
        if wanted.state.keys() != got.state.keys():
            return f"{kind}: {list(got.state)}"
        for name, raw in wanted.state.items():
            if not np.array_equal(raw, got.state[name]):
                return f"{kind}: state {name}"
        if wanted.saturations != got.saturations:
            return f"{kind}: {got.saturations} instead of {wanted.saturations}"
    return None
