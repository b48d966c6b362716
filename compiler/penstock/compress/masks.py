"""A mask on a module's weight, as a parametrization of PyTorch.

The weight is computed from ``parametrizations.<name>.original``, the trained parameter, and the
buffer ``parametrizations.<name>.0.mask``, wherever the module reads it. Where PyTorch's own falls
short, it is mended: an LSTM hands its kernel a list of weights, which must be of this forward pass;
a copy (``copy.deepcopy``) can be taken after one, and is not harmed when the other is finalized;
and parameters come back in their old order, which optimizers go by.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Mask(nn.Module):
    """Weight -> weight where ``mask``, else exactly +0; so is the gradient."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Multiplying would keep NaN and signs of zero."""
        return torch.where(self.mask, weight, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is assigned to the weight is kept whole; the mask applies when it is read."""
        return weight


def attach_mask(module: nn.Module, name: str, mask: Tensor) -> None:
    """Mask the parameter ``name`` of ``module``, which stays the same object for its optimizer."""
    parametrize.register_parametrization(module, name, Mask(mask))
    kind = type(module)  # torch has made it for this module alone
    if "__deepcopy__" in vars(kind):
        kind.__deepcopy__ = _copy
    if isinstance(module, nn.RNNBase):
        kind._update_flat_weights = _read_weights


def mask_of(module: nn.Module, name: str) -> Mask | None:
    """The mask attached to a parameter."""
    if not parametrize.is_parametrized(module, name):
        return None
    return next((part for part in module.parametrizations[name] if isinstance(part, Mask)), None)


def fold_mask(module: nn.Module, name: str) -> None:
    """Take the mask off again; the parameter, the same object, then holds the exact zeros.

    Parametrizations that others have added behind the mask stay.
    """
    parts = module.parametrizations[name]
    index = next(index for index, part in enumerate(parts) if isinstance(part, Mask))
    if len(parts) == 1:
        parametrize.remove_parametrizations(module, name)
    else:
        with torch.no_grad():
            parts.original.copy_(parts[index](parts.original))
        del parts[index]
    is_rnn = isinstance(module, nn.RNNBase)
    first = module._flat_weights_names if is_rnn else [name]
    rest = [other for other in module._parameters if other not in first]
    for other in [*first, *rest]:
        if other in module._parameters:
            module._parameters[other] = module._parameters.pop(other)
    if is_rnn:
        module._init_flat_weights()


def finalize(model: nn.Module) -> nn.Module:
    """Take off every mask in ``model``, which may be a copy of the one in training; returns it."""
    for module in list(model.modules()):
        for name in list(getattr(module, "parametrizations", ())):
            if mask_of(module, name) is not None:
                fold_mask(module, name)
    return model


def _read_weights(lstm: Any) -> None:
    """In place of RNNBase's, which finds masked weights changed always, and reads them thrice."""
    lstm._flat_weights = [getattr(lstm, name) for name in lstm._flat_weights_names]
    lstm.flatten_parameters()


def _copy(module: Any, memo: dict[int, Any]) -> Any:
    """``__deepcopy__`` of a masked module: like torch's, but the copy's class is its own.

    torch takes a parametrization off by deleting a property of the class: of all its copies.
    """
    kind: Any = type(module)
    if isinstance(module, nn.RNNBase):  # results of a computation can't be copied
        weights = zip(module._flat_weights_names, module._flat_weights, strict=True)
        module._flat_weights = [
            weight.detach() if parametrize.is_parametrized(module, name) else weight
            for name, weight in weights
        ]
    replica = kind.__new__(kind)
    memo[id(module)] = replica
    replica.__dict__ = deepcopy(module.__dict__, memo)
    replica.__class__ = type(kind.__name__, kind.__bases__, dict(vars(kind)))
    return replica
