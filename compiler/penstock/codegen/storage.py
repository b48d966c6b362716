"""Which memory of the kernel holds which tensor: state, parameters, frames, activations."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.codegen.names import constant, identifier, storage
from penstock.fixed import Fixed
from penstock.ir import Graph, Node
from penstock.packing.vectors import Ports
from penstock.schedule import Schedule
from penstock.schedule.memory import segment_of, state_fed_by


@dataclass(frozen=True)
class StateBlock:
    """One state: in an array of its own, in the activation memory, or in both."""

    state: str
    type: Fixed
    positions: int
    first_beat: int
    beats: int
    array: str | None
    base: str | None
    filled: tuple[bool, ...]

    @property
    def has_empty(self) -> bool:
        """True if some position holds no element."""
        return not all(self.filled)

    @property
    def constant(self) -> str:
        """Its name in labels."""
        return constant(self.state)

    @property
    def cpp(self) -> str:
        """The type of its elements."""
        return storage(self.type)


@dataclass(frozen=True)
class Storage:
    """Answers where each tensor is kept; one for a graph and its schedule."""

    graph: Graph
    plan: Schedule
    ports: Ports

    @classmethod
    def of(cls, graph: Graph, plan: Schedule) -> Storage:
        """Choose the width of an element at the ports, and keep the rest as scheduled."""
        hardware = plan.hardware
        io_bits = 16 if _widest_element(graph) <= 16 else 32
        return cls(graph, plan, Ports(hardware.port_bits, io_bits, hardware.lanes))

    def positions(self, name: str) -> int:
        """A vector's length in hardware."""
        return self.plan.layouts[self.plan.layout_of[name]].positions

    def base(self, segment: str) -> str | None:
        """The constant that names a segment of the activation memory, if there is such a one."""
        return f"{constant(segment)}_BASE" if segment in self.plan.memory.base else None

    def states(self) -> list[StateBlock]:
        """All states, in the order of the state port."""
        blocks: list[StateBlock] = []
        for node in self.graph.of_kind("state_read"):
            state = str(vars(node.op)["state"])
            beats = self.ports.beats(self.positions(node.name))
            first = blocks[-1].first_beat + blocks[-1].beats if blocks else 0
            users = self.graph.users(node.name)
            elementwise = any(user.op.kind != "matvec" for user in users)
            base = self.base(state)
            array = identifier(state) if elementwise or base is None else None
            order = self.plan.layouts[self.plan.layout_of[node.name]].order
            filled = tuple(element >= 0 for element in order)
            kind = node.tensor.type
            blocks.append(StateBlock(state, kind, len(order), first, beats, array, base, filled))
        return blocks

    def state_of(self, node: Node) -> StateBlock:
        """The block that a state_read or state_write belongs to."""
        return next(block for block in self.states() if block.state == vars(node.op)["state"])

    def parameters(self) -> list[Node]:
        """On-chip vectors, in the order of parameters.bin."""
        return [
            node
            for node in self.graph.of_kind("const")
            if len(node.tensor.shape) == 1 and node.name in self.plan.layout_of
        ]

    def frames(self) -> list[Node]:
        """Values that a later sweep reads: buffered for all steps."""
        return [
            node
            for node in self.graph.nodes()
            if node.op.kind not in ("const", "capture")
            and any(user.sweep != node.sweep for user in self.graph.users(node.name))
        ]

    def frame_array(self, node: Node) -> str | None:
        """The buffer of a value, if a later sweep reads it."""
        return f"frames_of_{identifier(node.name)}" if node in self.frames() else None

    def own_segment(self, node: Node) -> str | None:
        """The segment into which a computed value must be written itself (not as a state)."""
        is_gathered = any(
            user.op.kind == "matvec" and user.sweep == node.sweep
            for user in self.graph.users(node.name)
        )
        if not is_gathered or state_fed_by(self.graph, node) is not None:
            return None
        return self.base(segment_of(self.graph, node.sweep, node.name))

    def results(self) -> list[Node]:
        """The vectors that make up the output (of an argmax: its operand), in order."""
        (output,) = self.graph.of_kind("output")
        sources = self.graph.inputs(output)
        if sources[0].op.kind == "argmax":
            return self.graph.inputs(sources[0])
        return sources


def _widest_element(graph: Graph) -> int:
    """Bits of the widest raw integer, with sign, that passes a port."""
    (output,) = graph.of_kind("output")
    nodes = [*graph.of_kind("input"), *graph.of_kind("state_read"), output, *graph.inputs(output)]
    nodes += [source for node in graph.of_kind("argmax") for source in graph.inputs(node)]
    return max(signed_bits(node.tensor.type) for node in nodes)


def signed_bits(kind: Fixed) -> int:
    """Bits of the signed integer that holds the type's raw values."""
    return kind.width + int(not kind.signed)
