"""From a graph to a plan: the buffers, products and tables that its sweeps ask for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Graph, Node
from penstock.ir.saturation import Saturable, saturable
from penstock.ir.walk import Program, empty_capture
from penstock_runtime.engines.native.plan import BufferPlan, MatrixPlan, Plan
from penstock_runtime.engines.native.program import Storage
from penstock_runtime.engines.native.storage import operands_of, storages, wholes
from penstock_runtime.engines.native.sweep import SweepPlanner


def plan(graph: Graph, keeps_all: bool = False) -> Plan:
    """Plan a graph. keeps_all: every value of a step has a buffer, to be observed."""
    return Planner(graph, keeps_all).plan()


class Planner:
    """The buffers and tables of a plan, as its sweeps ask for them."""

    def __init__(self, graph: Graph, keeps_all: bool) -> None:
        self.graph = graph
        self.keeps_all = keeps_all
        self.result = Plan(Program.of(graph))
        self.storages = storages(graph)
        self.arena = {name for node in graph.nodes() for name in wholes(node)}
        self.result.slots = saturable(graph)
        self._slots = {name: slot for slot, name in enumerate(self.result.slots)}
        self._named: dict[tuple[str, str], int] = {}
        self._tables: dict[tuple[str, bool], int] = {}

    def plan(self) -> Plan:
        """The whole program."""
        for name, kept in self.result.program.captures.items():
            index = self._made("capture", kept, initial=empty_capture(kept))
            self.result.captures[name] = index
        for walked in self.result.program.sweeps:
            self.result.sweeps.append(SweepPlanner(self, walked).plan())
        self._place()
        return self.result

    def _made(self, role: str, node: Node, **fields: int | bool | IntArray | None) -> int:
        """The buffer of a role for a node; made when it is first asked for."""
        key = role, node.name
        if key not in self._named:
            self._named[key] = len(self.result.buffers)
            storage = self.storages[node.name]
            buffer = BufferPlan(node.tensor.length, storage, **fields)  # type: ignore[arg-type]
            if role in ("capture", "constant", "local", "state") and node.name in self.arena:
                buffer.position = -1  # until all are known
            self.result.buffers.append(buffer)
        return self._named[key]

    def local(self, node: Node) -> int:
        """A value of the step."""
        return self._made("local", node)

    def later(self, node: Node) -> int:
        """A value of every step, for later sweeps."""
        return self._made("later", node, later=True)

    def old(self, name: str) -> int:
        """A state as the step before left it."""
        index = self._made("state", self.graph.states()[name].read)
        self.result.states[name] = index
        return index

    def new(self, name: str) -> int:
        """A state as this step leaves it."""
        return self._made("new", self.graph.states()[name].read)

    def constant(self, node: Node) -> int:
        """A vector that never changes."""
        return self._made("constant", node, constant=_vector(node))

    def shifts(self, name: str) -> int:
        """See ``Places.shifts``."""
        exponents = _vector(self.graph[name])
        return self._made("shifts", self.graph[name], constant=exponents.max() - exponents)

    def table(self, name: str, wide: bool) -> int:
        """See ``Places.table``."""
        if (name, wide) not in self._tables:
            self._tables[name, wide] = len(self.result.tables)
            self.result.tables.append((_vector(self.graph[name]), wide))
        return self._tables[name, wide]

    def saturable(self, name: str) -> tuple[int, Saturable] | None:
        """See ``Places.saturable``."""
        found = self.result.slots.get(name)
        return None if found is None else (self._slots[name], found)

    def matrix(self, node: Node, buffers: Iterable[int]) -> int:
        """A product of this plan."""
        storage = self.storages[node.inputs[0]]
        self.result.matrices.append(
            MatrixPlan(operands_of(self.graph, node), list(buffers), node.tensor.length, storage)
        )
        return len(self.result.matrices) - 1

    def _place(self) -> None:
        """Put what products read side by side."""
        ends = dict.fromkeys(Storage, 0)
        for buffer in self.result.buffers:
            if buffer.position is not None:
                buffer.position = ends[buffer.storage]
                ends[buffer.storage] += buffer.rows


def _vector(node: Node) -> IntArray:
    """The raw integers of a constant that is no matrix."""
    return np.asarray(node.tensor.constant, dtype=np.int64)
