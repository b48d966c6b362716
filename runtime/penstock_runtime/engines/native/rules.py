"""What each operation becomes: exact passes over registers, in int32 wherever all fits.

Every rule computes what ``eval`` of its operation does, by the intervals that the graph proves.
"""

from __future__ import annotations

from typing import Any

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Node
from penstock.ir.saturation import lowest_of
from penstock.ops import Add, Clamp, Lut, Mean, Mul, Relu, Requant, Scale, Sub
from penstock_runtime.engines.native.coder import Coder, Rule, bounded, is_wide
from penstock_runtime.engines.native.program import Opcode

Interval = tuple[int, int]


def _add(coder: Coder, node: Node) -> None:
    frac = node.tensor.type.frac
    tensors = [coder.places.node(name).tensor for name in node.inputs]
    shifts = [frac - tensor.type.frac for tensor in tensors]
    total, ends = coder.value(node.inputs[0]), (tensors[0].lo, tensors[0].hi)
    up = shifts[0]
    if len(node.inputs) == 1:
        total = _shifted(coder, total, ends, up)
    for name, tensor, bits in zip(node.inputs[1:], tensors[1:], shifts[1:], strict=True):
        left = (ends[0] << up, ends[1] << up)
        right = (tensor.lo << bits, tensor.hi << bits)
        added = (left[0] + right[0], left[1] + right[1])
        wide = is_wide(*ends, *left, tensor.lo, tensor.hi, *right, *added)
        total = coder.emit(
            Opcode.ADD, wide, a=coder.converted(total, wide), b=coder.value(name, wide),
            shift_a=up, shift_b=bits,
        )  # fmt: skip
        ends, up = added, 0
    coder.set(node.name, total)


def _sub(coder: Coder, node: Node) -> None:
    frac = node.tensor.type.frac
    a, b = (coder.places.node(name).tensor for name in node.inputs)
    up, bits = frac - a.type.frac, frac - b.type.frac
    wide = is_wide(
        a.lo, a.hi, b.lo, b.hi, a.lo << up, a.hi << up, b.lo << bits, b.hi << bits,
        node.tensor.lo, node.tensor.hi,
    )  # fmt: skip
    left, right = (coder.value(name, wide) for name in node.inputs)
    coder.set(node.name, coder.emit(Opcode.SUB, wide, a=left, b=right, shift_a=up, shift_b=bits))


def _mul(coder: Coder, node: Node) -> None:
    a, b = (coder.places.node(name).tensor for name in node.inputs)
    is_long = is_wide(node.tensor.lo, node.tensor.hi)
    are_short = not is_wide(a.lo, a.hi, b.lo, b.hi)
    opcode = Opcode.MUL_WIDE if is_long and are_short else Opcode.MUL
    left, right = (coder.value(name, not are_short) for name in node.inputs)
    wide = is_long or not are_short
    coder.set(node.name, coder.emit(opcode, wide, a=left, b=right))


def _scale(coder: Coder, node: Node) -> None:
    x = coder.places.node(node.inputs[0]).tensor
    wide = is_wide(x.lo, x.hi, node.tensor.lo, node.tensor.hi)
    value = coder.value(node.inputs[0], wide)
    by = coder.emit(Opcode.LOAD, wide, buffer=coder.places.shifts(node.inputs[1]))
    coder.set(node.name, coder.emit(Opcode.SCALE, wide, a=value, b=by))


def _relu(coder: Coder, node: Node) -> None:
    _clipped(coder, node, 0, node.tensor.hi)


def _clamp(coder: Coder, node: Node) -> None:
    assert isinstance(node.op, Clamp)
    _clipped(coder, node, node.op.low, node.op.high)


def _clipped(coder: Coder, node: Node, lo: int, hi: int) -> None:
    x = coder.places.node(node.inputs[0]).tensor
    wide = is_wide(x.lo, x.hi)
    value = coder.value(node.inputs[0], wide)
    coder.set(node.name, coder.emit(Opcode.CLIP, wide, a=value, **bounded(lo, hi, wide)))


def _requant(coder: Coder, node: Node) -> None:
    assert isinstance(node.op, Requant)
    x = coder.places.node(node.inputs[0]).tensor
    value = coder.value(node.inputs[0])
    coder.count(node.name, value)
    coder.set(node.name, requantized(coder, value, (x.lo, x.hi), x.type.frac, node.op.to))


def _lut(coder: Coder, node: Node) -> None:
    op = node.op
    assert isinstance(op, Lut)
    x, table, *rises = (coder.places.node(name).tensor for name in node.inputs)
    ends = (table.lo, table.hi)
    if rises:
        most = max(-table.lo, table.hi) + max(-rises[0].lo, rises[0].hi)
        ends = (-most << op.interpolate_bits, most << op.interpolate_bits)
    # The register of the index and the table's entries share a type.
    wide = is_wide(x.lo, x.hi, *ends, table.length)
    fields = {"shift_a": op.interpolate_bits, "lo": table.length - 1}
    fields["table"] = coder.places.table(node.inputs[1], wide)
    if not rises:
        found = coder.emit(Opcode.LOOKUP, wide, a=coder.value(node.inputs[0], wide), **fields)
        return coder.set(node.name, found)
    fields["other"] = coder.places.table(node.inputs[2], wide)
    fine = coder.emit(Opcode.INTERPOLATE, wide, a=coder.value(node.inputs[0], wide), **fields)
    frac = op.to.frac + op.interpolate_bits
    return coder.set(node.name, requantized(coder, fine, ends, frac, op.to))


def _mean(coder: Coder, node: Node) -> None:
    op = node.op
    assert isinstance(op, Mean)
    x = coder.places.node(node.inputs[0]).tensor
    up, down = op.shifts(x)
    value = coder.value(node.inputs[0], True)
    quotient = coder.emit(Opcode.MEAN, True, a=value, shift_a=up, shift_b=down)
    coder.count(node.name, quotient, (lowest_of(op.to), op.to.raw_max))
    ends = (min(x.lo, 0) << up, max(x.hi, 0) << up)
    coder.set(node.name, _in_range(coder, quotient, ends, op.to))


RULES: dict[type[Any], Rule] = {
    Add: _add, Sub: _sub, Mul: _mul, Scale: _scale, Relu: _relu, Clamp: _clamp, Requant: _requant,
    Lut: _lut, Mean: _mean,
}  # fmt: skip
"""Of the operations whose element depends on the same element of their operands alone."""


def requantized(coder: Coder, register: int, ends: Interval, frac: int, to: Fixed) -> int:
    """``fixed.requantize`` of a register with values in ``ends``."""
    drop_bits = frac - to.frac
    if drop_bits <= 0:
        register, ends = _raised(coder, register, ends, -drop_bits, to)
        return _in_range(coder, register, ends, to)
    drop_bits = min(drop_bits, 63)
    bias, if_negative, if_odd = biases(to.rounding, drop_bits)
    most = bias + max(if_negative, 0) + if_odd
    wide = is_wide(*ends, bias, if_negative, if_odd, most, ends[0] + bias + min(if_negative, 0),
                   ends[1] + most)  # fmt: skip
    source = coder.converted(register, wide)
    after = (ends[0] >> drop_bits, (ends[1] + most) >> drop_bits)
    saturates = to.overflow in (Overflow.SAT, Overflow.SAT_SYM)
    if saturates and not if_negative and not if_odd:
        lo, hi = max(lowest_of(to), after[0]), min(to.raw_max, after[1])
        if lo > hi:  # all are out of range, on one side
            lo = hi = lowest_of(to) if after[1] < lowest_of(to) else to.raw_max
        is_long = is_wide(lo, hi)
        source = coder.converted(source, wide := wide or is_long)
        opcode = Opcode.ROUND_CLIP_NARROW if wide and not is_long else Opcode.ROUND_CLIP
        return coder.emit(opcode, wide if opcode is Opcode.ROUND_CLIP else False, a=source,
                          shift_a=drop_bits, bias=bias, lo=lo, hi=hi)  # fmt: skip
    rounded = coder.emit(Opcode.ROUND, wide, a=source, shift_a=drop_bits, bias=bias,
                         if_negative=if_negative, if_odd=if_odd)  # fmt: skip
    return _in_range(coder, rounded, after, to)


def biases(rounding: Rounding, drop_bits: int) -> tuple[int, int, int]:
    """(bias, if_negative, if_odd): what to add before ``drop_bits`` are dropped."""
    half = 1 << (drop_bits - 1)
    match rounding:
        case Rounding.TRN:
            return 0, 0, 0
        case Rounding.TRN_ZERO:
            return 0, 2 * half - 1, 0
        case Rounding.RND:
            return half, 0, 0
        case Rounding.RND_MIN_INF:
            return half - 1, 0, 0
        case Rounding.RND_ZERO:
            return half - 1, 1, 0
        case Rounding.RND_INF:
            return half, -1, 0
        case Rounding.RND_CONV:
            return half - 1, 0, 1


def _raised(
    coder: Coder, register: int, ends: Interval, bits: int, to: Fixed
) -> tuple[int, Interval]:
    """Shifted left, as far as ``to`` can tell the difference."""
    room = max(to.width - bits, 0)
    if bits == 0 or _fits_62(ends, bits):
        return _shifted(coder, register, ends, bits), (ends[0] << bits, ends[1] << bits)
    bits = min(bits, to.width)
    if to.overflow is Overflow.WRAP:
        mask = (1 << room) - 1
        low = coder.emit(Opcode.WRAP, True, a=coder.converted(register, True), lo=mask, hi=mask)
        return _shifted(coder, low, (0, mask), bits), (0, mask << bits)
    edge = (1 << room) + 1 if room else 1
    cut = coder.emit(Opcode.CLIP, True, a=coder.converted(register, True), lo=-edge, hi=edge)
    return _shifted(coder, cut, (-edge, edge), bits), (-edge << bits, edge << bits)


def _fits_62(ends: Interval, bits: int) -> bool:
    return bits < 62 and all(-(1 << 62) <= end << bits <= 1 << 62 for end in ends)


def _shifted(coder: Coder, register: int, ends: Interval, bits: int) -> int:
    if bits == 0:
        return register
    wide = is_wide(*ends, ends[0] << bits, ends[1] << bits)
    return coder.emit(Opcode.SHIFT, wide, a=coder.converted(register, wide), shift_a=bits)


def _in_range(coder: Coder, register: int, ends: Interval, to: Fixed) -> int:
    """The overflow mode of ``to``, where ``ends`` may need it."""
    lowest = lowest_of(to)
    if lowest <= ends[0] and ends[1] <= to.raw_max:
        return register
    wide = is_wide(*ends, to.raw_min, to.raw_max, (1 << to.width) - 1, 1 << to.width)
    value = coder.converted(register, wide)
    if to.overflow is Overflow.WRAP:
        mask = (1 << to.width) - 1
        return coder.emit(Opcode.WRAP, wide, a=value, lo=mask, hi=to.raw_max)
    opcode = Opcode.ZERO if to.overflow is Overflow.SAT_ZERO else Opcode.CLIP
    return coder.emit(opcode, wide, a=value, lo=lowest, hi=to.raw_max)
