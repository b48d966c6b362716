"""The activation memory: where each gathered vector lies, a phase's columns in a row."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.ir import Graph, Node
from penstock.schedule.partition import Part


@dataclass
class Memory:
    """Segments of the activation memory, in address order.

    base: segment -> first address. Each starts at a multiple of ``align`` elements, so a write of
    that many neighbours meets every bank once. ``length`` is the whole memory's depth.
    """

    align: int
    base: dict[str, int] = field(default_factory=dict)
    length: int = 0

    def place(self, segments: list[str], lengths: dict[str, int]) -> None:
        """Lay ``segments`` side by side in this order; those already placed must fit in."""
        for before, segment in zip([None, *segments], segments, strict=False):
            if segment not in self.base:
                if before is not None and self.base[before] + lengths[before] != self.length:
                    raise NotImplementedError(f"{segment} can't stand beside {before}")
                self.base[segment] = self.length
                self.length += -(-lengths[segment] // self.align) * self.align
            elif before is not None and self.base[before] + lengths[before] != self.base[segment]:
                raise NotImplementedError(f"{segment} does not stand beside {before}")


def segment_of(graph: Graph, sweep: int, source: str) -> str:
    """The segment from which ``sweep`` gathers ``source``.

    A state and the value that becomes it share one; a value of an earlier sweep has a private copy,
    loaded every step; a capture stays where it was captured.
    """
    node = graph[source]
    if node.op.kind == "capture":
        return source
    if node.sweep != sweep or node.op.kind == "input":
        return f"{source}@{sweep}"
    if node.op.kind == "state_read":
        return str(vars(node.op)["state"])
    return state_fed_by(graph, node) or source


def state_fed_by(graph: Graph, node: Node) -> str | None:
    """The state that a value becomes at the end of the step, if it does."""
    for user in graph.users(node.name):
        if user.op.kind == "state_write":
            return str(vars(user.op)["state"])
    return None


def allocate(graph: Graph, parts: list[Part], lengths: dict[str, int], align: int) -> Memory:
    """Place every operand of every phase; ``lengths`` are positions by node."""
    memory = Memory(align)
    by_segment = {
        segment_of(graph, part.sweep, source): lengths[source]
        for part in parts
        for source in part.operands
    }
    for part in sorted(parts, key=lambda part: len(part.operands) == 1):
        memory.place([segment_of(graph, part.sweep, s) for s in part.operands], by_segment)
    return memory
