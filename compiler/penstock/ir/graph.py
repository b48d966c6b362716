"""The graph itself: typed nodes in sweeps over the sequence.

The only module that knows networkx, and only where something is analysed (``connected``): building,
loading, checking and running a graph needs no more than dictionaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from penstock.ir.op import Op, Tensor

NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""Names of nodes, states and captures appear in files, comments and messages as they are."""


class Direction(StrEnum):
    """How a sweep runs over the steps of the sequence."""

    FORWARD = "forward"
    BACKWARD = "backward"
    ONCE = "once"  # a single time, after the sweeps before it


@dataclass(frozen=True)
class Node:
    """One operation in its place: ``inputs`` are names of earlier nodes, ``sweep`` an index."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    sweep: int
    tensor: Tensor = field(compare=False)


@dataclass(frozen=True)
class State:
    """A vector carried from step to step: the node that gives its old value, and its new one."""

    name: str
    read: Node
    write: Node


class Graph:
    """The network as one typed dataflow graph.

    The computation is a list of *sweeps*; each runs its nodes once for every step, in its
    direction. Within a sweep the nodes are acyclic: a state is read as the step before left it,
    wherever the reading node stands, and its new value counts from the end of the step. A value
    used by a later sweep is buffered: that sweep sees the value of the same step. Nodes are kept in
    the order of insertion, which is a topological order.
    """

    def __init__(self, name: str, sweeps: list[Direction]) -> None:
        self.name = name
        self.sweeps = sweeps
        self._nodes: dict[str, Node] = {}
        self._users: dict[str, list[Node]] = {}
        self._kinds: dict[str, list[Node]] = {}
        self._sweeps: dict[int, list[Node]] = {}
        self._lasting: list[Node] = []  # of states and captures

    def add(self, name: str, op: Op, *inputs: str, sweep: int = 0) -> str:
        """Append a node and infer its tensor; returns ``name``, to be used as an input.

        Raises ValueError for a name already taken or that files and messages can't carry, an
        unknown input, an edge against the order of the sweeps, or operands that the operation
        refuses.
        """
        for text in (name, op.reads, op.writes, op.captures):
            if text is not None and not NAME.fullmatch(text):
                raise ValueError(f"{text!r} can't be a name: use letters, digits, _ . and -")
        if name in self._nodes:
            raise ValueError(f"there are two nodes named {name!r}")
        if not 0 <= sweep < len(self.sweeps):
            raise ValueError(f"{name}: there is no sweep {sweep}")
        for source in inputs:
            if source not in self._nodes:
                raise ValueError(f"{name} reads {source!r}, which is not in the graph before it")
            if self[source].sweep > sweep:
                raise ValueError(f"{name} in sweep {sweep} reads {source!r} of a later sweep")
        try:
            tensor = op.infer(*(self[source].tensor for source in inputs))
        except ValueError as error:
            raise ValueError(f"while adding node {name} ({op.kind}): {error}") from error
        self._insert(Node(name, op, inputs, sweep, tensor))
        return name

    def _insert(self, node: Node) -> None:
        """Into every index: graphs are asked far more often than they grow."""
        self._nodes[node.name] = node
        self._users[node.name] = []
        self._kinds.setdefault(node.op.kind, []).append(node)
        self._sweeps.setdefault(node.sweep, []).append(node)
        if (node.op.reads, node.op.writes, node.op.captures) != (None, None, None):
            self._lasting.append(node)
        for source in dict.fromkeys(node.inputs):  # who reads a value twice is one user
            self._users[source].append(node)

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def nodes(self, sweep: int | None = None) -> Iterator[Node]:
        """All nodes, or those of one sweep, in the one deterministic order."""
        return iter(self._nodes.values() if sweep is None else self._sweeps.get(sweep, ()))

    def of_kind(self, kind: str) -> list[Node]:
        """All nodes of one operation, in graph order."""
        return list(self._kinds.get(kind, ()))

    def inputs(self, node: Node) -> list[Node]:
        """The nodes that ``node`` reads, in operand order."""
        return [self[source] for source in node.inputs]

    def vectors(self, node: Node) -> list[Node]:
        """The operands that are vectors of the step: no weight matrices, no tables."""
        return [self[source] for source in node.inputs[node.op.vectors]]

    def states(self) -> dict[str, State]:
        """What is carried from step to step, by name, in the order of the reading nodes.

        Raises ValueError for a state that is not read by one node and written by one.
        """
        reads = self._by_name((node.op.reads, node) for node in self._lasting)
        writes = self._by_name((node.op.writes, node) for node in self._lasting)
        if reads.keys() != writes.keys():
            raise ValueError(
                f"states that are only read or only written: {sorted(reads.keys() ^ writes.keys())}"
            )
        return {name: State(name, read, writes[name]) for name, read in reads.items()}

    def captures(self) -> dict[str, Node]:
        """What is kept for ``once`` sweeps, by the names of the captures.

        Raises ValueError for two captures of one name.
        """
        return self._by_name((node.op.captures, node) for node in self._lasting)

    @staticmethod
    def _by_name(named: Iterable[tuple[str | None, Node]]) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for name, node in named:
            if name is None:
                continue
            if name in found:
                raise ValueError(
                    f"{found[name].name} and {node.name} are both a {node.op.kind} of {name!r}"
                )
            found[name] = node
        return found

    def users(self, name: str) -> list[Node]:
        """The nodes that read ``name``, in graph order."""
        return list(self._users[name])


def connected(groups: Iterable[Iterable[str]]) -> dict[str, int]:
    """Name -> the number of its set: names of one group, and of groups that meet, are in one set.

    Names stand in the order in which they come, and sets are numbered so.
    """
    import networkx as nx

    joined = nx.Graph()
    for group in groups:
        nx.add_path(joined, group)
    sets = enumerate(nx.connected_components(joined))
    number = {name: index for index, names in sets for name in names}
    return {name: number[name] for name in joined}
