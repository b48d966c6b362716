"""The devices that the report knows: whole dies; a platform's shell takes its part of them.

Sources: AMD product tables and data sheets. Bandwidth of xcu50, xczu7ev, xck26 and xc7z020, and all
figures of xcku060, are recalled, not looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

PLANNED_SHARE = {"lut": 0.70, "ff": 0.50, "bram18": 0.80, "uram": 0.80, "dsp": 0.80}
"""More than this of a resource rarely meets timing."""


@dataclass(frozen=True)
class Device:
    """One die. bram18: 18-Kbit blocks. bandwidth: GB/s of the memory it usually stands beside."""

    name: str
    lut: int
    ff: int
    bram18: int
    uram: int
    dsp: int
    bandwidth: float | None

    def total(self, resource: str) -> int:
        """How many of ``resource`` there are."""
        count: int = getattr(self, resource)
        return count


DEVICES = (
    Device("xcku060", 331_680, 663_360, 2_160, 0, 2_760, None),
    Device("xcu55c", 1_303_680, 2_607_360, 4_032, 960, 9_024, 460.0),
    Device("xcu280", 1_303_680, 2_607_360, 4_032, 960, 9_024, 460.0),
    Device("xcu50", 871_680, 1_743_360, 2_688, 640, 5_952, 316.0),
    Device("xcvu9p", 1_182_240, 2_364_480, 4_320, 960, 6_840, 77.0),
    Device("xczu7ev", 230_400, 460_800, 624, 96, 1_728, 19.2),
    Device("xck26", 117_120, 234_240, 288, 64, 1_248, 19.2),
    Device("xc7z020", 53_200, 106_400, 280, 0, 220, 2.1),
)


def device_of(part: str) -> Device | None:
    """The device of a part such as ``xcu55c-fsvh2892-2L-e``; None if it is not in the table."""
    return next((device for device in DEVICES if part.lower().startswith(device.name)), None)
