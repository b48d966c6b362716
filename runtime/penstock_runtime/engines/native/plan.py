"""From a graph to a program: groups of rows, where every value lies, instructions.

A *group* is a run of nodes of one length that can be executed block by block of rows: no node of it
reads a whole vector that the group itself computes. What a group computes stays in registers; a
value has a buffer only if a product reads it, or another group, or another sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from penstock.fixed import IntArray
from penstock.ir import Graph, Node
from penstock.ir.saturation import Saturable, saturable
from penstock.ir.walk import Program, empty_capture
from penstock.ir.walk import Sweep as WalkedSweep
from penstock.ops import ArgMax, Capture, Input, MatVec, Output, StateRead, StateWrite
from penstock_runtime.engines.native.coder import Coder, Line, allocate
from penstock_runtime.engines.native.matrix import Operand, is_narrow
from penstock_runtime.engines.native.program import Mode, Opcode, Storage
from penstock_runtime.engines.native.rules import RULES


@dataclass
class BufferPlan:
    """(rows, lanes) integers.

    constant: what they always are, (rows). initial: what they are when a run begins. later: kept
    for every step. position: where they begin in the arena of their storage, if a product reads
    them.
    """

    rows: int
    storage: Storage
    constant: IntArray | None = None
    initial: int = 0
    later: bool = False
    position: int | None = None


@dataclass
class MatrixPlan:
    """A product: operands, and the buffers of their vectors."""

    operands: list[Operand]
    buffers: list[int]
    rows: int
    storage: Storage


@dataclass
class GroupPlan:
    """Lines that are executed block by block over ``rows`` rows."""

    rows: int
    lines: list[Line]


@dataclass
class SweepPlan:
    """copies: (to, from) buffers of states, at the end of a step."""

    walked: WalkedSweep
    groups: list[GroupPlan] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Plan:
    """A program, before it has memory.

    states, captures: name -> buffer. values: of every sweep, node name -> its buffer, if it has
    one. slots: the tensors that can saturate, in the order of their counters.
    """

    program: Program
    sweeps: list[SweepPlan] = field(default_factory=list)
    buffers: list[BufferPlan] = field(default_factory=list)
    matrices: list[MatrixPlan] = field(default_factory=list)
    tables: list[tuple[IntArray, bool]] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    captures: dict[str, int] = field(default_factory=dict)
    values: list[dict[str, int]] = field(default_factory=list)
    slots: dict[str, Saturable] = field(default_factory=dict)
    registers: int = 1


def plan(graph: Graph, keeps_all: bool = False) -> Plan:
    """Plan a graph. keeps_all: every value of a step has a buffer, to be observed."""
    return _Planner(graph, keeps_all).plan()


def wholes(node: Node) -> tuple[str, ...]:
    """The vectors of which ``node`` reads more than the element that it computes."""
    if isinstance(node.op, MatVec):
        return node.inputs[::2]
    return node.inputs if isinstance(node.op, ArgMax) else ()


class _Planner:
    """The buffers and tables of a plan, as its sweeps ask for them."""

    def __init__(self, graph: Graph, keeps_all: bool) -> None:
        self.graph = graph
        self.keeps_all = keeps_all
        self.result = Plan(Program.of(graph))
        self.storages = _storages(graph)
        self.arena = {name for node in graph.nodes() for name in wholes(node)}
        self.result.slots = saturable(graph)
        self._slots = {name: slot for slot, name in enumerate(self.result.slots)}
        self._named: dict[tuple[str, str], int] = {}
        self._tables: dict[tuple[str, bool], int] = {}

    def plan(self) -> Plan:
        for name, kept in self.result.program.captures.items():
            index = self._made("capture", kept, initial=empty_capture(kept))
            self.result.captures[name] = index
        for walked in self.result.program.sweeps:
            self.result.sweeps.append(_SweepPlanner(self, walked).plan())
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
        return self._made("constant", node, constant=node.tensor.constant)

    def shifts(self, name: str) -> int:
        """See ``Places.shifts``."""
        node = self.graph[name]
        exponents = node.tensor.constant
        assert exponents is not None
        return self._made("shifts", node, constant=exponents.max() - exponents)

    def table(self, name: str, wide: bool) -> int:
        """See ``Places.table``."""
        if (name, wide) not in self._tables:
            entries = self.graph[name].tensor.constant
            assert entries is not None
            self._tables[name, wide] = len(self.result.tables)
            self.result.tables.append((entries, wide))
        return self._tables[name, wide]

    def saturable(self, name: str) -> tuple[int, Saturable] | None:
        """See ``Places.saturable``."""
        found = self.result.slots.get(name)
        return None if found is None else (self._slots[name], found)

    def matrix(self, node: Node, buffers: Iterable[int]) -> int:
        """A product of this plan."""
        storage = self.storages[node.inputs[0]]
        self.result.matrices.append(
            MatrixPlan(_operands(self.graph, node), list(buffers), node.tensor.length, storage)
        )
        return len(self.result.matrices) - 1

    def _place(self) -> None:
        """Put what products read side by side."""
        ends = dict.fromkeys(Storage, 0)
        for buffer in self.result.buffers:
            if buffer.position is not None:
                buffer.position = ends[buffer.storage]
                ends[buffer.storage] += buffer.rows


def _operands(graph: Graph, node: Node) -> list[Operand]:
    tensors = [source.tensor for source in graph.inputs(node)]
    shifts = MatVec.aligns(*tensors)
    found = []
    for x, w, shift in zip(tensors[::2], tensors[1::2], shifts, strict=True):
        assert w.constant is not None
        found.append(Operand.of(w.constant, shift, max(-x.lo, x.hi)))
    return found


ARENA = 1 << 16
"""Positions that a narrow column can name."""


def _storages(graph: Graph) -> dict[str, Storage]:
    """The integers of every vector: the narrowest, but one type for all that a product reads."""
    found = {
        node.name: Storage.of(node.tensor.lo, node.tensor.hi)
        for node in graph.nodes()
        if len(node.tensor.shape) == 1
    }
    products = {node: _operands(graph, node) for node in graph.of_kind("matvec")}
    read = {name for node in graph.nodes() for name in wholes(node)}
    is_short = sum(graph[name].tensor.length for name in read) <= ARENA
    while True:
        before = dict(found)
        for node, operands in products.items():
            own = max(found[name] for name in wholes(node))
            if own is not Storage.INT16 or not (is_short and is_narrow(operands)):
                own = max(own, _wide_storage(operands))
            found.update(dict.fromkeys(wholes(node), own))
        if found == before:
            return found


def _wide_storage(operands: list[Operand]) -> Storage:
    """What a product needs that is not narrow: its weights are kept shifted."""
    shifted = [operand.greatest << operand.shift for operand in operands]
    return max(Storage.INT32, *(Storage.of(-one, one) for one in shifted))


class _SweepPlanner:
    """One sweep; to its coders, the ``Places`` where values lie."""

    def __init__(self, planner: _Planner, walked: WalkedSweep) -> None:
        self._planner = planner
        self._walked = walked
        self._own = {node.name for node in walked.nodes}
        self._result = SweepPlan(walked)
        self._group: dict[str, int] = {}  # node -> the group that computes it
        self._values: dict[str, int] = {}

    def plan(self) -> SweepPlan:
        groups = list(self._grouped())
        for index, nodes in enumerate(groups):
            self._group.update((node.name, index) for node in nodes)
        self._bring()
        for nodes in groups:
            self._emit(nodes)
        for node in self._walked.nodes:
            if isinstance(node.op, StateWrite):
                state = node.op.state
                self._result.copies.append((self._planner.old(state), self._planner.new(state)))
        self._planner.result.values.append(self._values)
        return self._result

    def _grouped(self) -> Iterator[list[Node]]:
        group: list[Node] = []
        for node in self._walked.nodes:
            if self._is_left_out(node):
                continue
            inside = {own.name for own in group}
            is_next = group and self._rows(node) == self._rows(group[0])
            if group and not (is_next and not inside & {*wholes(node)}):
                yield group
                group = []
            group.append(node)
        if group:
            yield group

    def _is_left_out(self, node: Node) -> bool:
        """An old state is where it is, unless somebody wants a copy."""
        is_wanted = self._planner.keeps_all or node.name in self._walked.read_later
        return isinstance(node.op, StateRead) and not is_wanted

    def _rows(self, node: Node) -> int | tuple[int, ...]:
        """Rows over which a node is executed; an output's operands may be of several lengths."""
        if not isinstance(node.op, Output):
            return node.tensor.length
        lengths = tuple(self.node(name).tensor.length for name in node.inputs)
        return lengths[0] if len({*lengths}) == 1 else lengths

    def _bring(self) -> None:
        """Vectors of earlier sweeps that a product reads are copied to the arena."""
        needed = [name for node in self._walked.nodes for name in wholes(node)]
        for name in dict.fromkeys(needed):
            node = self.node(name)
            is_here = name in self._own or name in self._walked.captured
            if not is_here and node.tensor.constant is None:
                coder = Coder(self)
                coder.store(name, self._planner.local(node))
                self._add_group(node.tensor.length, coder)

    def _emit(self, nodes: list[Node]) -> None:
        lengths = self._rows(nodes[0])
        if isinstance(lengths, tuple):  # an output alone
            self._emit_outputs(nodes[0])
            return
        coder = Coder(self)
        for node in nodes:
            self._compute(coder, node)
            self._keep(coder, node)
        self._add_group(lengths, coder)

    def _emit_outputs(self, node: Node) -> None:
        for name, offset in self._offsets(node):
            coder = Coder(self)
            self._output(coder, name, offset)
            self._add_group(self.node(name).tensor.length, coder)

    def _add_group(self, rows: int, coder: Coder) -> None:
        if coder.lines:
            used = allocate(coder.lines)
            self._planner.result.registers = max(self._planner.result.registers, used)
            self._result.groups.append(GroupPlan(rows, coder.lines))

    def _offsets(self, node: Node) -> Iterator[tuple[str, int]]:
        lengths = [0, *(self.node(name).tensor.length for name in node.inputs)]
        starts = np.cumsum(lengths)
        for name, (start, _) in zip(node.inputs, pairwise(starts), strict=True):
            yield name, int(start)

    def _output(self, coder: Coder, name: str, offset: int) -> None:
        register = coder.value(name)
        coder.act(Opcode.OUTPUT, coder.is_wide(register), a=register, offset=offset)

    def _compute(self, coder: Coder, node: Node) -> None:
        op, planner = node.op, self._planner
        match op:
            case Input():
                coder.act(Opcode.READ_FRAME, False, buffer=planner.local(node))
            case StateRead():
                planner.old(op.state)
            case StateWrite():
                coder.store(node.inputs[0], planner.new(op.state), Opcode.KEEP,
                            other=planner.old(op.state))  # fmt: skip
                coder.set(node.name, coder.value(node.inputs[0]))
            case Capture():
                coder.store(node.inputs[0], planner.result.captures[op.name], Opcode.CAPTURE,
                            mode=Mode[op.when.upper()])  # fmt: skip
            case Output():
                for name, offset in self._offsets(node):
                    self._output(coder, name, offset)
            case ArgMax():
                buffer = self.buffer_of(node.inputs[0])
                coder.set(node.name, coder.emit(Opcode.ARGMAX, False, buffer=buffer))
            case MatVec():
                self._matvec(coder, node)
            case _:
                RULES[type(op)](coder, node)

    def _matvec(self, coder: Coder, node: Node) -> None:
        buffers = [self._arena_of(name) for name in wholes(node)]
        wide = Storage.of(node.tensor.lo, node.tensor.hi) is Storage.INT64
        matrix = self._planner.matrix(node, buffers)
        coder.set(node.name, coder.emit(Opcode.MATVEC, wide, table=matrix))

    def _keep(self, coder: Coder, node: Node) -> None:
        """Store what others read."""
        if isinstance(node.op, Capture | Output):
            return
        if self._planner.keeps_all or self._is_read(node):
            index = self._values[node.name] = self._planner.local(node)
            if not isinstance(node.op, Input):
                coder.store(node.name, index)
        if node.name in self._walked.read_later:
            coder.store(node.name, self._planner.later(node))

    def _is_read(self, node: Node) -> bool:
        """By a product, or by another group of this sweep; a state has its buffer anyway."""
        if isinstance(node.op, StateRead):
            return False
        users = [user for user in self._planner.graph.users(node.name) if user.name in self._own]
        return any(
            node.name in wholes(user) or self._group[user.name] != self._group[node.name]
            for user in users
        )

    def _arena_of(self, name: str) -> int:
        """The buffer in which a product finds a vector."""
        node = self.node(name)
        if node.tensor.constant is not None:
            return self._planner.constant(node)
        if isinstance(node.op, StateRead) and name in self._own:
            return self._planner.old(node.op.state)
        if name in self._walked.captured:
            return self._planner.result.captures[self._walked.captured[name]]
        return self._planner.local(node)

    # What a coder asks.

    def node(self, name: str) -> Node:
        return self._planner.graph[name]

    def buffer_of(self, name: str) -> int:
        node = self.node(name)
        is_here = name in self._own or name in self._walked.captured
        if is_here or node.tensor.constant is not None:
            return self._arena_of(name)
        return self._planner.later(node)

    def shifts(self, name: str) -> int:
        return self._planner.shifts(name)

    def table(self, name: str, wide: bool) -> int:
        return self._planner.table(name, wide)

    def saturable(self, name: str) -> tuple[int, Saturable] | None:
        return self._planner.saturable(name)
