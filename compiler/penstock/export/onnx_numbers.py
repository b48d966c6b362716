"""Fixed-point numbers in ONNX: values are real numbers in float64, which holds all of them exactly.

A value of ``frac`` fraction bits is a multiple of 2**-frac of at most ``MOST_BITS`` bits, so that
sums, products and roundings lose nothing, in whatever order they are made. QuantizeLinear would
round half to even, in float32; ``ap_fixed`` has seven rounding and four overflow modes.
"""

from __future__ import annotations

from penstock.export.onnx_graph import Body
from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir.saturation import lowest_of

MOST_BITS = 52
"""Of a value: float64 has 53, and rounding to nearest adds a half."""


def brought_to(body: Body, x: str, frac: int, to: Fixed) -> str:
    """``fixed.requantize``: x, of ``frac`` fraction bits, rounded and brought into range."""
    units = body.times(x, 2.0**to.frac)
    if frac > to.frac:
        units = _rounded(body, units, to.rounding)
    return body.times(_in_range(body, units, to), to.step)


def integer_to(body: Body, units: str, to: Fixed) -> str:
    """An integer that counts last places of ``to``, brought into its range, as a real number."""
    return body.times(_in_range(body, units, to), to.step)


def quantized(body: Body, real: str, to: Fixed) -> str:
    """``Fixed.quantize``: any real number in float64, as a value of ``to``.

    What lies between two quarters of the last place is moved midway first: no rounding can tell the
    difference, and from there on all is exact. (Not for numbers near the ends of float64.)
    """
    units = body.times(real, 2.0**to.frac)
    if to.overflow is Overflow.WRAP:
        units = body.add("Mod", units, body.model.scalar(2.0 ** (to.width + 1)), fmod=1)
    twice = body.times(units, 2.0)
    ends = body.add("Add", body.add("Floor", twice), body.add("Ceil", twice))
    rounded = _rounded(body, body.times(ends, 0.25), to.rounding)
    return body.times(_in_range(body, rounded, to), to.step)


def _rounded(body: Body, x: str, mode: Rounding) -> str:
    """To an integer, as ``fixed.rounds_up`` says."""
    half = body.model.scalar(0.5)
    match mode:
        case Rounding.TRN:
            return body.add("Floor", x)
        case Rounding.RND:
            return body.add("Floor", body.add("Add", x, half))
        case Rounding.RND_MIN_INF:
            return body.add("Ceil", body.add("Sub", x, half))
        case Rounding.RND_CONV:
            return body.add("Round", x)
    size = body.add("Abs", x)
    match mode:
        case Rounding.TRN_ZERO:
            size = body.add("Floor", size)
        case Rounding.RND_INF:
            size = body.add("Floor", body.add("Add", size, half))
        case Rounding.RND_ZERO:
            size = body.add("Ceil", body.add("Sub", size, half))
    return body.add("Mul", body.add("Sign", x), size)


def _in_range(body: Body, x: str, to: Fixed) -> str:
    """An integer in the range of ``to``, as ``Fixed.overflowed`` brings it there."""
    lowest, highest = (body.model.scalar(float(end)) for end in (lowest_of(to), to.raw_max))
    match to.overflow:
        case Overflow.SAT | Overflow.SAT_SYM:
            return body.add("Clip", x, lowest, highest)
        case Overflow.SAT_ZERO:
            is_inside = body.add("Equal", x, body.add("Clip", x, lowest, highest))
            return body.add("Where", is_inside, x, body.model.scalar(0.0))
        case Overflow.WRAP:
            modulus = body.model.scalar(2.0**to.width)
            low = body.add("Mod", x, modulus, fmod=1)
            turns = body.add("Floor", body.add("Div", body.add("Sub", low, lowest), modulus))
            return body.add("Sub", low, body.add("Mul", turns, modulus))
