"""What tensors are that a state dict has beside its recurrent module: by name and by shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod

from penstock.fixed import FloatArray

ATTENTION = re.compile(r"(^|[._])(\w*[a-z])?(attn|attention|att)([a-z]*\d*)([._]|$)", re.IGNORECASE)
QUERIES = re.compile(r"(^|\.)(quer(y|ies)|keys?|[qkv]_proj|w_?[qkv])$", re.IGNORECASE)
LOSS = re.compile(r"(^|\.)(\w*_)?(loss|losses|criterion|criteria|crit)(_?\w*)?\.|(^|\.)pos_weight$",
                  re.IGNORECASE)  # fmt: skip
STATE = re.compile(
    r"(^|[._])(h|c|hx|cx|h0|c0|h_0|c_0|hidden\d?|cell|state\d?|init|initial|init_?state)([._]\w*)?$",
    re.IGNORECASE,
)
COUNTERS = ("n_averaged",)
"""Of torch.optim.swa_utils.AveragedModel."""


def module_of(name: str) -> str:
    """The path of the module that a tensor belongs to."""
    return name.rpartition(".")[0]


def is_counter(name: str, value: FloatArray) -> bool:
    """True for a count that a wrapper keeps and nothing computes with."""
    return name.rpartition(".")[2] in COUNTERS and value.size == 1


def is_loss(name: str, value: FloatArray) -> bool:
    """True for a vector of a loss, such as its class weights: no part of what the network gives."""
    return LOSS.search(name) is not None and value.ndim <= 1


def is_initial_state(name: str, value: FloatArray, counts: set[int]) -> bool:
    """True for a parameter named as a state and shaped like one.

    counts: how many elements a state of all layers and directions may have.
    """
    if not STATE.search(name) or not 1 <= value.ndim <= 3 or prod(value.shape) not in counts:
        return False
    return value.ndim < 3 or 1 in value.shape[:2]


def what_it_is(module: str, tensors: Mapping[str, FloatArray]) -> str:
    """The kind of a module that is neither recurrent nor Linear, in words; empty if unknown.

    tensors: by their own names in the module.
    """
    weight = tensors.get("weight")
    if any(name.startswith("in_proj_") for name in tensors) or (
        ATTENTION.search(module) or QUERIES.search(module)
    ):
        return "attention"
    if "running_mean" in tensors:
        return "a BatchNorm"
    if LOSS.search(f"{module}."):
        return "part of a loss"
    if "transitions" in tensors or "start_transitions" in tensors:
        return "a CRF"
    if weight is None:
        return ""
    if weight.ndim > 2:
        return "a convolution or a Bilinear" if weight.ndim == 3 else "a convolution"
    if weight.ndim == 1:
        return "a LayerNorm or another normalization" if "bias" in tensors else "a vector"
    return ""
