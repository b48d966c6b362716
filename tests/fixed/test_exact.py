"""Conversions against exact rational arithmetic, over the whole declared domain."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.fixed import MAX_FRAC, MAX_WIDTH, Fixed, Overflow, Rounding, largest_frac, requantize

HALF = Fraction(1, 2)
ROUNDS_UP = {
    Rounding.TRN: lambda floor, rest: False,
    Rounding.TRN_ZERO: lambda floor, rest: floor < 0 and rest > 0,
    Rounding.RND: lambda floor, rest: rest >= HALF,
    Rounding.RND_MIN_INF: lambda floor, rest: rest > HALF,
    Rounding.RND_ZERO: lambda floor, rest: rest > HALF or (rest == HALF and floor < 0),
    Rounding.RND_INF: lambda floor, rest: rest > HALF or (rest == HALF and floor >= 0),
    Rounding.RND_CONV: lambda floor, rest: rest > HALF or (rest == HALF and floor % 2 == 1),
}


def exact(value: Fraction, to: Fixed) -> int:
    """UG1399, in words of one line each: scale, round, overflow."""
    scaled = value * Fraction(2) ** to.frac
    floor = math.floor(scaled)
    rounded = floor + int(ROUNDS_UP[to.rounding](floor, scaled - floor))
    lo, hi = to.raw_min, to.raw_max
    if lo <= rounded <= hi and to.overflow is not Overflow.SAT_SYM:
        return rounded
    match to.overflow:
        case Overflow.SAT:
            return lo if rounded < lo else hi
        case Overflow.SAT_ZERO:
            return 0
        case Overflow.SAT_SYM:
            lowest = -hi if to.signed and to.width > 1 else lo
            return min(max(rounded, lowest), hi)
        case Overflow.WRAP:
            return (rounded - lo) % (1 << to.width) + lo


def types(**fixed):
    parts = {
        "width": st.integers(1, MAX_WIDTH),
        "frac": st.integers(-MAX_FRAC, MAX_FRAC) | st.integers(-70, 130),
        "signed": st.booleans(),
        "rounding": st.sampled_from(Rounding),
        "overflow": st.sampled_from(Overflow),
    }
    return st.builds(Fixed, **(parts | fixed))


@st.composite
def conversions(draw):
    """(source, its raw values, target): more often than not, the target cuts through the source."""
    source = draw(types())
    near = st.integers(-5, source.width + 5).map(lambda drop: source.frac - drop)
    near = near.filter(lambda frac: abs(frac) <= MAX_FRAC)
    to = draw(types() | types(frac=near))
    edges = [source.raw_min, source.raw_max, *(v for v in (0, 1) if v <= source.raw_max)]
    bits = st.integers(0, source.width).map(lambda bit: (1 << bit) // 2)
    tie = st.builds(lambda a, b, s: (a + b) * s, bits, bits, st.sampled_from([1, -1]))
    raw = st.integers(source.raw_min, source.raw_max) | tie
    raws = draw(st.lists(raw, max_size=12))
    return source, edges + [v for v in raws if source.raw_min <= v <= source.raw_max], to


@settings(max_examples=200, deadline=None, derandomize=True)
@given(conversions())
@example((Fixed(60, 130), [-(2**59)], Fixed(5, -7, True, "AP_RND", "AP_SAT")))
@example((Fixed(60, 256), [2**59 - 1, -(2**59)], Fixed(60, -256, True, "AP_RND_INF", "AP_SAT")))
@example((Fixed(60, 59), [-(2**58), 2**58], Fixed(60, -1, True, "AP_RND_CONV", "AP_WRAP")))
def test_a_conversion_is_exact_for_every_pair_of_types(case):
    source, raws, to = case
    got = requantize(np.array(raws, dtype=np.int64), source.frac, to).tolist()
    assert got == [exact(Fraction(raw) / Fraction(2) ** source.frac, to) for raw in raws]
    low, high = to.interval_from(min(raws), max(raws), source.frac)
    assert to.raw_min <= low <= min(got) and max(got) <= high <= to.raw_max


@settings(max_examples=200, deadline=None, derandomize=True)
@given(types(), st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
@example(Fixed(50, 29, True, "AP_TRN_ZERO", "AP_WRAP"), [1e308, -1e308])
@example(Fixed(8, -70), [-5e-324, 5e-324, -1e-300])
@example(Fixed(8, 0, True, "AP_RND_MIN_INF", "AP_SAT"), [-0.5 + 2**-54, 0.5 - 2**-54, -0.5])
@example(Fixed(8, 0, True, "AP_RND_ZERO", "AP_WRAP"), [-0.5 + 2**-54, -(2**-80)])
def test_quantizing_is_exact_for_every_finite_number(to, values):
    ties = [math.ldexp(n + 0.5, -to.frac) for n in (-2, -1, 0, 1)]
    got = to.quantize(values + ties).tolist()
    assert got == [exact(Fraction(value), to) for value in values + ties]


@pytest.mark.parametrize("frac", [MAX_FRAC + 1, -MAX_FRAC - 1, 10**9])
def test_a_binary_point_beyond_all_use_is_refused(frac):
    with pytest.raises(ValueError, match=rf"^frac {frac} is outside -256\.\.256$"):
        Fixed(8, frac)


def test_the_largest_frac_of_any_positive_number_is_found_and_bounded():
    for peak in (5e-324, 1e-310, 1e-200, 1e-70, 1.0, 1e60):
        frac = largest_frac(peak, 12)
        assert -MAX_FRAC <= frac <= MAX_FRAC
        Fixed(12, frac)
        above_top = Fraction(2 * 2047 + 1, 2)
        assert Fraction(peak) * Fraction(2) ** frac < above_top
        assert frac == MAX_FRAC or Fraction(peak) * Fraction(2) ** (frac + 1) >= above_top
    assert largest_frac(1e300, 12) < -MAX_FRAC


def test_a_peak_halfway_above_the_greatest_value_takes_a_bit_less():
    """2047.5 is rounded to 2048, which 12 bits do not hold."""
    assert largest_frac(2047.5, 12) == -1 and largest_frac(math.nextafter(2047.5, 0), 12) == 0
    assert largest_frac(4095.5, 12, signed=False) == -1


@pytest.mark.parametrize("drop", [61, 62, 63, 64, 100])
def test_a_conversion_is_exact_up_to_the_greatest_raw_values(drop):
    raws = [2**62 - 1, 2**61, 2**61 - 1, -(2**61), -(2**61) - 1, -(2**62) + 1]
    for rounding in Rounding:
        to = Fixed(8, 0, True, rounding, Overflow.SAT)
        got = requantize(np.array(raws, dtype=np.int64), drop, to).tolist()
        assert got == [exact(Fraction(raw, 2**drop), to) for raw in raws], rounding
