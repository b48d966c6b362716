"""The groups and instructions of one sweep."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from penstock.ir import Node
from penstock.ir.saturation import Saturable
from penstock.ir.walk import Sweep as WalkedSweep
from penstock.ops import ArgMax, Capture, Input, MatVec, Output, StateRead, StateWrite
from penstock_runtime.engines.native.coder import Coder, allocate
from penstock_runtime.engines.native.plan import GroupPlan, SweepPlan
from penstock_runtime.engines.native.program import Mode, Opcode
from penstock_runtime.engines.native.rules import RULES
from penstock_runtime.engines.native.storage import wholes

if TYPE_CHECKING:
    from penstock_runtime.engines.native.planner import Planner


class SweepPlanner:
    """One sweep; to its coders, the ``Places`` where values lie."""

    def __init__(self, planner: Planner, walked: WalkedSweep) -> None:
        self._planner = planner
        self._walked = walked
        self._own = {node.name for node in walked.nodes}
        self._result = SweepPlan(walked)
        self._group: dict[str, int] = {}  # node -> the group that computes it
        self._values: dict[str, int] = {}

    def plan(self) -> SweepPlan:
        """All of its groups."""
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
        matrix = self._planner.matrix(node, buffers)
        coder.set(node.name, coder.emit(Opcode.MATVEC, True, table=matrix))

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

    def node(self, name: str) -> Node:
        """See ``Places.node``."""
        return self._planner.graph[name]

    def buffer_of(self, name: str) -> int:
        """See ``Places.buffer_of``."""
        node = self.node(name)
        is_here = name in self._own or name in self._walked.captured
        if is_here or node.tensor.constant is not None:
            return self._arena_of(name)
        return self._planner.later(node)

    def shifts(self, name: str) -> int:
        """See ``Places.shifts``."""
        return self._planner.shifts(name)

    def table(self, name: str, wide: bool) -> int:
        """See ``Places.table``."""
        return self._planner.table(name, wide)

    def saturable(self, name: str) -> tuple[int, Saturable] | None:
        """See ``Places.saturable``."""
        return self._planner.saturable(name)
