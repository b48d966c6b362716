"""What the machine takes of a device: an estimate, not from synthesis.

Block RAMs, UltraRAMs and LUTs of every memory, multipliers of the PEs and the units, and the logic
around them (``blocks``). What a back end leaves open, the vendor's tool decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.devices import PLANNED_SHARE, Device
from penstock.machine import logic
from penstock.machine.bandwidth import Bandwidth, bandwidth
from penstock.machine.blocks import Block, blocks, pe_lane, pe_shape
from penstock.machine.logic import ERROR, TOO_LOW
from penstock.machine.machine import Machine
from penstock.machine.memories import Access, Memory

NAMES = {
    "dsp": "DSP", "bram18": "BRAM18", "uram": "URAM", "lut": "LUT", "lut_memory": "LUT as memory",
    "ff": "FF",
}  # fmt: skip
TRUE_DUAL_PORT = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18))
SIMPLE_DUAL_PORT = (*TRUE_DUAL_PORT, (512, 36))
"""(depth, width) of a BRAM18 (UG573)."""
URAM_DEPTH, URAM_WIDTH = 4096, 72
"""Of an UltraRAM (UG573)."""
AUTO_LUTRAM_BITS = 1024
"""What Vitis is assumed to keep in LUTs where nothing else is said."""
ROM_BRAM18_BITS = 18432
"""Bits of a BRAM18 as a read-only memory."""


@dataclass(frozen=True)
class MemoryCost:
    """What all ``memory.count`` memories take together. impl: what they stand in."""

    memory: Memory
    impl: str
    bram18: int = 0
    uram: int = 0
    lut: int = 0
    lut_memory: int = 0


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


class Verdict(StrEnum):
    """Whether a resource suffices."""

    FITS = "fits"
    UNSURE = "unsure"  # the limit lies within the estimate's error
    DOES_NOT_FIT = "does not fit"


@dataclass(frozen=True)
class Fit:
    """One resource. too_high, too_low: by how much of itself ``used`` may be. What follows
    from shapes alone (memories, also in LUTs) has no error."""

    used: int
    total: int
    planned_share: float
    too_high: float = 0.0
    too_low: float = 0.0

    @property
    def least(self) -> int:
        """What it may be at least."""
        return round(self.used * (1 - self.too_high))

    @property
    def most(self) -> int:
        """What it may be at most."""
        return round(self.used * (1 + self.too_low))

    @property
    def limit(self) -> int:
        """How much should be planned for."""
        return int(self.total * self.planned_share)

    @property
    def share(self) -> float | None:
        """used / total; None if there are none."""
        return self.used / self.total if self.total else None

    @property
    def verdict(self) -> Verdict:
        """Whether no more is used than planned for, whatever the error; or surely more."""
        if self.most <= self.limit:
            return Verdict.FITS
        return Verdict.DOES_NOT_FIT if self.least > self.limit else Verdict.UNSURE

    @property
    def fits(self) -> bool | None:
        """None if that can't be told."""
        return None if self.verdict is Verdict.UNSURE else self.verdict is Verdict.FITS


@dataclass(frozen=True)
class Resources:
    """The whole estimate. fits: dsp, bram18, uram, lut, lut_memory, ff."""

    device: Device
    memories: tuple[MemoryCost, ...]
    multipliers: tuple[Multipliers, ...]
    blocks: tuple[Block, ...]
    fits: dict[str, Fit]
    bandwidth: Bandwidth


def estimate(machine: Machine) -> Resources:
    """Memories, multipliers and logic, against the device's totals."""
    device = machine.hardware.device
    memories = tuple(cost_of(memory) for memory in machine.memories)
    found = blocks(machine)
    multipliers = _multipliers(machine, found)
    counted = {
        "bram18": sum(cost.bram18 for cost in memories),
        "uram": sum(cost.uram for cost in memories),
        "lut": sum(cost.lut for cost in memories),
        "lut_memory": sum(cost.lut_memory for cost in memories),
        "dsp": sum(row.dsp for row in multipliers),
    }
    modelled = {
        "lut": sum(block.all.lut for block in found),
        "lut_memory": sum(block.all.lut_memory for block in found),
        "ff": sum(block.all.ff for block in found),
    }
    fits = {}
    for name in NAMES:
        used = counted.get(name, 0) + modelled.get(name, 0)
        share = modelled.get(name, 0) / used if used else 0.0
        fits[name] = Fit(
            used, device.die.total(name), PLANNED_SHARE[name],
            ERROR * share, TOO_LOW.get(name, 0.0) * share,
        )  # fmt: skip
    return Resources(device, memories, multipliers, found, fits, bandwidth(machine))


def cost_of(memory: Memory) -> MemoryCost:
    """Block RAMs, UltraRAMs or LUTs of all memories of one kind."""
    count, depth, width = memory.count, memory.depth, memory.width
    if memory.access is Access.READ_ONLY:
        blocks = -(-depth * width // ROM_BRAM18_BITS)
        return MemoryCost(memory, "rom", bram18=count * blocks)
    is_small = memory.impl == "auto" and depth * width <= AUTO_LUTRAM_BITS
    if is_small or memory.impl == "lutram":
        each = logic.memory(depth, width)
        return MemoryCost(
            memory, "lutram", lut=count * each.lut, lut_memory=count * each.lut_memory
        )
    if memory.impl == "uram":
        return MemoryCost(memory, "uram", uram=count * uram_blocks(depth, width))
    is_true_dual_port = memory.access is Access.TWO_READ_OR_WRITE
    blocks = bram18_blocks(depth, width, is_true_dual_port)
    impl = "bram_t2p" if is_true_dual_port else "bram"
    return MemoryCost(memory, impl, bram18=count * blocks)


def bram18_blocks(depth: int, width: int, is_true_dual_port: bool = False) -> int:
    """The fewest 18-Kbit block RAMs that hold ``depth`` words of ``width`` bits."""
    shapes = TRUE_DUAL_PORT if is_true_dual_port else SIMPLE_DUAL_PORT
    return min(-(-depth // deep) * -(-width // wide) for deep, wide in shapes)


def uram_blocks(depth: int, width: int) -> int:
    """UltraRAMs that hold ``depth`` words of ``width`` bits: they have one shape."""
    return -(-depth // URAM_DEPTH) * -(-width // URAM_WIDTH)


def _multipliers(machine: Machine, found: tuple[Block, ...]) -> tuple[Multipliers, ...]:
    """One for each PE and lane, or more for wide operands; those of the element-wise units."""
    hardware = machine.hardware
    in_pe = pe_lane(pe_shape(machine)).dsp
    return (
        Multipliers("PE array", hardware.pes * hardware.lanes_at_once, in_pe),
        *(
            Multipliers(block.name, block.count, block.each.dsp)
            for block in found
            if block.name.startswith("cell unit of ")
        ),
    )
