"""The network that a module's forward computes, and how a checkpoint says it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from penstock.errors import PenstockError
from penstock.frontend import HeadOptions, from_module, from_state_dict
from penstock.frontend.checkpoint import arrays
from penstock.layers import DenseHead
from penstock.layers.head import PLACES
from penstock.model import HEAD, RecurrentModel

LANES, STEPS = 3, 5


@dataclass(frozen=True)
class Followed:
    """is_stack: the module's tensors and ``head`` say all of it; else the network must be saved."""

    model: RecurrentModel
    is_stack: bool
    head: HeadOptions | None = None


def follow(module: nn.Module, x: Any) -> Followed:
    """The network of a module, compared with it on x, (sequences, steps, inputs) or tokens.

    Raises PenstockError for a module that can't be compiled.
    """
    model = from_module(module, calibration=x)
    if not model.batch_first:
        raise PenstockError(
            "forward takes the steps first, but data sets have the sequences first",
            type(module).__name__,
            "build the module with batch_first=True",
        )
    tensors = arrays(module.state_dict(), type(module).__name__)
    head = model.find(HEAD)
    for at in PLACES:
        options = HeadOptions(at, head.activation) if isinstance(head, DenseHead) else None
        try:
            stack = from_state_dict(tensors, head=options, name=model.name)
        except PenstockError:
            break
        if _is_same(stack, model):
            return Followed(replace(stack, notes=model.notes, table=model.table), True, options)
    return Followed(model, False)


def _is_same(a: RecurrentModel, b: RecurrentModel) -> bool:
    """True for two networks that compute the same, for sequences of different lengths, too."""
    if a.inputs != b.inputs:
        return False
    x = np.random.default_rng(0).standard_normal((LANES, STEPS, a.inputs))
    lengths = STEPS - np.arange(LANES)
    mine, theirs = (model.run(x, lengths) for model in (a, b))
    return mine.shape == theirs.shape and bool(np.abs(mine - theirs).max() <= 1e-9)
