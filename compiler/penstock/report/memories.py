"""The kernel's memories: how many, how deep, how wide, and the block RAMs or LUTs that each takes.

Follows the pragmas of templates/hls/kernel (compute.h, pe_array.h, ports.h). An estimate: what a
pragma leaves open, Vitis decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from penstock.report.kernel import Kernel

TRUE_DUAL_PORT = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18))
SIMPLE_DUAL_PORT = (*TRUE_DUAL_PORT, (512, 36))
"""(depth, width) of a BRAM18 (UG573)."""
LUTRAM_SHAPES = ((32, 14), (64, 7))
"""(depth, width) of a simple dual-port memory from 8 LUTs (UG574: RAM32M16, RAM64M8)."""
LUTRAM_LUTS = 8
AUTO_LUTRAM_BITS = 1024
"""What Vitis is assumed to keep in LUTs where no pragma says so."""
ACC_LUTRAM_DEPTH = 64
BEAT_STREAM_DEPTH, WORD_STREAM_DEPTH = 64, 32
PORT_BUFFER_BEATS = 16 * 16
"""Outstanding bursts * burst length of an m_axi port (UG1399, defaults)."""


@dataclass(frozen=True)
class Memory:
    """``count`` equal memories of the kernel. bram18, lut: of all of them together."""

    name: str
    kind: str
    count: int
    depth: int
    width: int
    storage: str
    bram18: int
    lut: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def bram18_blocks(depth: int, width: int, is_true_dual_port: bool = False) -> int:
    """The fewest 18-Kbit block RAMs that hold ``depth`` words of ``width`` bits."""
    shapes = TRUE_DUAL_PORT if is_true_dual_port else SIMPLE_DUAL_PORT
    return min(-(-depth // deep) * -(-width // wide) for deep, wide in shapes)


def lutram_luts(depth: int, width: int) -> int:
    """The fewest LUTs that hold ``depth`` words of ``width`` bits; multiplexers not counted."""
    return LUTRAM_LUTS * min(-(-depth // deep) * -(-width // wide) for deep, wide in LUTRAM_SHAPES)


def _memory(
    name: str, kind: str, count: int, depth: int, width: int, storage: str | None = None
) -> Memory:
    if storage is None:
        storage = "lutram" if depth * width <= AUTO_LUTRAM_BITS else "bram"
    if storage == "lutram":
        luts = count * lutram_luts(depth, width)
        return Memory(name, kind, count, depth, width, storage, 0, luts)
    blocks = bram18_blocks(depth, width, is_true_dual_port=storage == "bram_t2p")
    return Memory(name, kind, count, depth, width, storage, count * blocks, 0)


def memories(keep: Kernel) -> list[Memory]:
    """Every memory of the kernel, in the order of its kinds."""
    makers = (_pe_array, _vectors, _tables, _streams, _port_buffers)
    return [memory for make in makers for memory in make(keep)]


def activation_bits(keep: Kernel) -> int:
    """Width of the activation memory: of the widest gathered or buffered value, signed."""
    gathered = {source for phase in keep.plan.phases for source in phase.part.operands}
    nodes = [*(keep.graph[name] for name in sorted(gathered)), *keep.frames()]
    return max(node.tensor.type.width + int(not node.tensor.type.signed) for node in nodes)


def _pe_array(keep: Kernel) -> Iterator[Memory]:
    """The activation memory's copies, one for two PEs, in cyclic banks; each PE's accumulators."""
    plan, hardware = keep.plan, keep.plan.hardware
    banks = hardware.elements_per_cycle
    copies = hardware.pes // plan.group_pes * -(-plan.group_pes // 2)
    depth = -(-plan.memory.length // banks)
    yield _memory("activation memory", "activations", copies * banks * hardware.lanes, depth,
                  activation_bits(keep), "bram_t2p")  # fmt: skip
    acc_depth = max(phase.code.rows_per_pe for phase in plan.phases)
    acc_bits = max(node.tensor.type.width for node in keep.graph.of_kind("matvec"))
    yield _memory("accumulators", "accumulators", hardware.pes * plan.banks * hardware.lanes,
                  acc_depth, acc_bits,
                  "lutram" if acc_depth <= ACC_LUTRAM_DEPTH else "bram")  # fmt: skip


def _vectors(keep: Kernel) -> Iterator[Memory]:
    """State, parameters, frame and output buffers: a cyclic bank for each element of a cycle."""
    hardware = keep.plan.hardware
    banks = hardware.elements_per_cycle
    every_lane = banks * hardware.lanes
    for block in keep.states():
        if block.array is not None:
            depth = -(-block.positions // banks)
            yield _memory(block.state, "state", every_lane, depth, block.type.width)
    for node in keep.parameters():
        depth = -(-keep.positions(node.name) // banks)
        yield _memory(node.name, "parameters", banks, depth, node.tensor.type.width)
    for node in keep.frames():
        depth = hardware.max_steps * -(-keep.positions(node.name) // banks)
        yield _memory(node.name, "frames", every_lane, depth, activation_bits(keep))
    results = sum(keep.positions(node.name) for node in keep.results())
    yield _memory("output frame", "frames", every_lane, -(-results // banks), keep.ports.io_bits)


def _tables(keep: Kernel) -> Iterator[Memory]:
    """A read-only memory for each call of a function, in each cell unit and lane."""
    hardware = keep.plan.hardware
    count = hardware.elements_per_cycle * hardware.lanes
    for node in keep.graph.of_kind("lut"):
        tensors = [source.tensor for source in keep.graph.inputs(node)]
        width = sum(table.type.width for table in tensors[1:])
        yield Memory(node.name, "tables", count, tensors[1].length, width, "rom",
                     count * node.op.cost(*tensors).bram18, 0)  # fmt: skip


def _streams(keep: Kernel) -> Iterator[Memory]:
    """First-in first-out memories between the processes of the dataflow region."""
    plan, hardware, ports = keep.plan, keep.plan.hardware, keep.ports
    groups = hardware.pes // plan.group_pes
    (source,) = keep.graph.of_kind("input")
    entry_bits = max(phase.code.weight_bits for phase in plan.phases)
    entry_bits += max(phase.code.index_bits for phase in plan.phases)
    per_packet = hardware.elements_per_cycle
    packet_bits = per_packet * hardware.lanes * ports.io_bits
    results = sum(keep.positions(node.name) for node in keep.results())
    yield _memory("beats", "streams", groups + 2, BEAT_STREAM_DEPTH, ports.port_bits)
    yield _memory("words", "streams", groups, WORD_STREAM_DEPTH, plan.group_pes * entry_bits)
    for name, positions in (("frames", keep.positions(source.name)), ("results", results)):
        yield _memory(name, "streams", 1, max(2, positions // per_packet), packet_bits)


def _port_buffers(keep: Kernel) -> Iterator[Memory]:
    """Burst buffers of the m_axi ports, one for each direction that a port is used in."""
    groups = keep.plan.hardware.pes // keep.plan.group_pes
    directions = groups + 3 + 2  # weights, x, parameters, state are read; state, y are written
    yield _memory("bursts", "port buffers", directions, PORT_BUFFER_BEATS, keep.ports.port_bits,
                  "bram")  # fmt: skip
