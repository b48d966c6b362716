"""A live torch module -> RecurrentModel: what the module says and its state dict does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from penstock import layers
from penstock.errors import PenstockError
from penstock.frontend.checkpoint import arrays, read_checkpoint
from penstock.frontend.recurrent import modules
from penstock.frontend.state_dict import (
    HeadOptions,
    check_finalized,
    embedding_note,
    from_state_dict,
)
from penstock.model import RecurrentModel

CONTAINERS = ("Sequential", "ModuleList", "ModuleDict", "DataParallel")
"""torch's layers that are no more than their parts."""
ANYWHERE = ("Embedding", "Dropout", "Dropout1d", "Identity")
"""Layers that do nothing in inference, or are left to the host."""
ON_HOST = ("Softmax", "LogSoftmax")
"""Layers that are left to the host behind a recurrent one."""


def from_module(module: Any, head: HeadOptions | None = None) -> RecurrentModel:
    """Read a recurrent module of torch.nn (see ``layers.CELLS``), ours, or one with a Linear head.

    Refuses every other layer by name. Layers are taken in the order in which the module registers
    them; what its ``forward`` does besides can't be seen. ``head`` says at which steps the head
    runs. Raises PenstockError.
    """
    where = type(module).__name__
    check_finalized((name for name, _ in module.named_parameters()), where)
    kinds = _kinds(module, where)
    recurrent = [name for name, kind in kinds.items() if kind in _recurrent()]
    if not recurrent:
        hint = f"give one with an nn.{modules()}"
        raise PenstockError(f"the module contains no {modules()}", where, hint)
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
            notes.append(f"layer {name} runs on the host")
    batch_first = bool(module.get_submodule(recurrent[0]).batch_first)
    model = from_state_dict(tensors, where, head, batch_first, where.lower())
    model.notes.extend(notes)
    return model


def _recurrent() -> list[str]:
    return [cell.torch.module for cell in layers.CELLS]


def _after() -> dict[str, list[str]]:
    """Layers that can be compiled or left to the host only behind one of others."""
    return {"Sigmoid": ["Linear"], **dict.fromkeys(("Linear", *ON_HOST), _recurrent())}


def _kinds(module: Any, where: str) -> dict[str, str]:
    """Name -> kind of every layer, in order; refuses those that can't be compiled."""
    kinds: dict[str, str] = {}
    for name, part in module.named_modules():
        kind, is_torch = _kind(part)
        if kind in CONTAINERS if is_torch else any(True for _ in part.children()):
            continue
        called = f"layer {name or '(the module itself)'} is a {kind}"
        after = _after()
        if not is_torch or kind not in (*_recurrent(), *ANYWHERE, *after):
            raise PenstockError(
                f"{called}, which can't be compiled",
                where,
                f"compile only the {modules()} and its Linear head, and run the rest on the host",
            )
        if kind in after and set(after[kind]).isdisjoint(kinds.values()):
            raise PenstockError(
                f"{called} with no {' or '.join(after[kind])} before it",
                where,
                "register the layers in the order in which they run, or run it on the host",
            )
        kinds[name] = kind
    return kinds


def _kind(part: Any) -> tuple[str, bool]:
    """The class name of a layer, and if it is torch's own; our LSTM counts as torch's.

    A subclass that keeps the ``forward`` of a recurrent module is one; with a ``forward`` of its
    own, it is not.
    """
    classes = [kind for kind in type(part).__mro__ if kind.__module__.startswith("torch.nn.")]
    runs = getattr(type(part).forward, "__module__", "")
    for name in {kind.__name__ for kind in classes} & set(_recurrent()):
        return _named(type(part), runs.startswith(("torch.nn.", "penstock.nn.")), name)
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
            f"the weights belong to another model: {first}", str(path), "check the factory"
        ) from error
