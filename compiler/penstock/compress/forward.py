"""The user's module as the training loop calls it, tried on the data before anything is trained."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from torch import Tensor, nn

from penstock.compress.dataset import Split
from penstock.compress.training import Forward
from penstock.errors import PenstockError


def forward_of(module: nn.Module, data: Split) -> Forward:
    """``module`` as the loop calls it: with lengths if its ``forward`` has a second parameter.

    Raises PenstockError if it can't take the data, or does not give logits for its labels: one
    for each class, or a single one for the second of two.
    """
    where = type(module).__name__
    takes_lengths = len(inspect.signature(module.forward).parameters) > 1
    if not takes_lengths and data.y.ndim == 1 and len(np.unique(data.lengths)) > 1:
        raise PenstockError(
            "the sequences differ in length, but forward does not take lengths",
            where,
            "write forward(self, x, lengths), and take each sequence's last step",
        )
    for name, part in module.named_modules():
        if isinstance(part, nn.Sigmoid | nn.Softmax):
            kind = type(part).__name__
            raise PenstockError(
                f"layer {name} is a {kind}, but training needs its input",
                where,
                "leave it out of forward, and give penstock compile --head-activation",
            )

    def forward(x: Tensor, lengths: Tensor) -> Tensor:
        given = module(x, lengths) if takes_lengths else module(x)
        return given if isinstance(given, Tensor) else _beside(given, where)

    _try(forward, data, where)
    return forward


def _try(forward: Forward, data: Split, where: str) -> None:
    """Run the first sequences through ``forward``, to see what it gives."""
    part = data.part(np.arange(min(2, len(data))))
    try:
        with torch.no_grad():
            logits = forward(torch.from_numpy(part.x), torch.from_numpy(part.lengths))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        hint = f"it is called with x {part.x.dtype} of shape {part.x.shape}"
        raise PenstockError(f"forward fails on the data: {first}", where, hint) from error
    if part.y.dtype.kind == "f":
        _try_regression(logits, part, where)
        return
    if logits.shape[:-1] not in (part.y.shape, (*part.y.shape, 1)):
        hint = f"give logits of shape {(*part.y.shape, 'classes')}"
        raise PenstockError(f"forward gives {tuple(logits.shape)}", where, hint)
    classes, greatest = max(logits.shape[-1], 2), int(data.y.max())
    if greatest >= classes:
        raise PenstockError(
            f"labels go up to {greatest}, but forward has {classes} classes",
            where,
            "labels count from 0",
        )


def _try_regression(values: Tensor, part: Split, where: str) -> None:
    if values.numel() != part.y.size or values.shape[0] != len(part.y):
        hint = f"give values of shape {part.y.shape}"
        raise PenstockError(f"forward gives {tuple(values.shape)}", where, hint)


def _beside(given: object, where: str) -> Tensor:
    """Several outputs, side by side; what else a module returns (a state) does not count."""
    found = [part for part in _leaves(given) if isinstance(part, Tensor)]
    first = found[0].shape[:-1] if found else ()
    parts = [part for part in found if part.shape[:-1] == first]
    if not parts:
        raise PenstockError("forward gives no tensor", where, "return logits")
    return torch.cat(parts, dim=-1)


def _leaves(given: object) -> list[object]:
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, tuple | list):
        return [leaf for part in given for leaf in _leaves(part)]
    return [given]
