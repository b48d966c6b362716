"""The activation memory: where each gathered vector lies.

A phase's vectors stand side by side where they can, so that a column's number and one base give its
address; where another phase already holds them apart, every vector has a base of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.ir import Graph
from penstock.machine.states import state_fed_by
from penstock.schedule import Schedule


@dataclass(frozen=True)
class ActivationMemory:
    """Segments of the memory, in address order.

    base: segment -> first address, a multiple of the elements written in a cycle, so that such a
    write meets every bank once. depth: addresses in all. regions: of the bank dataflow, which has
    a memory for each with addresses of its own: segments that some phase gathers together.
    """

    base: dict[str, int]
    depth: int
    regions: tuple[tuple[str, ...], ...] = ()

    def region_of(self, segment: str) -> int:
        """The region that holds a segment."""
        return next(n for n, own in enumerate(self.regions) if segment in own)


def allocate(graph: Graph, plan: Schedule, deferred: frozenset[str]) -> ActivationMemory:
    """Place every vector that a phase gathers. deferred: see ``states.deferred_states``."""
    if plan.hardware.banks is not None:
        return _in_regions(graph, plan, deferred, plan.hardware.banks)
    align = plan.hardware.cell_units
    base: dict[str, int] = {}
    depth = 0
    for phase in sorted(plan.phases, key=lambda phase: len(phase.operands) == 1):
        for source in phase.operands:
            segment = segment_of(graph, phase.sweep, source, deferred)
            if segment not in base:
                base[segment] = depth
                depth += -(-plan.positions(source) // align) * align
    return ActivationMemory(base, depth)


def _in_regions(
    graph: Graph, plan: Schedule, deferred: frozenset[str], banks: int
) -> ActivationMemory:  # fmt: skip
    """Every vector in its region, from a whole address of all banks on."""
    sizes: dict[str, int] = {}
    regions: list[list[str]] = []
    for phase in sorted(plan.phases, key=lambda phase: len(phase.operands) == 1):
        own = []
        for source in phase.operands:
            segment = segment_of(graph, phase.sweep, source, deferred)
            sizes[segment] = -(-plan.positions(source) // banks) * banks
            own.append(segment)
        met = [region for region in regions if set(region) & set(own)]
        if own:
            regions = [region for region in regions if region not in met]
            regions.append(list(dict.fromkeys(name for part in (*met, own) for name in part)))
    base: dict[str, int] = {}
    for region in regions:
        first = 0
        for segment in region:
            base[segment] = first
            first += sizes[segment]
    return ActivationMemory(base, sum(sizes.values()), tuple(map(tuple, regions)))


def segment_of(graph: Graph, sweep: int, source: str, deferred: frozenset[str]) -> str:
    """The segment from which ``sweep`` gathers ``source``.

    A state and the value that becomes it share one, unless the state is deferred; a value of an
    earlier sweep has a private copy, loaded every step; a capture stays where it was captured.
    """
    node = graph[source]
    own = f"{source}@value" if source in graph.states() else source
    if node.op.captures is not None:
        return own
    if node.sweep != sweep or node.op.kind == "input":
        return f"{source}@{sweep}"
    if node.op.reads is not None:
        return node.op.reads
    fed = state_fed_by(graph, node)
    return fed if fed is not None and fed not in deferred else own
