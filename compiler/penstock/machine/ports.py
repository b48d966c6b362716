"""The kernel's ports, and the groups of PEs behind those of the weights."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.devices import Memory
from penstock.ir import Direction, Graph
from penstock.machine.arrays import parameters
from penstock.machine.states import State
from penstock.packing.groups import PeGroups
from penstock.packing.vectors import Ports, parameter_offsets
from penstock.schedule import Product, Schedule

MAX_GROUP_PES = 32
BURST_BEATS = 64
"""Beats of the longest burst: 4 KB, AXI's limit, at 512 bits."""
OUTSTANDING = 4
"""Bursts on their way at a time; the port's buffer holds all of them."""


@dataclass(frozen=True)
class Port:
    """One port, to memory or an AXI stream.

    beats: that pass it in a call, or in a step if ``is_per_step``.
    """

    name: str
    beats: int
    is_per_step: bool = False
    is_stream: bool = False


def group(
    products: tuple[Product, ...], pes: int, port_bits: int, per_cycle: int, on_chip: bool,
    most: int | None,
) -> PeGroups:  # fmt: skip
    """As many PEs behind one port as one beat a cycle can feed, and no more than 32.

    Where weights stay on chip, a memory of its own feeds each group, as wide as need be. Where that
    makes more ports than the ``most`` that the device has for weights, there are more PEs behind
    each, and a word takes several beats.
    """
    entry_bits = max(product.code.entry_bits for product in products)
    fed = MAX_GROUP_PES if on_chip else min(port_bits // entry_bits, MAX_GROUP_PES)
    size = next(size for size in range(fed, 0, -1) if pes % size == 0)
    if not on_chip and most is not None and pes // size > most:
        wider = range(size + 1, MAX_GROUP_PES + 1)
        size = next((n for n in wider if pes % n == 0 and pes // n <= most), size)
    return PeGroups(pes // size, size, per_cycle)


def most_weight_ports(memory: Memory | None, others: int) -> int | None:
    """Ports that are left for weights beside ``others``; None if that is not known.

    On a card every port of a kernel has one of its own. Those of a Zynq can share one through an
    interconnect, and all but the weights' are idle most of the time.
    """
    if memory is None:
        return None
    return max(memory.ports - others, 1) if memory.has_banks else memory.ports


def kernel_ports(
    graph: Graph, plan: Schedule, beats: Ports, weight_ports: int, weight_beats: int,
    states: tuple[State, ...],
) -> tuple[Port, ...]:  # fmt: skip
    """All ports, in the order of the kernel's arguments."""
    (source,), (output,) = graph.of_kind("input"), graph.of_kind("output")
    vectors = [plan.positions(node.name) for node in parameters(graph, plan)]
    on_chip = parameter_offsets(vectors, beats.port_bits)[-1]
    kept = sum(state.beats for state in states)
    is_once = graph.sweeps[output.sweep] is Direction.ONCE
    is_stream = plan.hardware.streams_io
    found = [
        Port("x", beats.beats(source.tensor.length), is_per_step=True, is_stream=is_stream),
        *(Port(f"weights_{group}", weight_beats) for group in range(weight_ports)),
        Port("parameters", on_chip),
        Port("state_in", kept),
        Port("state_out", kept),
        Port("y", beats.beats(output.tensor.length), is_per_step=not is_once, is_stream=is_stream),
    ]
    return tuple(port for port in found if port.beats)
