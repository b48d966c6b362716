"""Which memory holds which vector: one answer for every reader."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.fixed import Fixed
from penstock.ir import Graph, Node
from penstock.machine import arrays
from penstock.machine.activations import ActivationMemory, allocate, segment_of
from penstock.machine.arrays import Array, Role
from penstock.machine.states import State, state_fed_by
from penstock.packing.vectors import Ports
from penstock.schedule import Schedule
from penstock.schedule.ahead import deferred_states


@dataclass(frozen=True)
class Storage:
    """Where everything is kept. Each tuple of arrays is in graph order.

    states: in the order of the state port. parameters: in the order of parameters.bin.
    deferred: the states whose new value waits for the end of the step. doubled: of the bank
    dataflow, those whose region of the activation memory has two images, one for this step and one
    for the next.
    """

    graph: Graph
    plan: Schedule
    activations: ActivationMemory
    deferred: frozenset[str]
    doubled: frozenset[str]
    states: tuple[State, ...]
    parameters: tuple[Array, ...]
    frames: tuple[Array, ...]
    carries: tuple[Array, ...]
    captures: tuple[Array, ...]

    def segment(self, sweep: int, source: str) -> str | None:
        """The segment from which ``sweep`` gathers a vector, if there is one."""
        segment = segment_of(self.graph, sweep, source, self.deferred | self.doubled)
        return segment if segment in self.activations.base else None

    def state(self, name: str) -> State:
        """A state by its name."""
        return next(state for state in self.states if state.name == name)

    def array_of(self, state: State) -> Array:
        """The memory of a state's value."""
        return Array(Role.STATE, state.name, state.type, state.positions)

    def next_of(self, state: State) -> Array:
        """Where a deferred state's new value waits."""
        return Array(Role.NEXT, state.name, state.type, state.positions)

    def read_from(self, node: Node, sweep: int) -> Array:
        """The array from which a unit of ``sweep`` reads a vector that it does not compute."""
        if node.op.reads is not None and node.sweep == sweep:
            return self.array_of(self.state(node.op.reads))
        if node.tensor.constant is not None:
            kept = self.parameters
        elif node.op.captures is not None:
            kept = self.captures
        else:
            kept = self.carries if node.sweep == sweep else self.frames
        return next(array for array in kept if array.name == node.name)

    def find(self, kept: tuple[Array, ...], node: Node) -> Array | None:
        """The array of ``kept`` that holds a node's value, if there is one."""
        return next((array for array in kept if array.name == node.name), None)

    def source_of(self, segment: str) -> str:
        """A vector that is gathered from a segment."""
        return next(
            source for phase in self.plan.phases for source in phase.operands
            if self.segment(phase.sweep, source) == segment
        )  # fmt: skip

    def images_of(self, region: int) -> int:
        """How many images a region of the activation memory has."""
        return 1 + bool(self.doubled & set(self.activations.regions[region]))

    def packets(self) -> dict[str, int]:
        """Segments of the activation memory -> positions: each is written from packets."""
        found: dict[str, int] = {}
        for phase in self.plan.phases:
            for source in phase.operands:
                segment = self.segment(phase.sweep, source)
                assert segment is not None
                found[segment] = self.plan.positions(source)
        return found

    def own_segment(self, node: Node) -> str | None:
        """The segment into which a computed value must be written itself (not as a state)."""
        is_gathered = any(
            user.op.kind == "matvec" and user.sweep == node.sweep
            for user in self.graph.users(node.name)
        )
        fed = state_fed_by(self.graph, node)
        if not is_gathered or (fed is not None and fed not in self.deferred | self.doubled):
            return None
        return self.segment(node.sweep, node.name)


def store(graph: Graph, plan: Schedule, ports: Ports) -> Storage:
    """Decide where every vector is kept."""
    apart = deferred_states(graph, plan.phases, plan.hardware.is_bank)
    memory = allocate(graph, plan, apart)
    doubled = _doubled(graph, memory, apart - deferred_states(graph, plan.phases))
    deferred = apart - doubled

    def kept(role: Role, nodes: list[Node]) -> tuple[Array, ...]:
        return tuple(
            Array(role, node.name, node.tensor.type, plan.positions(node.name)) for node in nodes
        )

    return Storage(
        graph, plan, memory, deferred, doubled,
        states=_states(graph, plan, ports, memory, deferred),
        parameters=kept(Role.PARAMETER, arrays.parameters(graph, plan)),
        frames=kept(Role.FRAMES, arrays.buffered_frames(graph)),
        carries=kept(Role.CARRY, arrays.carried(graph, plan)),
        captures=kept(Role.CAPTURE, arrays.kept_captures(graph, plan)),
    )  # fmt: skip


def _doubled(graph: Graph, memory: ActivationMemory, gathered: frozenset[str]) -> frozenset[str]:
    """Of the states that only their own phase still gathers as it writes them, those in a region
    without other states: that one can have two images, and the phase writes into the other."""
    states = graph.states().keys()
    found: set[str] = set()
    for region in memory.regions:
        own = states & set(region)
        found |= own if own <= gathered else set()
    return frozenset(found)


def _states(
    graph: Graph, plan: Schedule, ports: Ports, memory: ActivationMemory, deferred: frozenset[str]
) -> tuple[State, ...]:
    found: list[State] = []
    first = 0
    for name, state in graph.states().items():
        node, layout = state.read, plan.layout(state.read.name)
        is_gathered = name in memory.base
        is_read_by_units = any(
            user.op.kind != "matvec" or user.sweep != node.sweep for user in graph.users(node.name)
        )
        found.append(
            State(
                name, node.name, node.tensor.type, layout, first, ports.beats(layout.positions),
                # A word holds every lane, and lanes without the step keep what they have.
                has_array=is_read_by_units or not is_gathered or plan.hardware.lanes > 1
                or plan.hardware.is_bank,
                segment=name if is_gathered else None,
                is_deferred=name in deferred,
            )
        )  # fmt: skip
        first += found[-1].beats
    return tuple(found)


def signed_bits(dtype: Fixed) -> int:
    """Bits of the signed integer that holds the type's raw values."""
    return dtype.width + int(not dtype.signed)
