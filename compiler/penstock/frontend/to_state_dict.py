"""RecurrentModel -> PyTorch's names: the inverse of ``from_state_dict``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray
from penstock.layers import Cell, DenseHead, Pool
from penstock.model import RecurrentModel


def to_state_dict(
    model: RecurrentModel, recurrent: str, head: str
) -> dict[str, NDArray[np.float32]]:
    """The tensors of a ``model.stack`` of cells, as torch.nn (and ours) name them, in float32.

    recurrent, head: what the module calls these layers; the module itself is the empty name.
    """
    stack, in_head = (f"{name}." if name else "" for name in (recurrent, head))
    found: dict[str, FloatArray] = {}
    for name, part in model.named_layers():
        if isinstance(part, DenseHead):
            found |= {f"{in_head}weight": part.weight}
            found |= {} if part.bias is None else {f"{in_head}bias": part.bias}
        elif not isinstance(part, Pool):
            assert isinstance(part, Cell), f"PyTorch has no stack with a {part.kind} in it"
            tensors, codes = part.to_torch()
            found |= {f"{stack}{kind}_{name}": values for kind, values in tensors.items()}
            for code, choice in codes.items():
                found[f"{stack}{code}"] = np.array(float(part.torch.codes[code].index(choice)))
    return {name: np.array(value, np.float32, order="C") for name, value in found.items()}
