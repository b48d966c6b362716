"""A live torch module -> RecurrentModel: what the module says and its state dict does not."""

from __future__ import annotations

from typing import Any

from penstock.errors import PenstockError
from penstock.frontend.checkpoint import arrays
from penstock.frontend.state_dict import HeadOptions, from_state_dict
from penstock.model import RecurrentModel

ON_HOST = ("Dropout", "Dropout1d", "Identity", "Softmax", "LogSoftmax", "Embedding")
"""Layers that do nothing in inference, or are left to the host."""


def from_module(module: Any, head: HeadOptions | None = None) -> RecurrentModel:
    """Read a ``torch.nn.LSTM``, a ``penstock.nn.LSTM``, or a module that holds one with a Linear head.

    Refuses every other layer by name. ``head`` says at which steps the head runs.
    """
    where = type(module).__name__
    kinds = {name: _kind(part) for name, part in module.named_modules() if not _has_parts(part)}
    lstms = [part for part in module.modules() if _kind(part) == "LSTM"]
    heads = [name for name, kind in kinds.items() if kind == "Linear"]
    for name, kind in kinds.items():
        if kind == "Sigmoid" and heads:
            if head is None or head.activation == "none":
                head = HeadOptions(head.at if head else "last", "sigmoid")
        elif kind not in ("LSTM", "Linear", *ON_HOST):
            raise PenstockError(
                f"layer {name or '(the module itself)'} is a {kind}, which can't be compiled",
                where,
                "compile the LSTM with its Linear head alone, and leave the rest to the host",
            )
    if not lstms:
        raise PenstockError("the module holds no LSTM", where, "give one with an nn.LSTM")
    model = from_state_dict(
        arrays(module.state_dict()), where, head, bool(lstms[0].batch_first), where.lower()
    )
    softmaxes = [name for name, kind in kinds.items() if kind in ("Softmax", "LogSoftmax")]
    model.notes.extend(f"layer {name} is left to the host" for name in softmaxes)
    return model


def _kind(part: Any) -> str:
    """The class name of a torch layer; our own LSTM counts as one."""
    names = [kind.__name__ for kind in type(part).__mro__ if kind.__module__.startswith("torch.nn.")]
    return "LSTM" if "LSTM" in names else type(part).__name__


def _has_parts(part: Any) -> bool:
    return _kind(part) != "LSTM" and any(True for _ in part.children())
