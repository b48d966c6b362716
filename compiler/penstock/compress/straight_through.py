"""Rounding and tables for training: forward the compiler's arithmetic, backward a gradient.

Real numbers in float64, where everything that a graph computes is exact. Backward, rounding passes
the gradient on (Bengio et al. 2013), saturation stops it, and a table has the slope of its function
at the entry. A learned range gets the gradient of Jain et al. 2020 (TQT), equation 6.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.fixed import Fixed, Overflow, remainder_of, rounds_up


def fake_quantize(x: Tensor, to: Fixed, log2_range: Tensor | None = None) -> Tensor:
    """``x`` (float64, real values) at the precision of ``to``: ``Fixed.quantize``, to the last bit.

    The gradient is 1 where the value is one of the type and 0 where it overflows. log2_range: a
    scalar that learns how far the type should reach, log2 of its greatest value.
    """
    result: Tensor = _FakeQuantize.apply(x, to, log2_range)
    return result


def look_up(index: Tensor, x: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
    """``values[index]``, with the gradient ``slopes[index]`` for ``x``."""
    result: Tensor = _LookUp.apply(index, x, values, slopes)
    return result


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Fixed, log2_range: Tensor | None) -> Tensor:
        scaled = x * 2.0**to.frac
        raw = torch.floor(scaled)
        raw += rounds_up(to.rounding, raw, remainder_of(scaled, raw), 0.5)
        kept = _overflowed(raw, to)
        ctx.save_for_backward(kept == raw, *(() if log2_range is None else (scaled, kept)))
        ctx.step = to.step
        return kept * to.step

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        inside, *learned = ctx.saved_tensors
        for_x = gradient * inside if ctx.needs_input_grad[0] else None
        if not learned:
            return for_x, None, None
        scaled, kept = learned
        slope = torch.where(inside, kept - scaled, kept) * (ctx.step * math.log(2.0))
        return for_x, None, (gradient * slope).sum()


def _overflowed(raw: Tensor, to: Fixed) -> Tensor:
    lo, hi = to.raw_min, to.raw_max
    if to.overflow is Overflow.SAT:
        return raw.clamp(lo, hi)
    if to.overflow is Overflow.SAT_SYM:
        return raw.clamp(-hi if to.signed and to.width > 1 else lo, hi)
    if to.overflow is Overflow.SAT_ZERO:
        return torch.where((raw < lo) | (raw > hi), 0.0, raw)
    wrapped = torch.fmod(raw, 2.0**to.width)  # exact; less than the modulus, so the rest is, too
    return torch.remainder(wrapped - lo, 2.0**to.width) + lo


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, x: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(index, slopes)
        return values[index]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        index, slopes = ctx.saved_tensors
        return None, gradient * slopes[index], None, None
