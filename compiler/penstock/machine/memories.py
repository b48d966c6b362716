"""Every physical memory: how many, how deep, how wide, with which ports, and in what.

What a back end builds, and what the estimate of resources counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from penstock.ir import Graph
from penstock.machine.arrays import Array
from penstock.machine.ports import PeGroups, Port
from penstock.machine.storage import Storage, signed_bits
from penstock.machine.streams import Stream
from penstock.packing.vectors import Ports

LUTRAM_DEPTH = 64
"""Accumulators no deeper than this stand in LUTs."""
PORT_BUFFER_BEATS = 16 * 16
"""Outstanding bursts * burst length of an m_axi port (UG1399, defaults)."""


class Access(StrEnum):
    """The ports of a memory."""

    ONE_WRITE_ONE_READ = "1w1r"
    TWO_READ_OR_WRITE = "2rw"
    READ_ONLY = "rom"


@dataclass(frozen=True)
class Memory:
    """``count`` equal memories of ``depth`` words of ``width`` bits.

    impl: ``bram`` or ``lutram``; ``auto`` leaves it to the tool.
    """

    name: str
    kind: str
    count: int
    depth: int
    width: int
    access: Access = Access.ONE_WRITE_ONE_READ
    impl: str = "auto"


def activation_bits(kept: Storage) -> int:
    """Width of a gathered, buffered or loaded value: a signed integer."""
    graph = kept.graph
    nodes = [graph[source] for phase in kept.plan.phases for source in phase.operands]
    nodes += [graph[array.name] for array in kept.frames]
    nodes += graph.of_kind("input")
    return max(signed_bits(node.tensor.type) for node in nodes)


def accumulator_bits(graph: Graph) -> int:
    """Width of every accumulator: of the widest one that the proof asks for."""
    return max(node.tensor.type.width for node in graph.of_kind("matvec"))


def memories(
    kept: Storage, groups: PeGroups, beats: Ports, streams: tuple[Stream, ...],
    ports: tuple[Port, ...], result_positions: int,
) -> tuple[Memory, ...]:  # fmt: skip
    """Every memory, in the order of its kinds."""
    return (
        *_of_the_array(kept, groups),
        *_of_vectors(kept, beats, result_positions),
        *_of_tables(kept),
        *(Memory(s.name, "streams", s.count, s.depth, s.width) for s in streams),
        Memory("bursts", "port buffers", sum(port.directions for port in ports),
               PORT_BUFFER_BEATS, beats.port_bits, impl="bram"),
    )  # fmt: skip


def _of_the_array(kept: Storage, groups: PeGroups) -> Iterator[Memory]:
    """The activation memory's copies, in cyclic banks; each PE's accumulators."""
    plan, hardware = kept.plan, kept.plan.hardware
    banks = hardware.cell_units
    copies = groups.groups * groups.group_copies
    yield Memory(
        "activation memory", "activations", copies * banks * hardware.lanes,
        -(-kept.activations.depth // banks), activation_bits(kept), Access.TWO_READ_OR_WRITE,
        "bram",
    )  # fmt: skip
    depth = max(product.code.rows_per_pe for product in plan.products)
    yield Memory(
        "accumulators", "accumulators", hardware.pes * plan.banks * hardware.lanes, depth,
        accumulator_bits(kept.graph), impl="lutram" if depth <= LUTRAM_DEPTH else "bram",
    )  # fmt: skip


def _of_vectors(kept: Storage, beats: Ports, result_positions: int) -> Iterator[Memory]:
    """States, constants, frames, the output: a cyclic bank for each element of a cycle."""
    hardware = kept.plan.hardware
    banks = hardware.cell_units
    every_lane = banks * hardware.lanes

    def memory(array: Array, count: int = every_lane) -> Memory:
        depth = -(-array.positions // banks)
        return Memory(array.name, str(array.role), count, depth, array.type.width)

    for state in kept.states:
        if state.has_array:
            yield memory(kept.array_of(state))
        if state.is_deferred:
            yield memory(kept.next_of(state))
    for array in kept.parameters:
        yield memory(array, banks)
    for array in kept.frames:
        depth = hardware.max_steps * -(-array.positions // banks)
        yield Memory(array.name, "frames", every_lane, depth, activation_bits(kept))
    for array in (*kept.carries, *kept.captures):
        yield memory(array)
    yield Memory("output frame", "frames", every_lane, -(-result_positions // banks), beats.io_bits)


def _of_tables(kept: Storage) -> Iterator[Memory]:
    """A read-only memory for each call of a function, in each unit and lane."""
    hardware = kept.plan.hardware
    count = hardware.cell_units * hardware.lanes
    for node in kept.graph.of_kind("lut"):
        tables = [source.tensor for source in kept.graph.inputs(node)[1:]]
        width = sum(table.type.width for table in tables)
        yield Memory(node.name, "tables", count, tables[0].length, width, Access.READ_ONLY, "rom")
