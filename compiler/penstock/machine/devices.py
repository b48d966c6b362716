"""The devices that are known: whole dies, and the memory beside them on the usual boards.

Sources: AMD product tables and data sheets. Bandwidth of xcu50, xczu7ev, xck26 and xc7z020, and all
figures of xcku060, are recalled, not looked up. A platform's shell takes its part of a die.
"""

from __future__ import annotations

from dataclasses import dataclass

PLANNED_SHARE = {"lut": 0.70, "ff": 0.50, "bram18": 0.80, "uram": 0.80, "dsp": 0.80}
"""More than this of a resource rarely meets timing."""


@dataclass(frozen=True)
class Die:
    """What a die has. bram18: 18-Kbit blocks."""

    lut: int
    ff: int
    bram18: int
    uram: int
    dsp: int

    def total(self, resource: str) -> int:
        """How many of ``resource`` there are."""
        count: int = getattr(self, resource)
        return count


@dataclass(frozen=True)
class Device:
    """One device. die: None where only the board is known; bandwidth: GB/s of its memory.

    memory, banks: as the platform of a data-centre card names them, None for other parts; slrs:
    regions of the die.
    """

    name: str
    die: Die | None
    memory: str | None = None
    banks: int = 1
    slrs: int = 1
    bandwidth: float | None = None


DEVICES = (
    Device("xcu55c", Die(1_303_680, 2_607_360, 4_032, 960, 9_024), "HBM", 32, 3, 460.0),
    Device("xcu280", Die(1_303_680, 2_607_360, 4_032, 960, 9_024), "HBM", 32, 3, 460.0),
    Device("xcu50", Die(871_680, 1_743_360, 2_688, 640, 5_952), "HBM", 32, 2, 316.0),
    Device("xcu200", None, "DDR", 4, 3),
    Device("xcu250", None, "DDR", 4, 4),
    Device("xcvu9p", Die(1_182_240, 2_364_480, 4_320, 960, 6_840), "DDR", 4, 3, 77.0),
    Device("xcku060", Die(331_680, 663_360, 2_160, 0, 2_760), "DDR", 2, 1),
    Device("xczu7ev", Die(230_400, 460_800, 624, 96, 1_728), bandwidth=19.2),
    Device("xck26", Die(117_120, 234_240, 288, 64, 1_248), bandwidth=19.2),
    Device("xc7z020", Die(53_200, 106_400, 280, 0, 220), bandwidth=2.1),
)
KERNEL_FAMILIES = ("xcu", "xcv")
"""Data-centre parts, packaged as kernels for a platform; others become an IP for Vivado."""
SHELL_PORTS = 32
"""Memory ports that an HBM platform has for kernels."""


def device_of(part: str) -> Device | None:
    """The device of a part such as ``xcu55c-fsvh2892-2L-e``; None if it is not in the table."""
    return next((device for device in DEVICES if part.lower().startswith(device.name)), None)
