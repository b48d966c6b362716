"""The element-wise unit of one phase: what it does with each element, line by line.

Typed and in order, but in no language: a back end writes each line its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.ir import Graph, Node
from penstock.machine.arrays import Array, Role
from penstock.machine.storage import Storage
from penstock.schedule import PhaseNodes


class Action(StrEnum):
    """What a line does."""

    SUM = "sum"  # take a product's sum from the accumulators, and leave zero
    READ = "read"  # a vector's element from its array
    COMPUTE = "compute"  # an operation
    WRITE_STATE = "write_state"  # in lanes that have this step
    CAPTURE = "capture"  # in lanes for which this is the step
    GATHERED = "gathered"  # the value also goes to the activation memory
    KEPT = "kept"  # the value also goes to an array
    RESULT = "result"  # the value leaves the network, zero in lanes without this step


class Need(StrEnum):
    """What a unit works with beside arrays."""

    SUMS = "sums"  # the accumulators
    ACTIVATIONS = "activations"  # the activation memory
    VALID = "valid"  # lanes whose sequence has this step
    LAST = "last"  # lanes whose sequence ends with this step
    LENGTH = "length"  # steps of each lane's sequence
    STEP = "step"  # the number of the step
    RESULTS = "results"  # the stream of results


@dataclass(frozen=True)
class Line:
    """One line. node: the graph's node that it speaks of. array, segment: where it reads or writes.

    sibling: of a sum, its number among the phase's products.
    """

    action: Action
    node: str
    array: Array | None = None
    segment: str | None = None
    sibling: int = 0


@dataclass(frozen=True)
class Unit:
    """A phase's unit. rows_per_pe: elements of each PE; uses: what it works with, in order of first
    use; depth: cycles of the longest chain of operations."""

    rows_per_pe: int
    lines: tuple[Line, ...]
    uses: tuple[Array | Need, ...]
    depth: int

    @property
    def segments(self) -> set[str]:
        """The segments of the activation memory that it writes."""
        return {line.segment for line in self.lines if line.segment is not None}

    @property
    def writes_results(self) -> bool:
        """True if the network's result, or a part of it, leaves from here."""
        return Need.RESULTS in self.uses


def build_unit(kept: Storage, phase: PhaseNodes, rows_per_pe: int) -> Unit:
    """A phase's nodes in graph order; what it reads from arrays, just before the first use.

    A state is read before it is written, so that every reader sees what the step before left.
    """
    lines: list[Line] = []
    for index, name in enumerate(phase.matvecs):
        lines += [Line(Action.SUM, name, sibling=index)]
    for name in phase.matvecs:
        lines += _stores(kept, kept.graph[name])
    known = set(phase.nodes)
    for name in phase.elementwise:
        node = kept.graph[name]
        for source in _wanted_first(kept, phase, node):
            if source.name not in known:
                known.add(source.name)
                lines += _read(kept, phase, source)
        lines += [_line(kept, node), *_stores(kept, node)]
    for name in phase.results:
        if name not in known:
            lines += _read(kept, phase, kept.graph[name])
        lines.append(Line(Action.RESULT, name))
    return Unit(rows_per_pe, tuple(lines), _uses(kept, lines), depth_cycles(kept.graph, phase))


def _wanted_first(kept: Storage, phase: PhaseNodes, node: Node) -> list[Node]:
    """What must have been read before a node is computed: of a state, also the old value."""
    wanted = kept.graph.vectors(node)
    if node.op.writes is not None:
        read = kept.graph[kept.state(node.op.writes).read]
        users = kept.graph.users(read.name)
        is_used = any(user.name in phase.elementwise for user in users)
        if is_used or read.name in phase.results or kept.find(kept.frames, read):
            wanted = [*wanted, read]
    return wanted


def _read(kept: Storage, phase: PhaseNodes, source: Node) -> list[Line]:
    lines = [Line(Action.READ, source.name, kept.read_from(source, phase.sweep))]
    if source.op.reads is not None and source.sweep == phase.sweep:
        written = {kept.graph[name].op.writes for name in phase.nodes}
        if source.op.reads in written:  # the one place where its frames are kept
            lines += _stores(kept, source)
    return lines


def _line(kept: Storage, node: Node) -> Line:
    if node.op.writes is not None:
        state = kept.state(node.op.writes)
        if state.is_deferred:
            return Line(Action.WRITE_STATE, node.name, kept.next_of(state))
        array = kept.array_of(state) if state.has_array else None
        return Line(Action.WRITE_STATE, node.name, array, state.segment)
    if node.op.captures is not None:
        array = kept.find(kept.captures, node)
        segment = kept.segment(node.sweep, node.name)
        return Line(Action.CAPTURE, node.name, array, segment)
    return Line(Action.COMPUTE, node.name)


def _stores(kept: Storage, node: Node) -> list[Line]:
    """A value that a product of this sweep gathers, or that somebody reads elsewhere, is kept."""
    if node.op.writes is not None or node.op.captures is not None:
        return []
    found = []
    segment = None if node.op.reads is not None else kept.own_segment(node)
    if segment is not None:
        found.append(Line(Action.GATHERED, node.name, segment=segment))
    for arrays in (kept.frames, kept.carries):
        array = kept.find(arrays, node)
        if array is not None:
            found.append(Line(Action.KEPT, node.name, array))
    return found


def _uses(kept: Storage, lines: list[Line]) -> tuple[Array | Need, ...]:
    found: dict[Array | Need, None] = {}
    for line in lines:
        node = kept.graph[line.node]
        if line.action is Action.SUM:
            found[Need.SUMS] = None
        if line.action is Action.CAPTURE and node.op.when == "last":
            found[Need.LAST] = None
        if node.op.reads_length:
            found[Need.LENGTH] = None
        if line.action is Action.RESULT:
            found[Need.RESULTS] = None
        if line.array is not None:
            found[line.array] = None
        if line.segment is not None:
            found[Need.ACTIVATIONS] = None
    if any(_looks_at_lanes(kept, line) for line in lines):
        found[Need.VALID] = None
    if any(_looks_at_step(line) for line in lines):
        found[Need.STEP] = None
    return tuple(found)


def _looks_at_lanes(kept: Storage, line: Line) -> bool:
    """True for what happens only in lanes that have this step, or is traced there."""
    if line.action is Action.CAPTURE:
        return kept.graph[line.node].op.when != "last"
    return line.action in (Action.SUM, Action.WRITE_STATE, Action.RESULT)


def _looks_at_step(line: Line) -> bool:
    """True for what is kept by the number of the step, or traced with it."""
    if line.array is not None and line.array.role is Role.FRAMES:
        return True
    return line.action in (Action.SUM, Action.WRITE_STATE, Action.CAPTURE)


def depth_cycles(graph: Graph, phase: PhaseNodes) -> int:
    """Longest chain of latencies through a phase's element-wise nodes."""
    ready: dict[str, int] = {}
    for name in phase.elementwise:
        node = graph[name]
        start = max((ready.get(source, 0) for source in node.inputs), default=0)
        tensors = [source.tensor for source in graph.inputs(node)]
        ready[name] = start + node.op.cost(*tensors).latency_cycles
    return max(ready.values(), default=0)
