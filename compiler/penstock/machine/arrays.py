"""The vectors that have a memory of their own, beside the activation memory that products gather.

Element-wise units read and write them position by position, so each has a bank for every element of
a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.fixed import Fixed
from penstock.ir import Graph, Node
from penstock.schedule import Schedule
from penstock.schedule.partition import is_loaded


class Role(StrEnum):
    """Why a vector is kept."""

    STATE = "state"  # from step to step
    NEXT = "next state"  # a deferred state's new value, until the step ends
    PARAMETER = "parameters"  # constant
    FRAMES = "frames"  # of all steps, for a later sweep
    CARRY = "carry"  # from one phase of a step to a later one
    CAPTURE = "capture"  # of one step, for a sweep that runs once


@dataclass(frozen=True)
class Array:
    """One memory. name: of the state, else of the node that it holds; type: of its elements."""

    role: Role
    name: str
    type: Fixed
    positions: int


def buffered_frames(graph: Graph) -> list[Node]:
    """Values that a later sweep reads: buffered for all steps."""
    return [
        node
        for node in graph.nodes()
        if node.tensor.constant is None
        and node.op.captures is None
        and any(user.sweep != node.sweep for user in graph.users(node.name))
    ]


def carried(graph: Graph, plan: Schedule) -> list[Node]:
    """Values of a step that an element-wise unit reads in another phase than they come from."""
    found: dict[str, Node] = {}
    for phase in plan.phases:
        for name in phase.elementwise:
            for source in graph.vectors(graph[name]):
                is_outside = source.name not in phase.nodes and source.sweep == phase.sweep
                if is_outside and source.tensor.constant is None and not source.op.reads:
                    found[source.name] = source
    return list(found.values())


def kept_captures(graph: Graph, plan: Schedule) -> list[Node]:
    """Captures that an element-wise unit reads, that accumulate, or are results as they are.

    With several lanes all of them: a word holds every lane, and the others keep what they have.
    """
    read: set[str] = set()
    for phase in plan.phases:
        read.update(phase.results, *(graph[name].inputs for name in phase.elementwise))
    captures = graph.of_kind("capture")
    has_lanes = plan.hardware.lanes_at_once > 1
    return [node for node in captures if has_lanes or node.name in read or node.op.accumulates]


def loaded_frames(graph: Graph, sweep: int, results: list[Node]) -> list[str]:
    """Vectors that a step of ``sweep`` takes from outside: the input, or another sweep's.

    results: the vectors that leave the network in this sweep.
    """
    found = [node.name for node in graph.nodes(sweep) if node.op.kind == "input"]
    for node in graph.nodes(sweep):
        sources = results if node.op.kind == "output" else graph.inputs(node)
        for source in sources:
            is_gathered = node.op.kind in ("matvec", "output")
            if is_loaded(source, sweep) and is_gathered and source.name not in found:
                found.append(source.name)
    return found


def parameters(graph: Graph, plan: Schedule) -> list[Node]:
    """On-chip constant vectors, in the order of parameters.bin."""
    return [
        node
        for node in graph.of_kind("const")
        if len(node.tensor.shape) == 1 and node.name in plan.layout_of
    ]
