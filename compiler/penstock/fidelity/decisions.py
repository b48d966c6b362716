"""What a network's outputs decide, and what a label says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.layers.layer import Layer
from penstock.layers.linear import Linear
from penstock.model import RecurrentModel
from penstock.ops.lut import sigma

Decide = Callable[[FloatArray], IntArray]


@dataclass(frozen=True)
class Rule:
    """decide: outputs (rows, n) -> decisions (rows, 1) or, one for each output, (rows, n)."""

    words: str
    decide: Decide


def activation_of(layer: Layer | None) -> str:
    """What follows the logits of a head: ``none``, ``sigmoid`` or ``argmax``."""
    return str(getattr(layer, "activation", "none")) if isinstance(layer, Linear) else "none"


def layer_of(model: RecurrentModel, value: str) -> Layer | None:
    """The layer whose result a value is; None for the input and for states."""
    return dict(model.named_layers()).get(value)


def delivered(model: RecurrentModel, y: FloatArray) -> FloatArray:
    """What the graph delivers, (..., n), from what ``model.run`` gives: heads give logits there."""
    parts, start = [], 0
    for value in model.outputs:
        part = y[..., start : start + model.width(value)]
        start += model.width(value)
        match activation_of(layer_of(model, value)):
            case "sigmoid":
                part = sigma(part)
            case "argmax":
                part = np.argmax(part, axis=-1, keepdims=True).astype(np.float64)
        parts.append(part)
    return np.concatenate(parts, axis=-1)


def rule_of(model: RecurrentModel) -> Rule | None:
    """How decisions are made; None where the end is no linear layer, and for a regression.

    Whoever ends in labels has decided, whatever the outputs are said to be.
    """
    layer = layer_of(model, model.outputs[0]) if len(model.outputs) == 1 else None
    if not isinstance(layer, Linear):
        return None
    activation = activation_of(layer)
    if activation == "argmax":
        return Rule("the label", lambda y: y.astype(np.int64))
    if model.is_regression:
        return None
    if activation == "sigmoid":
        return Rule("probability of one half or more", lambda y: (y >= 0.5).astype(np.int64))
    if layer.outputs == 1:
        return Rule("sign of the logit", lambda y: (y >= 0).astype(np.int64))
    words = f"the greatest of {layer.outputs:,} outputs"
    return Rule(words, lambda y: np.argmax(y, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Answers:
    """What is right: of every sequence (sequences, 1, n), or of every step (sequences, steps, n).

    is_label: integers that decisions are compared with; else real targets of the outputs.
    """

    values: NDArray[Any]
    is_label: bool


def answers_of(
    labels: NDArray[Any], frames: tuple[int, int], outputs: int, rule: Rule | None, where: str
) -> Answers:
    """Labels or targets as the user has them. frames: (sequences, results of a sequence).

    Real numbers that are all 0 or 1 are labels where a decision has these two values. Raises
    PenstockError.
    """
    if labels.dtype.kind not in "biuf" or not np.isfinite(labels).all():
        raise PenstockError("y is neither labels nor numbers", where, "save integers or floats")
    is_binary = rule is not None and outputs == 1 and bool(np.isin(labels, (0, 1)).all())
    is_label = labels.dtype.kind != "f" or is_binary
    if is_label and rule is None:
        raise PenstockError(
            "y has labels, but nothing is decided by the outputs", where,
            "give real targets of the outputs, or leave y out",
        )  # fmt: skip
    single = [frames, (*frames, 1)] + [frames[:1], (frames[0], 1)] * (frames[1] == 1)
    widths = [(*frames, outputs)] + [(frames[0], outputs)] * (frames[1] == 1)
    if labels.shape in single and (is_label or outputs == 1):
        width = 1
    elif labels.shape in widths:
        width = outputs
    else:
        raise PenstockError(
            f"y of shape {labels.shape} does not fit {frames[0]} sequences with "
            f"{frames[1]} results of {outputs}",
            where,
            "give a label for each result, or a target for each output",
        )
    kind = np.int64 if is_label else np.float64
    return Answers(labels.reshape(*frames, width).astype(kind), is_label)
