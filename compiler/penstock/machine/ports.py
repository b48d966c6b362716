"""The memory ports, and the groups of PEs behind them."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.ir import Direction, Graph
from penstock.machine.arrays import parameters
from penstock.machine.states import State
from penstock.packing.vectors import Ports, parameter_offsets
from penstock.schedule import Product, Schedule

MAX_GROUP_PES = 32


@dataclass(frozen=True)
class PeGroups:
    """PEs in groups, each with its own weight port, word stream and loop."""

    groups: int
    group_pes: int

    @property
    def group_copies(self) -> int:
        """Copies of the activation memory in a group: a dual-port copy feeds two PEs."""
        return -(-self.group_pes // 2)


@dataclass(frozen=True)
class Port:
    """One memory port. beats: that it touches in a call, or in a step if ``is_per_step``."""

    name: str
    reads: bool
    writes: bool
    beats: int
    is_per_step: bool = False

    @property
    def directions(self) -> int:
        """Burst buffers that it needs: one to read, one to write."""
        return int(self.reads) + int(self.writes)


def group(products: tuple[Product, ...], pes: int, port_bits: int) -> PeGroups:
    """As many PEs behind one port as one beat a cycle can feed, and no more than 32."""
    entry_bits = max(product.code.entry_bits for product in products)
    fed = min(port_bits // entry_bits, MAX_GROUP_PES)
    size = next(size for size in range(fed, 0, -1) if pes % size == 0)
    return PeGroups(pes // size, size)


def memory_ports(
    graph: Graph, plan: Schedule, beats: Ports, groups: int, weight_beats: int,
    states: tuple[State, ...],
) -> tuple[Port, ...]:  # fmt: skip
    """All ports, in the order of the kernel's arguments."""
    (source,), (output,) = graph.of_kind("input"), graph.of_kind("output")
    vectors = [plan.positions(node.name) for node in parameters(graph, plan)]
    on_chip = parameter_offsets(vectors, beats.port_bits)[-1]
    is_once = graph.sweeps[output.sweep] is Direction.ONCE
    return (
        Port("x", True, False, beats.beats(source.tensor.length), is_per_step=True),
        *(Port(f"weights_{group}", True, False, weight_beats) for group in range(groups)),
        Port("parameters", True, False, max(on_chip, 1)),
        Port("state", True, True, sum(state.beats for state in states)),
        Port("y", False, True, beats.beats(output.tensor.length), is_per_step=not is_once),
    )
