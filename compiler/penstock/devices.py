"""The dies and the boards that are known: the one table of devices.

Figures are those of AMD's product tables and data sheets (DS190, DS890, DS891, DS922, DS978), of
Vivado's utilization reports (LUTs that can be memories) and of the cards' platforms (UG1120).
Looked up: the dies of xcu55c, xcu280, xcvu9p, xck26, the memory LUTs of xc7z020, the part names of
U200, U250 and KCU1500, the HBM of U55C and U280. All others are recalled from these documents. That
the platforms of DDR cards take 15 ports of a kernel for each channel is recalled, too.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from penstock.errors import PenstockError

PLANNED_SHARE = {
    "lut": 0.70, "lut_memory": 0.70, "ff": 0.50, "bram18": 0.80, "uram": 0.80, "dsp": 0.80,
}  # fmt: skip
"""More than this of a resource rarely meets timing."""


class Family(StrEnum):
    """What a die's cells are: DSP48E1, CARRY4 and no URAM of series 7; DSP48E2, CARRY8; URAM."""

    SERIES7 = "7series"
    ULTRASCALE = "us"
    ULTRASCALE_PLUS = "usp"


@dataclass(frozen=True)
class Die:
    """What a die has. bram18: 18-Kbit blocks; lut_memory: those LUTs that can be memories."""

    lut: int
    lut_memory: int
    ff: int
    bram18: int
    uram: int
    dsp: int

    def total(self, resource: str) -> int:
        """How many of ``resource`` there are."""
        count: int = getattr(self, resource)
        return count


@dataclass(frozen=True)
class Memory:
    """The memory beside a device.

    kind: ``HBM`` or ``DDR``, as a platform names its banks. channels: that are independent, each of
    ``channel_gb_per_s`` (10**9 bytes). ports: how many a kernel can have in all; port_bits: how
    wide each is, and should be used. has_banks: False where all ports lead to the one memory of a
    processing system.
    """

    kind: str
    channels: int
    channel_gb_per_s: float
    ports: int
    port_bits: int
    has_banks: bool = True

    @property
    def gb_per_s(self) -> float:
        """Of all channels together."""
        return self.channels * self.channel_gb_per_s

    def port_gb_per_s(self, clock_mhz: float) -> float:
        """What one port carries: its width at the kernel's clock, or its channel's bandwidth."""
        return min(self.port_bits / 8 * clock_mhz / 1e3, self.channel_gb_per_s)


@dataclass(frozen=True)
class Device:
    """One device with the memory that usual boards have beside it, which may be unknown.

    slrs: regions of the die.
    """

    name: str
    family: Family
    die: Die
    memory: Memory | None
    slrs: int = 1

    @property
    def port_bits(self) -> int:
        """How wide a memory port should be: 64, 128, 256 or 512 bits, as the device's own are."""
        if self.memory is not None:
            return next((bits for bits in (512, 256, 128) if bits <= self.memory.port_bits), 64)
        if self.is_card:
            return 512
        return 64 if self.family is Family.SERIES7 else 128

    @property
    def is_card(self) -> bool:
        """True for data-centre parts, packaged as kernels for a platform, not as an IP."""
        return self.name.startswith(("xcu", "xcv"))

    @property
    def may_have_processor(self) -> bool:
        """False where none is beside the logic: on cards, and where memory has banks."""
        return not (self.is_card or (self.memory is not None and self.memory.has_banks))


@dataclass(frozen=True)
class Board:
    """A board. part: as Vivado writes it. clock_mhz: a reasonable target."""

    name: str
    part: str
    clock_mhz: float


USP, US, SERIES7 = Family.ULTRASCALE_PLUS, Family.ULTRASCALE, Family.SERIES7
VU37P = Die(1_303_680, 600_960, 2_607_360, 4_032, 960, 9_024)
VU35P = Die(871_680, 402_720, 1_743_360, 2_688, 640, 5_952)
VU9P = Die(1_182_240, 591_840, 2_364_480, 4_320, 960, 6_840)
VU13P = Die(1_728_000, 791_040, 3_456_000, 5_376, 1_280, 12_288)
KU115 = Die(663_360, 293_760, 1_326_720, 4_320, 0, 5_520)
KU060 = Die(331_680, 146_880, 663_360, 2_160, 0, 2_760)
ZU9EG = Die(274_080, 144_000, 548_160, 1_824, 0, 2_520)
ZU7EV = Die(230_400, 101_760, 460_800, 624, 96, 1_728)
ZU5EV = Die(117_120, 57_600, 234_240, 288, 64, 1_248)
Z7020 = Die(53_200, 17_400, 106_400, 280, 0, 220)

DDR4_CARD = Memory("DDR", 4, 19.2, 60, 512)
DEVICES = (
    Device("xcu55c", USP, VU37P, Memory("HBM", 32, 14.375, 32, 512), slrs=3),
    Device("xcu280", USP, VU37P, Memory("HBM", 32, 14.375, 32, 512), slrs=3),
    Device("xcu50", USP, VU35P, Memory("HBM", 32, 9.875, 32, 512), slrs=2),
    Device("xcu200", USP, VU9P, DDR4_CARD, slrs=3),
    Device("xcu250", USP, VU13P, DDR4_CARD, slrs=4),
    Device("xcvu9p", USP, VU9P, Memory("DDR", 2, 19.2, 30, 512), slrs=3),
    Device("xcku115", US, KU115, DDR4_CARD, slrs=2),
    Device("xcku060", US, KU060, Memory("DDR", 2, 12.8, 30, 512)),
    Device("xczu9eg", USP, ZU9EG, Memory("DDR", 1, 17.1, 6, 128, has_banks=False)),
    Device("xczu7ev", USP, ZU7EV, Memory("DDR", 1, 19.2, 6, 128, has_banks=False)),
    Device("xck26", USP, ZU5EV, Memory("DDR", 1, 19.2, 6, 128, has_banks=False)),
    Device("xc7z020", SERIES7, Z7020, Memory("DDR", 1, 2.1, 4, 64, has_banks=False)),
)
"""Ports of a Zynq: four HP, and of UltraScale+ two HPC; ACP is left to coherent traffic."""

DESCRIBED_MEMORY_SHARE = 0.4
BOARDS = (
    Board("u55c", "xcu55c-fsvh2892-2L-e", 250.0),
    Board("u50", "xcu50-fsvh2104-2-e", 250.0),
    Board("u280", "xcu280-fsvh2892-2L-e", 250.0),
    Board("u200", "xcu200-fsgd2104-2-e", 250.0),
    Board("u250", "xcu250-figd2104-2L-e", 250.0),
    Board("vcu118", "xcvu9p-flga2104-2L-e", 250.0),
    Board("kcu1500", "xcku115-flvb2104-2-e", 200.0),  # Vitis has no platform for it
    Board("adm-pcie-ku3", "xcku060-ffva1156-2-e", 200.0),
    Board("zcu102", "xczu9eg-ffvb1156-2-e", 200.0),
    Board("zcu104", "xczu7ev-ffvc1156-2-e", 200.0),
    Board("kv260", "xck26-sfvc784-2LV-c", 200.0),
    Board("pynq-z2", "xc7z020clg400-1", 100.0),
)


def device_of(part: str) -> Device | None:
    """The device of a part such as ``xcu55c-fsvh2892-2L-e``; None if it is not in the table."""
    return next((device for device in DEVICES if part.lower().startswith(device.name)), None)


def board_of(name: str) -> Board:
    """A board by its name. Raises PenstockError with the nearest names."""
    found = next((board for board in BOARDS if board.name == name.lower()), None)
    if found is None:
        names = [board.name for board in BOARDS]
        raise PenstockError(
            f"there is no board {name!r} in the device table",
            "hardware settings",
            f"{_nearest(name, names)}, or give --part",
        )
    return found


def known_device(part: str, resources: str | None = None) -> Device:
    """The device of a part: as ``resources`` describes it, or from the table.

    Raises PenstockError with the nearest names for a part that is in neither.
    """
    if resources is not None:
        return described(part, resources)
    found = device_of(part)
    if found is None:
        raise PenstockError(
            f"the part {part!r} is not in the device table",
            "hardware settings",
            f"{_nearest(part, [device.name for device in DEVICES])}, or tell what it has: "
            f"--part-resources {DESCRIPTION}",
        )
    return found


DIE_KEYS = ("lut", "ff", "bram18", "uram", "dsp")
MEMORY_KEYS = ("gbps", "ports", "port_bits")
DESCRIPTION = "lut=..,ff=..,bram18=..,uram=..,dsp=..[,gbps=..,ports=..,port_bits=..]"


def described(part: str, resources: str) -> Device:
    """A device by ``lut=..,ff=..,bram18=..,uram=..,dsp=..``, with its memory, if that is told.

    Of its LUTs, two fifths are taken to be able to hold memories: shares in the table are 0.33
    to 0.53. Raises PenstockError for anything else.
    """
    pairs = [pair.partition("=") for pair in resources.replace(" ", "").split(",")]
    told = {key: value for key, _, value in pairs}
    numbers = {key: float(value) for key, value in told.items() if _is_number(value)}
    wanted = {*DIE_KEYS, *(MEMORY_KEYS if told.keys() & set(MEMORY_KEYS) else ())}
    is_whole = all(number.is_integer() for key, number in numbers.items() if key != "gbps")
    of_memory = [numbers.get(key, 1) for key in MEMORY_KEYS]
    is_known = len(pairs) == len(told) and told.keys() == wanted == numbers.keys()
    if not is_known or not is_whole or min(of_memory) <= 0:
        raise PenstockError(
            f"the part's resources {resources!r} can't be read", "hardware settings",
            f"write {DESCRIPTION}, whole numbers but for gbps",
        )  # fmt: skip
    lut, ff, bram18, uram, dsp = (int(numbers[key]) for key in DIE_KEYS)
    memory = None
    if "gbps" in numbers:
        ports, bits = int(numbers["ports"]), int(numbers["port_bits"])
        memory = Memory("DDR", 1, numbers["gbps"], ports, bits, has_banks=False)
    die = Die(lut, int(lut * DESCRIBED_MEMORY_SHARE), ff, bram18, uram, dsp)
    known = device_of(part)
    family = known.family if known is not None else Family.ULTRASCALE_PLUS
    return Device(part.lower().partition("-")[0], family, die, memory)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and float(text) < 1e9


def _nearest(name: str, names: list[str]) -> str:
    """What to choose instead: those that are alike, or all."""
    alike = difflib.get_close_matches(name.lower().partition("-")[0], names, n=2, cutoff=0.6)
    return f"try {' or '.join(alike)}" if alike else f"choose one of {', '.join(names)}"
