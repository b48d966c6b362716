"""What the machine takes of a device: an estimate, not from synthesis.

Block RAMs and LUTs of every memory, multipliers of the PEs and the units. What a back end leaves
open, the vendor's tool decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.machine.devices import PLANNED_SHARE, Device, device_of
from penstock.machine.machine import Machine
from penstock.machine.memories import Access, Memory

TRUE_DUAL_PORT = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18))
SIMPLE_DUAL_PORT = (*TRUE_DUAL_PORT, (512, 36))
"""(depth, width) of a BRAM18 (UG573)."""
URAM_SHAPE = (4096, 72)
"""(depth, width) of a URAM (UG573)."""
LUTRAM_SHAPES = ((32, 14), (64, 7))
"""(depth, width) of a simple dual-port memory from 8 LUTs (UG574: RAM32M16, RAM64M8)."""
LUTRAM_LUTS = 8
AUTO_LUTRAM_BITS = 1024
"""What Vitis is assumed to keep in LUTs where nothing else is said."""
ROM_BRAM18_BITS = 18432
"""Bits of a BRAM18 as a read-only memory."""


@dataclass(frozen=True)
class MemoryCost:
    """What all ``memory.count`` memories take together. impl: what they stand in."""

    memory: Memory
    impl: str
    bram18: int
    lut: int
    uram: int = 0


@dataclass(frozen=True)
class Multipliers:
    """``count`` equal places with ``dsp_each`` multipliers."""

    name: str
    count: int
    dsp_each: int

    @property
    def dsp(self) -> int:
        """Multipliers in all."""
        return self.count * self.dsp_each


@dataclass(frozen=True)
class Fit:
    """One resource. used: None if it is not estimated; total: None if the device is not known."""

    used: int | None
    total: int | None
    planned_share: float

    @property
    def limit(self) -> int | None:
        """How much should be planned for."""
        return None if self.total is None else int(self.total * self.planned_share)

    @property
    def share(self) -> float | None:
        """used / total; None if one of them is not known, or there are none."""
        return self.used / self.total if self.used is not None and self.total else None

    @property
    def fits(self) -> bool | None:
        """True if no more is used than planned for; None if that is not known."""
        if self.used is None or self.limit is None:
            return None
        return self.used <= self.limit


@dataclass(frozen=True)
class Resources:
    """The whole estimate. fits: dsp, bram18, uram, lut, ff."""

    device: Device | None
    memories: tuple[MemoryCost, ...]
    multipliers: tuple[Multipliers, ...]
    fits: dict[str, Fit]


def estimate(machine: Machine) -> Resources:
    """Multipliers and memories, against the device's totals where the device is known."""
    memories = tuple(cost_of(memory) for memory in machine.memories)
    multipliers = _multipliers(machine)
    used: dict[str, int | None] = {
        "dsp": sum(row.dsp for row in multipliers),
        "bram18": sum(cost.bram18 for cost in memories),
        "uram": sum(cost.uram for cost in memories),
        "lut": sum(cost.lut for cost in memories),
        "ff": None,
    }
    device = device_of(machine.hardware.part)
    die = device.die if device is not None else None
    fits = {
        name: Fit(count, die.total(name) if die is not None else None, PLANNED_SHARE[name])
        for name, count in used.items()
    }
    return Resources(device if die is not None else None, memories, multipliers, fits)


def cost_of(memory: Memory) -> MemoryCost:
    """Block RAMs or LUTs of all memories of one kind."""
    count, depth, width = memory.count, memory.depth, memory.width
    if memory.access is Access.READ_ONLY:
        blocks = -(-depth * width // ROM_BRAM18_BITS)
        return MemoryCost(memory, "rom", count * blocks, 0)
    if memory.impl == "uram":
        blocks = -(-depth // URAM_SHAPE[0]) * -(-width // URAM_SHAPE[1])
        return MemoryCost(memory, "uram", 0, 0, count * blocks)
    is_small = memory.impl == "auto" and depth * width <= AUTO_LUTRAM_BITS
    if is_small or memory.impl == "lutram":
        return MemoryCost(memory, "lutram", 0, count * lutram_luts(depth, width))
    is_true_dual_port = memory.access is Access.TWO_READ_OR_WRITE
    blocks = bram18_blocks(depth, width, is_true_dual_port)
    return MemoryCost(memory, "bram_t2p" if is_true_dual_port else "bram", count * blocks, 0)


def bram18_blocks(depth: int, width: int, is_true_dual_port: bool = False) -> int:
    """The fewest 18-Kbit block RAMs that hold ``depth`` words of ``width`` bits."""
    shapes = TRUE_DUAL_PORT if is_true_dual_port else SIMPLE_DUAL_PORT
    return min(-(-depth // deep) * -(-width // wide) for deep, wide in shapes)


def lutram_luts(depth: int, width: int) -> int:
    """The fewest LUTs that hold ``depth`` words of ``width`` bits; multiplexers not counted."""
    return LUTRAM_LUTS * min(-(-depth // deep) * -(-width // wide) for deep, wide in LUTRAM_SHAPES)


def _multipliers(machine: Machine) -> tuple[Multipliers, ...]:
    """One for each PE and lane; those of the element-wise units, which phases do not share."""
    hardware, graph = machine.hardware, machine.graph
    in_pe = max(_dsp(machine, node.name) for node in graph.of_kind("matvec"))
    units = hardware.cell_units * hardware.lanes
    return (
        Multipliers("PE array", hardware.pes * hardware.lanes, in_pe),
        *(
            Multipliers(
                f"cell unit of {phase.name}", units,
                sum(_dsp(machine, name) for name in phase.nodes.elementwise),
            )
            for phase in machine.phases
        ),
    )  # fmt: skip


def _dsp(machine: Machine, name: str) -> int:
    node = machine.graph[name]
    return node.op.cost(*(source.tensor for source in machine.graph.inputs(node))).dsp
