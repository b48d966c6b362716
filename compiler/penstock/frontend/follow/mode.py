"""A module in the mode in which it is followed, and what that mode changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch import nn

CHANGING = (nn.Dropout, nn.AlphaDropout, nn.modules.batchnorm._BatchNorm, nn.RNNBase)
"""Layers that compute something else in training."""


def changing_part(module: nn.Module) -> str:
    """The first layer in training mode that computes something else there; empty: none."""
    for name, part in module.named_modules():
        rate = getattr(part, "dropout", 0.0) if isinstance(part, nn.RNNBase) else 1.0
        if part.training and isinstance(part, CHANGING) and getattr(part, "p", rate):
            return name or type(part).__name__
    return ""


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """The module as in eval(); afterwards every part is in the mode in which it was."""
    modes = [(part, part.training) for part in module.modules()]
    with suppress(NotImplementedError):  # of a program's module, which has one mode
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
