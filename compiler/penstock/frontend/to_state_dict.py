"""RecurrentModel -> PyTorch's names: the inverse of ``from_state_dict``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray
from penstock.layers import Cell
from penstock.model import RecurrentModel


def to_state_dict(
    model: RecurrentModel, recurrent: str, head: str
) -> dict[str, NDArray[np.float32]]:
    """The tensors of a stack of cells as their torch.nn module (and ours) names them, in float32.

    recurrent, head: what the module calls these layers; the module itself is the empty name.
    """
    stack, in_head = (f"{name}." if name else "" for name in (recurrent, head))
    found: dict[str, FloatArray] = {}
    for index, place in enumerate(model.layers):
        for suffix, part in place.directions:
            assert isinstance(part, Cell), f"PyTorch has no stack with a {part.kind} in it"
            tensors, codes = part.to_torch()
            found |= {f"{stack}{kind}_l{index}{suffix}": v for kind, v in tensors.items()}
            for name, choice in codes.items():
                found[f"{stack}{name}"] = np.array(float(part.torch.codes[name].index(choice)))
    if model.head is not None:
        found[f"{in_head}weight"] = model.head.weight
        if model.head.bias is not None:
            found[f"{in_head}bias"] = model.head.bias
    return {name: np.array(value, np.float32, order="C") for name, value in found.items()}
