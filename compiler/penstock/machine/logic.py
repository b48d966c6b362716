"""LUTs, registers and multipliers of the parts that a datapath is made of, by their widths.

Each function is named as its row in ``benchmarks/logic/results.json``, which holds what open
synthesis (yosys, UltraScale+) makes of the same part; ``benchmarks/logic/synthesize.py --table``
prints both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

ERROR = 0.25
"""The greatest relative error of LUTs and registers over the composed blocks, rounded up."""
ESE_RATIO = {"lut": 0.91, "ff": 2.43}
"""What ESE published of itself / the estimate for its configuration (benchmarks/logic/ese.py)."""
TOO_LOW = {"lut": ERROR, "lut_memory": ERROR, "ff": ESE_RATIO["ff"] - 1}
"""By how much, relative, the estimate may be too low; too high by ``ERROR``."""
LUT_INPUTS_AS_ADDRESS = 6
LUTRAM_SHAPES = ((32, 14), (64, 7))
"""(depth, width) of a simple dual-port memory from 8 LUTs (UG574: RAM32M16, RAM64M8)."""
LUTRAM_LUTS = 8
SRL_DEPTH = 32
"""Cycles that one LUT delays one bit (UG574: SRLC32E)."""
LEAST_SRL_CYCLES = 3
"""A shorter delay stays in registers."""
DSP_LEFT, DSP_RIGHT = 27, 18
"""Signed operands of a DSP48E2 (UG579). A DSP48E1 takes 25 x 18 (UG479): of 26 or 27 bits, series 7
needs two where one is counted."""
MOST_LUTS_ALONE = 8
"""Wider choices take MUXF7 and MUXF8."""
LEAST_DSP_BITS = 10
"""Products of fewer bits are made of LUTs."""


@dataclass(frozen=True)
class Logic:
    """What something takes. lut_memory: those of the LUTs that are memories or shift registers."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    lut_memory: int = 0

    def __add__(self, other: Logic) -> Logic:
        return Logic(
            self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp,
            self.lut_memory + other.lut_memory,
        )  # fmt: skip

    def __mul__(self, count: int) -> Logic:
        return Logic(
            self.lut * count, self.ff * count, self.dsp * count, self.lut_memory * count
        )  # fmt: skip


def total(parts: list[Logic]) -> Logic:
    """The sum."""
    return sum(parts, Logic())


def register(bits: int) -> Logic:
    """A register."""
    return Logic(ff=bits)


def delay(bits: int, cycles: int) -> Logic:
    """A value that waits: registers, or shift registers."""
    if cycles < LEAST_SRL_CYCLES:
        return register(bits * cycles)
    luts = bits * -(-cycles // SRL_DEPTH)
    return Logic(luts, lut_memory=luts)


def adder(bits: int) -> Logic:
    """A sum or difference: a LUT a bit on the carry chain."""
    return Logic(bits)


def comparator(bits: int) -> Logic:
    """a < b, a >= b: three bits in two LUTs on the carry chain."""
    return Logic(ceil(bits * 2 / 3))


def multiplexer(ways: int, bits: int) -> Logic:
    """One of ``ways`` words: a LUT takes in three more of them. Of more than eight, four go into
    each LUT, MUXF7 and MUXF8 choose among four of those, and so sixteen become one (UG574).
    """
    if ways > MOST_LUTS_ALONE:
        return Logic(ceil(ways / 4) * bits) + multiplexer(ceil(ways / 16), bits)
    return Logic(ceil((ways - 1) / 3) * bits)


def shifter(bits: int, places: int) -> Logic:
    """A shift by one of ``places`` distances: a LUT a bit for every two bits of the distance."""
    return Logic(ceil(_index_bits(places) / 2) * bits) if places > 1 else Logic()


def table(entries: int, bits: int) -> Logic:
    """A constant table: a LUT for 64 entries of a bit; what is regular in it saves some."""
    return Logic(bits * -(-entries // (1 << LUT_INPUTS_AS_ADDRESS)))


def multiplier(left: int, right: int) -> Logic:
    """A signed product: DSPs, and the sums of partial products where it takes several."""
    if left + right < LEAST_DSP_BITS:
        return Logic(ceil(1.6 * left * right))
    wide, narrow = max(left, right), min(left, right)
    dsp = _tiles(wide, DSP_LEFT) * _tiles(narrow, DSP_RIGHT)
    return Logic(ceil(0.6 * (dsp - 1) * (left + right)), dsp=dsp)


def _tiles(bits: int, limit: int) -> int:
    """DSPs along one operand; all but the topmost take it unsigned, with one bit less."""
    return 1 if bits <= limit else -(-(bits - 1) // (limit - 1))


def memory(depth: int, bits: int) -> Logic:
    """One write and one read port in LUTs; above 64 words several, a multiplexer and a decoder."""
    banks = -(-depth // LUTRAM_SHAPES[-1][0])
    luts = lutram_luts(depth, bits)
    if banks == 1:
        return Logic(luts, lut_memory=luts)
    return Logic(luts, lut_memory=luts) + multiplexer(banks, bits) + Logic(banks)


def lutram_luts(depth: int, width: int) -> int:
    """The fewest LUTs that hold ``depth`` words of ``width`` bits; multiplexers not counted."""
    return LUTRAM_LUTS * min(-(-depth // deep) * -(-width // wide) for deep, wide in LUTRAM_SHAPES)


def fifo(depth: int, bits: int) -> Logic:
    """A stream in shift registers; one of two words, in registers."""
    if depth <= 2:
        return Logic(bits, 2 * bits) + fifo_control(depth)
    banks = -(-depth // SRL_DEPTH)
    stored = Logic(bits * banks, lut_memory=bits * banks)
    return stored + fifo_control(depth)  # up to 128 words, MUXF7 and MUXF8 choose


def fifo_control(depth: int) -> Logic:
    """Pointer, full and empty of a stream."""
    bits = _index_bits(depth) + 1
    return Logic(2 * bits, bits + 2)


def clamp(bits: int, to: int) -> Logic:
    """Saturation to ``to`` bits: are the bits above all alike? then a choice for each bit."""
    return Logic(to + ceil((bits - to + 1) / 5)) if bits > to else Logic()


def requantizer(bits: int, drop: int, to: int) -> Logic:
    """Round half up, then saturate. Half is a carry into a chain that needs no LUT of its own."""
    return clamp(bits - drop + int(drop > 0), to)


def all_clear(flags: int) -> Logic:
    """No flag of many is set: a LUT takes in some three more of them."""
    return Logic(ceil(0.3 * (flags - 1)))


def counter(bits: int) -> Logic:
    """A loop's counter with its end: it counts on a carry chain without LUTs."""
    return Logic(bits // 2 + 1, bits)


def m_axi(bits: int) -> Logic:
    """A memory port's adapter, in one direction; its buffer is a block RAM, counted as a memory.

    Recalled from reports of Vitis HLS: some 800 LUT and 700 FF of 32 bits, and with 512 bits in
    proportion to what registers a beat. No open synthesis of it exists.
    """
    return Logic(700 + 2 * bits, 650 + 3 * bits)


def axis(bits: int) -> Logic:
    """An AXI stream at a port: data, keep, strb and last in a register slice, which holds two beats
    so that valid and ready are registered both (UG1399, register_mode both).
    """
    beat = bits + 2 * (bits // 8) + 1
    return register(2 * beat) + multiplexer(2, beat) + Logic(8, 6)


def _index_bits(count: int) -> int:
    return max((count - 1).bit_length(), 1)
