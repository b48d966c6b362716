"""Rounding and tables for training: forward the compiler's arithmetic, backward a gradient.

Real numbers in float64, where everything that a graph computes is exact. Backward, rounding passes
the gradient on (Bengio et al. 2013), saturation stops it, and a table has the slope of its function
at the entry. A learned range gets the gradient of Jain et al. 2020 (TQT), equation 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.fixed import Fixed, Overflow, Rounding, remainder_of, rounds_up

PIECE = 1 << 15
"""Numbers that are rounded at once: a few copies of them fit into the cache."""


def fake_quantize(
    x: Tensor,
    to: Fixed,
    log2_range: Tensor | None = None,
    frac: int | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """``x`` (float64, real values) at the precision of ``to``: ``Fixed.quantize``, to the last bit.

    The gradient is 1 where the value is one of the type and 0 where it overflows. log2_range: a
    scalar that learns how far the type should reach, log2 of its greatest value. frac: x is known
    to be a multiple of 2**-frac, which may be rounded in fewer operations. mask: bool; where it is
    False, x counts as zero and gets no gradient.
    """
    result: Tensor = _FakeQuantize.apply(x, to, log2_range, frac, mask)
    return result


def look_up(index: Tensor, x: Tensor, values: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """``values[index]``, with the gradient ``slope(values[index])`` for ``x``."""
    result: Tensor = _LookUp.apply(index, x, values, slope)
    return result


class _FakeQuantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        to: Fixed,
        log2_range: Tensor | None,
        frac: int | None,
        mask: Tensor | None,
    ) -> Tensor:
        rounding = _Quantization(to, frac, log2_range is not None)
        values, *saved = rounding.in_pieces(x, mask)
        ctx.save_for_backward(*saved)
        return values

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inside, *slope = ctx.saved_tensors
        for_x = gradient * inside if ctx.needs_input_grad[0] else None
        for_range = (gradient * slope[0]).sum() if slope else None
        return for_x, None, for_range, None, None


class _Quantization(NamedTuple):
    """Values of a type, and what their gradient needs; see ``fake_quantize``."""

    to: Fixed
    frac: int | None
    is_learned: bool

    def in_pieces(self, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """``of`` x. A matrix is taken piece by piece: all that comes between stays in the cache,
        and leaves no holes in the heap.
        """
        if x.numel() <= PIECE:
            return self.of(x, mask)
        masks = repeat(None) if mask is None else mask.reshape(-1).split(PIECE)
        kinds = (x.dtype, torch.bool, x.dtype)[: 2 + self.is_learned]
        results = [torch.empty(x.shape, dtype=kind, device=x.device) for kind in kinds]
        places = zip(*(result.view(-1).split(PIECE) for result in results), strict=True)
        for piece, part, place in zip(x.reshape(-1).split(PIECE), masks, places, strict=False):
            for target, value in zip(place, self.of(piece, part), strict=True):
                target.copy_(value)
        return results

    def of(self, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """Values, where they pass the gradient on, and their slope for a learned range."""
        scaled = x * 2.0**self.to.frac
        if mask is not None:
            scaled *= mask
        raw = _rounded(scaled.clone() if self.is_learned else scaled, self.to, self.frac)
        kept = _overflowed(raw, self.to)
        inside = kept == raw
        slopes = []
        if self.is_learned:
            slope = torch.where(inside, kept - scaled, kept)
            slopes.append(slope.mul_(self.to.step * math.log(2.0)))
        return [kept.mul_(self.to.step), inside if mask is None else inside & mask, *slopes]


def _rounded(scaled: Tensor, to: Fixed, frac: int | None) -> Tensor:
    """Without the bits below the binary point; ``scaled`` may be overwritten."""
    if to.rounding is Rounding.RND and frac is not None and _is_rounded_by_half(to, frac):
        return scaled.add_(0.5).floor_()
    raw = torch.floor(scaled)
    is_half_up = to.rounding is Rounding.RND  # one half for what is a little more does no harm
    remainder = scaled - raw if is_half_up else remainder_of(scaled, raw)
    return raw.add_(rounds_up(to.rounding, raw, remainder, 0.5))


def _is_rounded_by_half(to: Fixed, frac: int) -> bool:
    """Whether floor(x + 1/2) is x rounded to nearest, ties up, also in float64, for all multiples
    of 2**-frac.

    Only of two kinds of numbers it is not: of the greatest one below 1/2, which is no multiple of
    2**-53; and of odd ones beyond 2**52, which saturate in any type that is not as wide.
    """
    saturates = to.overflow in (Overflow.SAT, Overflow.SAT_SYM)
    return frac - to.frac <= 53 and saturates and to.width <= 52


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
    """Saves the entries alone: what reads them saves them, too, and a tensor is saved once."""

    @staticmethod
    def forward(
        ctx: Any, index: Tensor, x: Tensor, values: Tensor, slope: Callable[[Tensor], Tensor]
    ) -> Tensor:
        entries = values.index_select(0, index.reshape(-1)).view(index.shape)
        ctx.slope = slope
        ctx.save_for_backward(entries)
        return entries

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        (entries,) = ctx.saved_tensors
        return None, gradient * ctx.slope(entries), None, None
