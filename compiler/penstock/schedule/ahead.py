"""How early each vector is there that a product gathers, so that its words can run ahead.

While the cell unit is busy with one phase, the PE array can already work on another whose vectors
are known: those of x of the next step while the last phase of this one ends, or those of a layer's
own state while the layer before it is finished. The time of one phase's unit is a *window*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.ir import Direction, Graph, Node
from penstock.schedule.partition import PhaseNodes, is_loaded, result_vectors


def deferred_states(
    graph: Graph, phases: Sequence[PhaseNodes], in_pipeline: bool = False
) -> frozenset[str]:
    """States whose old value is read in a later phase than the one that writes the new one.

    in_pipeline: or in the same, where products go on while the unit writes.
    """
    computed_in = {name: index for index, phase in enumerate(phases) for name in phase.nodes}
    late = set()
    for name, state in graph.states().items():
        own = computed_in[state.write.name]
        if in_pipeline and state.read.name in phases[own].operands:
            late.add(name)
        for phase in phases[own + 1 :]:
            reads = {source for node in phase.nodes for source in graph[node].inputs}
            if phase.sweep == state.read.sweep and state.read.name in reads | set(phase.results):
                late.add(name)
    return frozenset(late)


def in_order_of_readiness(graph: Graph, phases: Sequence[PhaseNodes]) -> tuple[PhaseNodes, ...]:
    """Every phase with the vectors first that are there first, and how early each is there.

    See ``PhaseNodes.ready``. A sweep that runs once has nothing to run ahead of.
    """
    deferred = deferred_states(graph, phases)
    found = []
    for phase in phases:
        mine = [other for other in phases if other.sweep == phase.sweep]
        is_once = graph.sweeps[phase.sweep] is Direction.ONCE
        ready = [
            0 if is_once else _windows(graph, mine, mine.index(phase), graph[name], deferred)
            for name in phase.operands
        ]
        order = sorted(range(len(ready)), key=lambda k: -ready[k])
        found.append(
            replace(
                phase,
                operands=tuple(phase.operands[k] for k in order),
                gathers=tuple(tuple(order.index(k) for k in own) for own in phase.gathers),
                ready=tuple(ready[k] for k in order),
            )
        )
    return tuple(found)


def _windows(
    graph: Graph, mine: list[PhaseNodes], index: int, source: Node, deferred: frozenset[str]
) -> int:
    """In how many of the windows before phase ``index`` of a sweep a vector is there already."""
    sweep, count = mine[index].sweep, len(mine)
    if is_loaded(source, sweep):
        return count if _is_loaded_ahead(graph, mine, source) else index
    if source.op.captures is not None:
        return 0
    if source.op.reads is not None:
        if source.op.reads in deferred:
            return index
        written = graph.states()[source.op.reads].write.name
        by = next(k for k, phase in enumerate(mine) if written in phase.nodes)
        return count - 1 - by + index
    by = next(k for k, phase in enumerate(mine) if source.name in phase.nodes)
    return max(index - 1 - by, 0)


def _is_loaded_ahead(graph: Graph, mine: list[PhaseNodes], source: Node) -> bool:
    """True if a frame can be loaded as soon as the one phase that gathers it is done with the last.

    Not if another phase gathers it, a unit reads it, or it is a result as it is.
    """
    gathered = sum(source.name in phase.operands for phase in mine)
    read = any(source.name in graph[name].inputs for phase in mine for name in phase.elementwise)
    return gathered == 1 and not read and source not in result_vectors(graph)
