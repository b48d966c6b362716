"""Fixed-point types: the only arithmetic in Penstock that drops bits.

A ``Fixed`` maps one to one to ``ap_fixed<W, I, Q, O>`` (``ap_ufixed`` if unsigned) of Vitis HLS,
with I = width - frac. Values are carried as *raw* integers: value = raw * 2**-frac. Semantics:
UG1399, "Arbitrary Precision Fixed-Point Data Types"; tested exhaustively against AMD's own headers
on small widths, and against exact rational arithmetic on all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MAX_WIDTH = 60
"""Raw values live in int64, with bits to spare for what overflows."""
MAX_FRAC = 256
"""Binary points lie within -256..256: 2**-frac is then far from the ends of float64, and every
conversion between two types fits AMD's headers (1,024 bits)."""


class Rounding(StrEnum):
    """Quantization modes: what happens to the bits below the last one (ap_q_mode)."""

    RND = "AP_RND"  # to nearest, ties to plus infinity
    RND_ZERO = "AP_RND_ZERO"  # to nearest, ties to zero
    RND_MIN_INF = "AP_RND_MIN_INF"  # to nearest, ties to minus infinity
    RND_INF = "AP_RND_INF"  # to nearest, ties away from zero
    RND_CONV = "AP_RND_CONV"  # to nearest, ties to even
    TRN = "AP_TRN"  # towards minus infinity
    TRN_ZERO = "AP_TRN_ZERO"  # towards zero


class Overflow(StrEnum):
    """Overflow modes: what happens above the first bit (ap_o_mode)."""

    WRAP = "AP_WRAP"
    SAT = "AP_SAT"
    SAT_ZERO = "AP_SAT_ZERO"  # zero when out of range
    SAT_SYM = "AP_SAT_SYM"  # to +-(2**(W-1) - 1): the lowest code is never used


@dataclass(frozen=True)
class Fixed:
    """A fixed-point type: ``width`` bits, of which ``frac`` below the binary point.

    ``frac`` may be negative or exceed ``width``, as in ap_fixed. Raises ValueError for a width
    outside 1..MAX_WIDTH or a frac outside -MAX_FRAC..MAX_FRAC (a programming error; users' settings
    are checked where they enter).
    """

    width: int
    frac: int
    signed: bool = True
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise ValueError(f"width {self.width} is outside 1..{MAX_WIDTH}")
        if not -MAX_FRAC <= self.frac <= MAX_FRAC:
            raise ValueError(f"frac {self.frac} is outside -{MAX_FRAC}..{MAX_FRAC}")
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        object.__setattr__(self, "overflow", Overflow(self.overflow))

    @property
    def raw_min(self) -> int:
        """Lowest raw integer of the type."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def raw_max(self) -> int:
        """Highest raw integer of the type."""
        return (1 << (self.width - int(self.signed))) - 1

    @property
    def step(self) -> float:
        """Distance between neighbouring values, 2**-frac."""
        return 2.0**-self.frac

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}.{self.frac}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for graph.json."""
        return {
            "width": self.width, "frac": self.frac, "signed": self.signed,
            "rounding": self.rounding.value, "overflow": self.overflow.value,
        }  # fmt: skip

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Fixed:
        """Inverse of ``to_json``."""
        return cls(**fields)

    @classmethod
    def exact(cls, lo: int, hi: int, frac: int) -> Fixed:
        """The narrowest signed type of ``frac`` fraction bits that holds all raw values lo..hi."""
        bits = max(max(hi, 0).bit_length(), max(-lo - 1, 0).bit_length())
        return cls(bits + 1, frac)

    def fits(self, raw: IntArray) -> bool:
        """True if every raw value is one of this type."""
        return bool(raw.size == 0 or (raw.min() >= self.raw_min and raw.max() <= self.raw_max))

    def quantize(self, values: Any) -> IntArray:
        """Raw integers of real ``values``, with this type's rounding and overflow.

        Exact for every finite float64.
        """
        real = np.asarray(values, dtype=np.float64)
        scaled = self._scaled(real)
        floor = np.floor(scaled)
        raw = floor.astype(np.int64)
        raw = raw + rounds_up(self.rounding, raw, remainder_of(scaled, floor), 0.5)
        return self.overflowed(raw)

    def _scaled(self, real: FloatArray) -> FloatArray:
        """``real`` in units of the last bit, as far as rounding and overflow can tell.

        Scaling by a power of two is exact but at the ends of float64: what is too great is far out
        of range, and a multiple of all moduli; what is too small counts by its sign alone.
        """
        with np.errstate(over="ignore", under="ignore"):
            scaled = np.ldexp(real, self.frac)
        if self.frac < 0:
            is_tiny = (real != 0) & (np.abs(scaled) < TINY)
            scaled = np.where(is_tiny, np.copysign(TINY, real), scaled)
        if self.overflow is Overflow.WRAP:
            return np.fmod(np.where(np.isinf(scaled), 0.0, scaled), 2.0 ** (self.width + 1))
        return np.clip(scaled, -(2.0**62), 2.0**62)

    def to_float(self, raw: Any) -> FloatArray:
        """Real values of raw integers."""
        return np.ldexp(np.asarray(raw, dtype=np.float64), -self.frac)

    def overflowed(self, raw: IntArray) -> IntArray:
        """Bring raw values of this ``frac`` into range by the overflow mode."""
        lo, hi = self.raw_min, self.raw_max
        if self.overflow is Overflow.SAT:
            return np.minimum(np.maximum(raw, lo), hi)  # several times as fast as np.clip
        if self.overflow is Overflow.SAT_SYM:
            lowest = -hi if self.width > 1 else lo  # a single sign bit has no symmetric range
            return np.minimum(np.maximum(raw, lowest if self.signed else 0), hi)
        if self.overflow is Overflow.SAT_ZERO:
            return np.where((raw < lo) | (raw > hi), 0, raw)
        low_bits = raw & ((1 << self.width) - 1)
        return np.where(low_bits > hi, low_bits - (1 << self.width), low_bits)

    def interval_from(self, lo: int, hi: int, frac: int) -> tuple[int, int]:
        """Raw interval that ``requantize`` can give for raw values lo..hi of ``frac`` bits."""
        if self.overflow is Overflow.SAT:  # monotone: the ends map to the ends
            ends = requantize(np.array([lo, hi], dtype=np.int64), frac, self)
            return int(ends[0]), int(ends[1])
        return self.raw_min, self.raw_max


TINY = 2.0**-100
"""Rounds as everything between it and zero does."""


def remainder_of(scaled: Any, floor: Any) -> Any:
    """What lies above ``floor``, on the right side of one half.

    The difference is exact but for scaled in -0.5..0, where it may be rounded down to one half.
    Operators only, so it serves arrays and torch tensors alike.
    """
    return scaled - floor + 0.25 * ((scaled > -0.5) & (scaled < 0))


def rounds_up(mode: Rounding, floor: Any, remainder: Any, half: float | int) -> Any:
    """Where ``floor`` must go up by one: ``remainder`` is what lies above it, in 0..2*half.

    The one definition of rounding: operators only, so it serves arrays and torch tensors alike.
    """
    match mode:
        case Rounding.TRN:
            return remainder < 0  # nowhere
        case Rounding.TRN_ZERO:
            return (floor < 0) & (remainder != 0)
        case Rounding.RND:
            return remainder >= half
        case Rounding.RND_MIN_INF:
            return remainder > half
        case Rounding.RND_ZERO:
            return (remainder > half) | ((remainder == half) & (floor < 0))
        case Rounding.RND_INF:
            return (remainder > half) | ((remainder == half) & (floor >= 0))
        case Rounding.RND_CONV:
            return (remainder > half) | ((remainder == half) & (floor % 2 != 0))


def requantize(raw: IntArray, frac: int, to: Fixed) -> IntArray:
    """Convert raw values with ``frac`` fraction bits to the type ``to``: round, then overflow.

    Exact as an ap_fixed assignment, for any ``frac`` and raw values between -2**62 and 2**62.
    """
    drop_bits = frac - to.frac
    if drop_bits <= 0:
        return to.overflowed(_shifted_left(raw, -drop_bits, to))
    drop_bits = min(drop_bits, 63)  # then all are below one half, and int64 holds the half
    floor = raw >> drop_bits
    remainder = raw - (floor << drop_bits)
    return to.overflowed(floor + rounds_up(to.rounding, floor, remainder, 1 << (drop_bits - 1)))


def _shifted_left(raw: IntArray, bits: int, to: Fixed) -> IntArray:
    """``raw << bits`` as far as ``to`` can tell the difference: never beyond int64."""
    room = max(to.width - bits, 0)
    if to.overflow is Overflow.WRAP:
        return (raw & ((1 << room) - 1)) << min(bits, to.width)
    edge = (1 << room) + 1 if room else 1  # still out of range after the shift
    return np.clip(raw, -edge, edge) << min(bits, to.width)


def largest_frac(peak: float, width: int, signed: bool = True) -> int:
    """The most fraction bits at which ``width`` bits hold +-``peak`` after rounding to nearest.

    At most MAX_FRAC; below -MAX_FRAC for a peak that no type holds. A peak of zero gives a type for
    values below one.
    """
    if peak == 0:
        return width - int(signed)
    above_top = (1 << (width - int(signed))) - 0.5
    (peak_part, peak_exponent), (top_part, top_exponent) = math.frexp(peak), math.frexp(above_top)
    frac = top_exponent - peak_exponent - int(peak_part >= top_part)
    return min(frac, MAX_FRAC)
