"""Make a failing case small: leave out nodes and operands while it fails in the same way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from fuzz.drawing import without_unused
from fuzz.random_graphs import Case
from fuzz.trial import Outcome, run_batch

from penstock.ir import Graph, Node

AT_ONCE = 12
"""Candidates in one build."""
PLAIN = {
    "lanes": 1, "interleave": 1, "elements_per_cycle": None, "accumulator_banks": None,
    "hazard_distance": 4,
    "assign": "interleave", "index_bits": None, "port_bits": 512, "overlap": False,
    "weight_storage": "stream", "io": "memory", "dataflow": "gather", "queue_depth": None,
}  # fmt: skip


def reduce_case(
    case: Case, outcome: Outcome, rounds: int = 30, say: Callable[[str], None] = print
) -> tuple[Case, Outcome]:
    """The smallest case found that fails like ``outcome``, and how it fails."""
    for _ in range(rounds):
        smaller = _first_failing(_candidates(case), outcome.kind)
        if smaller is None:
            break
        case, outcome = smaller
        say(f"  {len(case.graph)} nodes, {case.hardware}: {outcome.text[:100]}")
    return case, outcome


def _first_failing(candidates: Iterator[Case], kind: str) -> tuple[Case, Outcome] | None:
    batch: list[Case] = []
    for candidate in candidates:
        batch.append(candidate)
        if len(batch) == AT_ONCE:
            found = _failing(batch, kind)
            if found is not None:
                return found
            batch = []
    return _failing(batch, kind) if batch else None


def _failing(batch: list[Case], kind: str) -> tuple[Case, Outcome] | None:
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = run_batch(batch, Path(scratch))
    pairs = zip(batch, outcomes, strict=True)
    return next(((case, outcome) for case, outcome in pairs if outcome.kind == kind), None)


def _candidates(case: Case) -> Iterator[Case]:
    """Smaller cases, the smallest first; the plain hardware, then one setting at a time."""
    graphs = {str(_shape(graph)): graph for graph in _smaller(case.graph)}
    for graph in sorted(graphs.values(), key=len):
        yield replace(case, graph=graph)
    plain = case.hardware | PLAIN
    if plain != case.hardware:
        yield replace(case, hardware=plain)
        for name, value in PLAIN.items():
            if case.hardware.get(name, value) != value:
                yield replace(case, hardware=case.hardware | {name: value})
    if (case.hardware["pes"] or 1) > 1:
        yield replace(case, hardware=case.hardware | {"pes": 1, "elements_per_cycle": None})


def _shape(graph: Graph) -> list[tuple[str, tuple[str, ...]]]:
    return [(node.name, node.inputs) for node in graph.nodes()]


def _size(graph: Graph) -> int:
    return len(graph) + sum(len(node.inputs) for node in graph.nodes())


def _smaller(graph: Graph) -> Iterator[Graph]:
    for node in graph.nodes():
        if node.op.kind in ("input", "output"):
            continue
        yield from _built(graph, {node.name}, {})
        for source in graph.inputs(node):
            if source.tensor.shape == node.tensor.shape:
                yield from _built(graph, {node.name}, {node.name: source.name})
    for node in graph.nodes():
        for index in range(len(node.inputs)):
            yield from _built(graph, set(), {}, (node.name, index))


def _built(
    graph: Graph, dropped: set[str], instead: dict[str, str], cut: tuple[str, int] | None = None
) -> Iterator[Graph]:
    """``graph`` without ``dropped`` and what can't be without it; nothing if that is no graph."""
    dropped = set(dropped)
    while True:
        before = len(dropped)
        try:
            made = _rebuild(graph, dropped, instead, cut)
        except ValueError:
            return
        if len(dropped) == before:
            break
    made = without_unused(made)
    if len(made.of_kind("output")) == 1 and _size(made) < _size(graph):
        yield made


def _rebuild(
    graph: Graph, dropped: set[str], instead: dict[str, str], cut: tuple[str, int] | None
) -> Graph:
    """One attempt; nodes that can't be are added to ``dropped``, for the next."""
    made = Graph(graph.name, graph.sweeps)
    gone = {state for node in graph.nodes() if node.name in dropped
            if (state := node.op.reads or node.op.writes)}  # fmt: skip
    for node in graph.nodes():
        if node.name in dropped or (node.op.reads or node.op.writes) in gone:
            dropped.add(node.name)
            continue
        inputs = _inputs(node, made, instead, cut)
        if inputs is None or (not inputs and node.inputs):
            dropped.add(node.name)
            continue
        made.add(node.name, node.op, *inputs, sweep=node.sweep)
    return made


def _inputs(
    node: Node, made: Graph, instead: dict[str, str], cut: tuple[str, int] | None
) -> list[str] | None:
    """The operands that are left; None if the node can't do without one that is not."""
    inputs = [instead.get(name, name) for name in node.inputs]
    step = 2 if node.op.kind == "matvec" else 1
    groups = [inputs[start : start + step] for start in range(0, len(inputs), step)]
    left = [
        group for index, group in enumerate(groups)
        if all(name in made for name in group) and cut != (node.name, index)
    ]  # fmt: skip
    if len(left) < len(groups) and node.op.kind not in ("matvec", "add", "output"):
        return None
    return [name for group in left for name in group]
