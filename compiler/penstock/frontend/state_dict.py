"""Architecture from names and shapes: a recurrent module's parameters, and a Linear head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.reader import Reader, some
from penstock.frontend.recurrent import modules, read_layers, tensor_pattern, titles
from penstock.layers import DenseHead
from penstock.layers.head import ACTIVATIONS, PLACES
from penstock.model import RecurrentModel, Stacked


@dataclass(frozen=True)
class HeadOptions:
    """What a state dict does not say about its Linear head; see ``layers.DenseHead``."""

    at: str = "last"
    activation: str = "none"

    def __post_init__(self) -> None:
        for value, choices in (
            (self.at, PLACES),
            (self.activation, ACTIVATIONS),
        ):
            if value not in choices:
                raise PenstockError(
                    f"a head can't run at {value!r}" if choices is PLACES
                    else f"a head can't end in {value!r}",
                    "head options",
                    f"choose one of {', '.join(choices)}",
                )  # fmt: skip


def from_state_dict(
    tensors: dict[str, FloatArray],
    where: str = "state dict",
    head: HeadOptions | None = None,
    batch_first: bool = True,
    name: str = "lstm",
) -> RecurrentModel:
    """Find the recurrent module, its layers and directions, a Linear head and an embedding.

    An embedding table stays on the host, and a note says so. Raises PenstockError for anything that
    can't be compiled, by name.
    """
    check_finalized(tensors, where)
    _check_finite(tensors, where)
    reader = Reader(tensors, where)
    pattern = tensor_pattern()
    found = {key: match for key in tensors if (match := pattern.fullmatch(key))}
    prefixes = sorted({match["prefix"] for match in found.values()})
    if not prefixes:
        raise PenstockError(
            f"there is no {modules()} among {some(tensors)}",
            where,
            f"{titles()} has weight_ih_l0",
        )
    if len(prefixes) > 1:
        names = ", ".join(prefix.rstrip(".") or "(root)" for prefix in prefixes)
        raise PenstockError(
            f"there are {len(prefixes)} {modules('s')}: {names}",
            where,
            f"their order can't be known from names; stack them in one nn.{modules()}, or compile "
            "one at a time",
        )
    stack = read_layers(reader, prefixes[0], list(found.values()))
    notes: list[str] = []
    model_head = _read_rest(reader, stack, head or HeadOptions(), notes)
    if head is not None and model_head is None:
        raise PenstockError(
            "there is no Linear head to apply the head options to", where, "leave them out"
        )
    return RecurrentModel(stack, model_head, name, batch_first, notes)


def check_finalized(names: Iterable[str], where: str) -> None:
    """Refuse a model whose weights are still computed from others, as while it is pruned."""
    for name in names:
        if "parametrizations." in name:
            raise PenstockError(
                f"the weights are still parametrized ({name})",
                where,
                "call pruner.finalize(), or torch's remove_parametrizations, first",
            )


def _check_finite(tensors: dict[str, FloatArray], where: str) -> None:
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            bad = int(np.count_nonzero(~np.isfinite(value)))
            raise PenstockError(
                f"{name} has {bad} NaN or infinite values",
                where,
                "did training diverge? use an earlier checkpoint",
            )
        if value.size == 0:
            raise PenstockError(f"{name} is empty", where, "was the model built with size 0?")


def _read_rest(
    reader: Reader, stack: list[Stacked], options: HeadOptions, notes: list[str]
) -> DenseHead | None:
    """The Linear head and the embedding among the tensors that are left; nothing else may be."""
    inputs, outputs = stack[0].forward.inputs, stack[-1].outputs
    head: DenseHead | None = None
    for name in sorted(reader.left):
        value = reader.tensors[name]
        stem = name.removesuffix("weight")
        if not name.endswith("weight") or value.ndim != 2:
            continue
        has_bias = f"{stem}bias" in reader.tensors
        if _is_embedding(reader, name, has_bias, inputs, outputs):
            reader.left.discard(name)
            notes.append(embedding_note(name, value))
        elif value.shape[1] == outputs and head is None:
            reader.left.discard(name)
            because = f"{name} gives {value.shape[0]} outputs"
            bias = reader.take(f"{stem}bias", value.shape[:1], because) if has_bias else None
            head = DenseHead(value, bias, options.at, options.activation)
    if reader.left:
        raise PenstockError(
            f"can't compile {some(reader.left)}: not part of {titles()}, a Linear head or an "
            "embedding",
            reader.where,
            f"save only the {modules()} and the Linear layer that reads it",
        )
    return head


def _is_embedding(reader: Reader, name: str, has_bias: bool, inputs: int, outputs: int) -> bool:
    """A matrix without bias, whose rows are as long as the input frame."""
    if has_bias or reader.tensors[name].shape[1] != inputs:
        return False
    if inputs == outputs and "emb" not in name:
        raise PenstockError(
            f"{name} could be an embedding or a Linear head without bias: both have "
            f"{inputs} columns",
            reader.where,
            "save an embedding as emb.weight, and a head with its bias (zeros do)",
        )
    return True


def embedding_note(name: str, table: FloatArray) -> str:
    """What is said of an embedding."""
    return f"{name} is an embedding of {len(table)} entries: the look-up stays on the host"
