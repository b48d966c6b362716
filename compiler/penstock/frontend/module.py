"""A live torch module -> RecurrentModel: what the module says and its state dict does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from penstock.errors import PenstockError
from penstock.frontend.checkpoint import arrays, read_checkpoint
from penstock.frontend.state_dict import (
    HeadOptions,
    check_finalized,
    embedding_note,
    from_state_dict,
)
from penstock.model import RecurrentModel

CONTAINERS = ("Sequential", "ModuleList", "ModuleDict", "DataParallel")
"""torch's layers that are no more than their parts."""
ANYWHERE = ("LSTM", "Embedding", "Dropout", "Dropout1d", "Identity")
"""Layers that can be compiled, do nothing in inference, or are left to the host."""
AFTER = {"Linear": "LSTM", "Softmax": "LSTM", "LogSoftmax": "LSTM", "Sigmoid": "Linear"}
"""Layers that can be compiled or left to the host only behind another one."""
ON_HOST = ("Softmax", "LogSoftmax")


def from_module(module: Any, head: HeadOptions | None = None) -> RecurrentModel:
    """Read a ``torch.nn.LSTM``, a ``penstock.nn.LSTM``, or a module of one with a Linear head.

    Refuses every other layer by name. Layers are taken in the order in which the module registers
    them; what its ``forward`` does besides can't be seen. ``head`` says at which steps the head
    runs. Raises PenstockError.
    """
    where = type(module).__name__
    check_finalized((name for name, _ in module.named_parameters()), where)
    kinds = _kinds(module, where)
    lstms = [name for name, kind in kinds.items() if kind == "LSTM"]
    if not lstms:
        raise PenstockError("the module holds no LSTM", where, "give one with an nn.LSTM")
    if "Sigmoid" in kinds.values() and (head is None or head.activation == "none"):
        head = HeadOptions(head.at if head else "last", "sigmoid")
    tensors = arrays(module.state_dict(), where)
    notes = []
    for name, kind in kinds.items():
        weight = f"{name}.weight"
        if kind == "Embedding" and weight in tensors:
            notes.append(embedding_note(weight, tensors.pop(weight)))
        elif kind == "Linear" and weight in tensors:
            tensors.setdefault(f"{name}.bias", np.zeros(len(tensors[weight])))
        elif kind in ON_HOST:
            notes.append(f"layer {name} is left to the host")
    batch_first = bool(module.get_submodule(lstms[0]).batch_first)
    model = from_state_dict(tensors, where, head, batch_first, where.lower())
    model.notes.extend(notes)
    return model


def _kinds(module: Any, where: str) -> dict[str, str]:
    """Name -> kind of every layer, in order; refuses those that can't be compiled."""
    kinds: dict[str, str] = {}
    for name, part in module.named_modules():
        kind, is_torch = _kind(part)
        if kind in CONTAINERS if is_torch else any(True for _ in part.children()):
            continue
        called = f"layer {name or '(the module itself)'} is a {kind}"
        if not is_torch or kind not in (*ANYWHERE, *AFTER):
            raise PenstockError(
                f"{called}, which can't be compiled",
                where,
                "compile the LSTM with its Linear head alone, and leave the rest to the host",
            )
        if kind in AFTER and AFTER[kind] not in kinds.values():
            raise PenstockError(
                f"{called} with no {AFTER[kind]} before it",
                where,
                "register the layers in the order in which they run, or leave it to the host",
            )
        kinds[name] = kind
    return kinds


def _kind(part: Any) -> tuple[str, bool]:
    """The class name of a layer, and if it is torch's own; our LSTM counts as torch's.

    A subclass that keeps the LSTM's ``forward`` is one; with a ``forward`` of its own, it is not.
    """
    classes = [kind for kind in type(part).__mro__ if kind.__module__.startswith("torch.nn.")]
    runs = getattr(type(part).forward, "__module__", "")
    if any(kind.__name__ == "LSTM" for kind in classes):
        return _named(type(part), runs.startswith(("torch.nn.", "penstock.nn.")), "LSTM")
    return _named(type(part), type(part) in classes, type(part).__name__)


def _named(kind: type, is_torch: bool, name: str) -> tuple[str, bool]:
    return (name, True) if is_torch else (f"{kind.__module__}.{kind.__qualname__}", False)


def load_weights(module: Any, path: Path) -> None:
    """Fill ``module`` with a checkpoint's tensors. Raises PenstockError for another model's."""
    import torch

    tensors = {name: torch.from_numpy(values) for name, values in read_checkpoint(path).items()}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise PenstockError(
            f"the weights are of another model: {first}", str(path), "check the factory"
        ) from error
