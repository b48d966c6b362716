"""Every physical memory: how many, how deep, how wide, with which ports, and in what.

What a back end builds, and what the estimate of resources counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from penstock.ir import Graph
from penstock.machine.arrays import Array
from penstock.machine.ports import BURST_BEATS, OUTSTANDING, Port
from penstock.machine.runs import SweepRuns
from penstock.machine.storage import Storage, signed_bits
from penstock.machine.streams import Stream
from penstock.machine.units import Unit
from penstock.packing.groups import PeGroups
from penstock.packing.vectors import Ports

LUTRAM_DEPTH = 64
"""Memories no deeper than this stand in LUTs."""
BANK_LUTRAM_DEPTH = 256
"""The same where each multiplier has its own: block RAMs are too few."""
URAM_DEPTH = 2048
"""Memories no shallower than this stand in URAM, where the device has any: 4,096 x 72 bits."""


class Access(StrEnum):
    """The ports of a memory."""

    ONE_WRITE_ONE_READ = "1w1r"
    TWO_READ_OR_WRITE = "2rw"
    READ_ONLY = "rom"


@dataclass(frozen=True)
class Memory:
    """``count`` equal memories of ``depth`` words of ``width`` bits, all lanes side by side.

    impl: ``bram``, ``uram`` or ``lutram``; ``auto`` leaves it to the tool. is_moved: by its depth
    it would stand in block RAM or UltraRAM, which is scarce, see ``placement``.
    """

    name: str
    kind: str
    count: int
    depth: int
    width: int
    access: Access = Access.ONE_WRITE_ONE_READ
    impl: str = "auto"
    is_moved: bool = False


@dataclass(frozen=True)
class AccumulatorRows:
    """Rows of the accumulators: first: of each phase, the first; depth: how many there are.

    A phase that pauses keeps its sums while others run, and so has rows of its own.
    """

    first: dict[str, int]
    depth: int


def accumulator_rows(kept: Storage, runs: dict[int, SweepRuns]) -> AccumulatorRows:
    """Give every phase that pauses its rows, behind those that the others share."""
    rows = {product.nodes.name: product.code.summed_rows for product in kept.plan.products}
    pausing = {
        run.phase for own in runs.values() for run in own.beside.values()
    }  # fmt: skip
    depth = max((count for name, count in rows.items() if name not in pausing), default=0)
    first = {}
    for name, count in rows.items():
        first[name] = depth if name in pausing else 0
        depth += count if name in pausing else 0
    return AccumulatorRows(first, depth)


def copy_pes(kept: Storage, units: Iterable[Unit]) -> int:
    """PEs that read one copy of the activations.

    Two of a block RAM with two ports; one of a memory in LUTs, or if it is written meanwhile. A
    unit that writes two vectors at a time needs both ports. Activations that are broadcast are read
    by one process alone.
    """
    hardware = kept.plan.hardware
    needs_ports = any(len(unit.segments) > 1 for unit in units)
    is_deep = _activation_depth(kept) > LUTRAM_DEPTH and not hardware.is_broadcast
    return 2 if (is_deep or needs_ports) and not hardware.overlaps else 1


def _activation_depth(kept: Storage) -> int:
    return -(-kept.activations.depth // kept.plan.hardware.cell_units)


def has_uram(kept: Storage) -> bool:
    """True if the device has UltraRAM."""
    return kept.plan.hardware.device.die.uram > 0


def impl_of(depth: int, has_uram: bool = False) -> str:
    """What a memory of one read and one write port stands in, by its depth."""
    if depth <= LUTRAM_DEPTH:
        return "lutram"
    return "uram" if has_uram and depth >= URAM_DEPTH else "bram"


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
    ports: tuple[Port, ...], result_positions: int, result_chunk: int, rows: AccumulatorRows,
    stored_words: int, copy_pes: int, slots: int,
) -> tuple[Memory, ...]:  # fmt: skip
    """Every memory, in the order of its kinds.

    stored_words: of the weights in each group, if they stay on chip. copy_pes: PEs that share a
    copy of the activations. slots: turns of the bank dataflow whose sums are kept, of every row.
    """
    word_bits = next(stream.width for stream in streams if stream.name == "words")
    words = Memory("weights", "weights", groups.groups, stored_words, word_bits,
                   impl=impl_of(stored_words, has_uram(kept)))  # fmt: skip
    return (
        *([words] if stored_words else []),
        *_of_the_array(kept, groups, rows, copy_pes),
        *_of_turns(kept, slots),
        *_of_vectors(kept, beats, result_positions, result_chunk),
        *_of_tables(kept),
        *(Memory(s.name, "streams", s.count, s.depth, s.width) for s in streams),
        Memory("bursts", "port buffers", sum(not port.is_stream for port in ports),
               BURST_BEATS * OUTSTANDING, beats.port_bits, impl="bram"),
    )  # fmt: skip


def _of_the_array(
    kept: Storage, groups: PeGroups, rows: AccumulatorRows, shared: int
) -> Iterator[Memory]:
    """The activation memory's copies, in cyclic banks; each PE's accumulators."""
    plan, hardware = kept.plan, kept.plan.hardware
    if hardware.banks is not None:
        yield from _of_regions(kept, hardware.banks)
        return
    copies = 1 if hardware.is_broadcast else groups.groups * -(-groups.group_pes // shared)
    if hardware.overlaps:
        copied = hardware.copied_elements
        depth = kept.activations.depth // copied
        yield Memory(
            "activation memory", "activations", copies, depth,
            activation_bits(kept) * hardware.lanes_at_once * copied, impl=impl_of(depth),
        )  # fmt: skip
    else:
        depth = _activation_depth(kept)
        yield Memory(
            "activation memory", "activations", copies * hardware.cell_units, depth,
            activation_bits(kept) * hardware.lanes_at_once,
            *(
                (Access.TWO_READ_OR_WRITE, "bram") if shared == 2
                else (Access.ONE_WRITE_ONE_READ, impl_of(depth))
            ),
        )  # fmt: skip
    bits = accumulator_bits(kept.graph) * hardware.lanes_at_once
    yield Memory(
        "accumulators", "accumulators", hardware.pes * plan.banks, rows.depth, bits,
        impl=impl_of(rows.depth),
    )  # fmt: skip
    if hardware.overlaps:
        depth = max(product.code.rows_per_pe for product in plan.products)
        siblings = max(product.code.siblings for product in plan.products)
        yield Memory("sums", "sums", hardware.pes * siblings, depth, bits, impl=impl_of(depth))
        for segment, positions in kept.packets().items():
            yield Memory(f"packets of {segment}", "packets", groups.groups,
                         positions // hardware.cell_units,
                         activation_bits(kept) * hardware.lanes_at_once * hardware.cell_units,
                         impl=impl_of(positions // hardware.cell_units))  # fmt: skip


def _of_regions(kept: Storage, banks: int) -> Iterator[Memory]:
    """Of each region of the activation memory, a memory for every multiplier."""
    hardware = kept.plan.hardware
    for number, region in enumerate(kept.activations.regions):
        depth = max(
            kept.activations.base[name] + kept.plan.positions(kept.source_of(name))
            for name in region
        )
        parts = hardware.interleave * kept.images_of(number)
        depth = depth_of_region(-(-depth // banks), parts)
        yield Memory(
            f"activation memory {number}", "activations", hardware.pes, depth,
            activation_bits(kept) * hardware.lanes_at_once,
            impl="lutram" if depth <= BANK_LUTRAM_DEPTH else "bram",
        )  # fmt: skip


def _of_turns(kept: Storage, slots: int) -> Iterator[Memory]:
    """Of each row, what its turns have summed between their words, if these are apart."""
    if slots:
        bits = accumulator_bits(kept.graph) * kept.plan.hardware.lanes_at_once
        yield Memory("sums of turns", "sums", kept.plan.hardware.shape[0], slots, bits,
                     impl="lutram")  # fmt: skip


def depth_of_region(addresses: int, parts: int) -> int:
    """Of each memory of a region. Sequences that take turns, and images, have a part of it each, a
    power of two long: then a part's number and an address in it need no adder at a multiplier.
    """
    return addresses if parts == 1 else parts << (addresses - 1).bit_length()


def _of_vectors(
    kept: Storage, beats: Ports, result_positions: int, result_chunk: int
) -> Iterator[Memory]:
    """States, constants, frames, the output: a cyclic bank for each element of a cycle."""
    hardware = kept.plan.hardware
    banks, lanes = hardware.cell_units, hardware.lanes_at_once

    def memory(array: Array, lanes: int = lanes, turns: int = hardware.interleave) -> Memory:
        depth = turns * -(-array.positions // banks)
        width = array.type.width * lanes
        return Memory(array.name, str(array.role), banks, depth, width, impl=impl_of(depth))

    for state in kept.states:
        if state.has_array:
            yield memory(kept.array_of(state))
        if state.is_deferred:
            yield memory(kept.next_of(state))
    for array in kept.parameters:
        yield memory(array, 1, 1)
    for array in kept.frames:
        depth = hardware.max_steps * hardware.interleave * -(-array.positions // banks)
        yield Memory(array.name, "frames", banks, depth, activation_bits(kept) * lanes,
                     impl=impl_of(depth, has_uram(kept)))  # fmt: skip
    for array in (*kept.carries, *kept.captures):
        yield memory(array)
    depth = -(-result_positions // banks)
    yield Memory("output frame", "frames", banks * result_chunk, depth, beats.io_bits * lanes)


def table_reads(kept: Storage) -> dict[tuple[str, str], list[str]]:
    """The look-ups of each phase's unit in each table: (phase, table's node) -> nodes."""
    found: dict[tuple[str, str], list[str]] = {}
    for phase in kept.plan.phases:
        for name in phase.elementwise:
            if kept.graph[name].op.kind == "lut":
                found.setdefault((phase.name, kept.graph[name].inputs[1]), []).append(name)
    return found


def table_copies(kept: Storage, reads: int) -> int:
    """Memories that serve so many look-ups in each copy of a unit and each lane: two readers each,
    for a read-only memory has two ports."""
    hardware = kept.plan.hardware
    return -(-reads * hardware.cell_units * hardware.lanes_at_once // 2)


def _of_tables(kept: Storage) -> Iterator[Memory]:
    """Read-only memories of each function, for every phase that calls it."""
    for (_, table), nodes in table_reads(kept).items():
        tables = [source.tensor for source in kept.graph.inputs(kept.graph[nodes[0]])[1:]]
        width = sum(part.type.width for part in tables)
        yield Memory(table, "tables", table_copies(kept, len(nodes)), tables[0].length, width,
                     Access.READ_ONLY, "rom")  # fmt: skip
