"""The timeline: what happens in one step, in cycles.

Trip counts are exact. Pipeline depths are estimates made from the operations' latencies, to be
confirmed by synthesis: only Vitis can show them.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.ir import Graph
from penstock.schedule.partition import Part

LOOP_CYCLES = 2
"""Entering and leaving a pipelined loop."""
SPMV_DEPTH = 12
"""Stream read, gap sum, gather, multiply, accumulate."""


@dataclass(frozen=True)
class Stretch:
    """One stretch of a step: ``cycles`` in all, of which ``bound`` no schedule could avoid."""

    name: str
    sweep: int
    kind: str
    cycles: int
    bound: int = 0


def load_stretch(name: str, sweep: int, elements: int, per_cycle: int) -> Stretch:
    """A frame goes into the activation memory."""
    cycles = -(-elements // per_cycle) + LOOP_CYCLES + 2
    return Stretch(name, sweep, "load", cycles)


def spmv_stretch(part: Part, words: int, nonzeros: int, pes: int) -> Stretch:
    """One word a cycle through the PE array."""
    cycles = words + SPMV_DEPTH + LOOP_CYCLES
    return Stretch(part.name, part.sweep, "spmv", cycles, -(-nonzeros // pes))


def cell_stretch(graph: Graph, part: Part, positions: int, per_cycle: int, ways: int) -> Stretch:
    """The cell unit takes ``per_cycle`` neighbours a cycle from the accumulators."""
    depth = depth_cycles(graph, part) + ways.bit_length() - 1 + 2
    cycles = -(-positions // per_cycle) + depth + LOOP_CYCLES
    return Stretch(part.name, part.sweep, "cells", cycles)


def depth_cycles(graph: Graph, part: Part) -> int:
    """Longest chain of latencies through a phase's element-wise nodes."""
    ready: dict[str, int] = {}
    for name in part.elementwise:
        node = graph[name]
        start = max((ready.get(source, 0) for source in node.inputs), default=0)
        tensors = [source.tensor for source in graph.inputs(node)]
        ready[name] = start + node.op.cost(*tensors).latency_cycles
    return max(ready.values(), default=0)
