"""The graph cut into phases: each an SpMV, and what the cell unit makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.ir import Graph, Node

UNPHASED = -1
SOURCES = ("input", "const", "state_read")


@dataclass(frozen=True)
class Part:
    """One phase's nodes.

    matvecs share their operands and number of rows; ``operands`` are nodes.
    """

    name: str
    sweep: int
    matvecs: tuple[str, ...]
    operands: tuple[str, ...]
    rows: int
    elementwise: tuple[str, ...]


def partition(graph: Graph, sweep: int) -> list[Part]:
    """Phases of one sweep, in the order in which they run.

    MatVecs of the same operands and rows become one phase; every other node belongs to the latest
    phase that it depends on (if it depends on none, to the first that needs it).
    Raises NotImplementedError for a graph that the accelerator's phases can't hold (a value carried
    element-wise from one phase to another).
    """
    groups: dict[tuple[tuple[str, ...], int], int] = {}
    phase_of: dict[str, int] = {}
    for node in graph.nodes(sweep):
        before = max((phase_of.get(source, UNPHASED) for source in node.inputs), default=UNPHASED)
        if node.op.kind == "matvec":
            key = (node.inputs[::2], node.tensor.length)
            before = groups.setdefault(key, len(groups))
        phase_of[node.name] = before
    members = [node for node in graph.nodes(sweep) if node.op.kind not in SOURCES]
    for node in reversed(members):
        if phase_of[node.name] == UNPHASED and node.op.kind != "output":
            users = [phase_of[user.name] for user in graph.users(node.name)]
            phase_of[node.name] = min(users, default=UNPHASED)
    for node in members:
        _check(graph, node, phase_of)
    parts = []
    for (operands, rows), index in groups.items():
        mine = [node for node in members if phase_of[node.name] == index]
        matvecs = tuple(node.name for node in mine if node.op.kind == "matvec")
        others = tuple(node.name for node in mine if node.op.kind != "matvec")
        parts.append(Part(_phase_name(matvecs), sweep, matvecs, operands, rows, others))
    return parts


def _check(graph: Graph, node: Node, phase_of: dict[str, int]) -> None:
    phase = phase_of[node.name]
    if phase == UNPHASED and node.op.kind != "output":
        raise NotImplementedError(f"{node.name} has nothing to do with a matrix product")
    for source in graph.inputs(node):
        if source.op.kind in SOURCES or source.sweep != node.sweep:
            continue
        earlier = phase_of[source.name] < phase
        if earlier != (node.op.kind == "matvec"):
            raise NotImplementedError(f"{node.name} can't take {source.name} from its phase")


def _phase_name(matvecs: tuple[str, ...]) -> str:
    layer = matvecs[0].rpartition(".")[0]
    return f"{layer}.gates" if len(matvecs) > 1 else f"{layer}.{_plain(matvecs[0])}"


def _plain(name: str) -> str:
    stem = name.rpartition(".")[2]
    return {"acc_y": "projection", "acc_head": "dense"}.get(stem, stem)
