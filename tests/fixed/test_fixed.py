"""Fixed-point semantics against AMD's own headers, exhaustively on small widths."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from penstock.codegen.hls.names import cpp
from penstock.fixed import Fixed, Overflow, Rounding, largest_frac, requantize

SOURCES = [Fixed(8, 5), Fixed(7, 3, signed=False)]
TARGETS = [
    Fixed(4, 2), Fixed(4, 1, signed=False), Fixed(6, 7), Fixed(3, -1), Fixed(5, 5, signed=False),
    Fixed(2, 4), Fixed(1, 0), Fixed(1, 1, signed=False),
]  # fmt: skip
MODES = list(product(Rounding, Overflow))

PROGRAM = """
#include <ap_fixed.h>
#include <cstdio>
template <class S, class D> void convert() {
  for (int raw = 0; raw < (1 << S::width); ++raw) {
    S source;
    source.range(S::width - 1, 0) = raw;
    D target = source;
    ap_uint<D::width> bits = target.range(D::width - 1, 0);
    std::printf("%d ", bits.to_int());
  }
  std::printf("\\n");
}
int main() {
CALLS
}
"""


def raws(kind):
    """Every raw value of a type, in the order of its bits."""
    return kind.overflowed(np.arange(1 << kind.width))


def test_every_rounding_and_overflow_mode_equals_ap_fixed(run_cpp):
    cases = [
        (source, Fixed(to.width, to.frac, to.signed, rounding, overflow))
        for source, to in product(SOURCES, TARGETS)
        for rounding, overflow in MODES
    ]
    calls = "\n".join(f"  convert<{cpp(source)}, {cpp(to)} >();" for source, to in cases)
    lines = run_cpp(PROGRAM.replace("CALLS", calls), "-O0").splitlines()
    assert len(lines) == len(cases)
    for (source, to), line in zip(cases, lines, strict=True):
        got = requantize(raws(source), source.frac, to) & ((1 << to.width) - 1)
        assert got.tolist() == list(map(int, line.split())), f"{source} -> {cpp(to)}"


def test_the_modes_differ_from_one_another_on_these_widths():
    """Or the comparison with ap_fixed would not tell them apart."""
    source, to = SOURCES[0], TARGETS[0]
    found = {
        mode: tuple(requantize(raws(source), source.frac, Fixed(to.width, to.frac, True, *mode)))
        for mode in MODES
    }
    assert len(set(found.values())) == len(MODES)


def test_an_unknown_mode_or_an_impossible_width_is_refused():
    with pytest.raises(ValueError):
        Fixed(8, 4, rounding="AP_UP")
    with pytest.raises(ValueError):
        Fixed(0, 0)
    with pytest.raises(ValueError):
        Fixed(61, 0)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(m.value for m in mode))
def test_quantizing_a_real_number_equals_converting_its_exact_raw_value(mode):
    fine, to = Fixed(12, 8), Fixed(5, 3, True, *mode)
    values = fine.to_float(raws(fine))
    assert to.quantize(values).tolist() == requantize(raws(fine), fine.frac, to).tolist()


def test_exact_is_the_narrowest_type_that_holds_an_interval():
    for lo, hi in product(range(-9, 3), range(-2, 9)):
        if lo <= hi:
            kind = Fixed.exact(lo, hi, 0)
            assert kind.raw_min <= lo <= hi <= kind.raw_max
            if kind.width > 1:
                narrower = Fixed(kind.width - 1, 0)
                assert lo < narrower.raw_min or hi > narrower.raw_max


def test_the_largest_frac_holds_the_peak_and_one_more_does_not():
    for peak in (0.1, 0.5, 0.9999, 1.0, 1.7, 3.99, 200.0):
        frac = largest_frac(peak, 12)
        saturating = Fixed(12, frac, True, Rounding.RND, Overflow.SAT)
        assert abs(saturating.to_float(saturating.quantize(peak)) - peak) <= saturating.step / 2
        finer = Fixed(12, frac + 1, True, Rounding.RND, Overflow.SAT)
        assert abs(finer.to_float(finer.quantize(peak)) - peak) > finer.step / 2


@pytest.mark.parametrize("overflow", Overflow)
def test_a_shift_to_the_left_is_exact_however_far(overflow):
    values = [0, 1, -1, 5, -7, 2**20, -(2**31), 2**52, -(2**52)]
    for frac, to_frac, width in ((0, 4, 8), (-30, 20, 12), (-90, 8, 11), (3, 60, 60), (0, 59, 60)):
        to = Fixed(width, to_frac, True, Rounding.RND, overflow)
        got = requantize(np.array(values), frac, to).tolist()
        exact = [value << (to_frac - frac) for value in values]
        top = to.raw_max
        for raw, wanted in zip(got, exact, strict=True):
            if to.raw_min <= wanted <= top and not (
                overflow is Overflow.SAT_SYM and wanted == to.raw_min
            ):
                assert raw == wanted
            elif overflow is Overflow.WRAP:
                assert (raw - wanted) % (1 << width) == 0 and to.raw_min <= raw <= top
            elif overflow is Overflow.SAT_ZERO:
                assert raw == 0
            else:
                lowest = to.raw_min if overflow is Overflow.SAT else -top
                assert raw == (top if wanted > 0 else lowest)


def test_quantizing_wraps_at_any_magnitude():
    kind = Fixed(24, 0)
    assert kind.quantize(2.0**62 + 2.0**20) == 2**20
    assert kind.quantize(-(2.0**70)) == 0
    saturating = Fixed(24, 0, True, Rounding.RND, Overflow.SAT)
    assert saturating.quantize([1e300, -1e300]).tolist() == [2**23 - 1, -(2**23)]


def test_the_widest_type_wraps():
    kind = Fixed(60, 0)
    assert kind.overflowed(np.array([-1, kind.raw_max + 1])).tolist() == [-1, kind.raw_min]


def test_the_interval_of_a_conversion_holds_every_result():
    source = Fixed(7, 4)
    for to in TARGETS:
        for mode in MODES:
            kind = Fixed(to.width, to.frac, to.signed, *mode)
            for lo, hi in ((-64, 63), (-5, 20), (3, 3)):
                got = requantize(np.arange(lo, hi + 1), source.frac, kind)
                low, high = kind.interval_from(lo, hi, source.frac)
                assert low <= got.min() and got.max() <= high
