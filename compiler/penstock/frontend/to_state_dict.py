"""RecurrentModel -> PyTorch's names: the inverse of ``from_state_dict``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.frontend.state_dict import ACTIVATION_CODE, PEEPHOLES
from penstock.model import GATES, RecurrentModel


def to_state_dict(model: RecurrentModel, lstm: str, head: str) -> dict[str, NDArray[np.float32]]:
    """The tensors of ``model`` as torch.nn.LSTM (and penstock.nn.LSTM) name them, in float32.

    lstm, head: what the module calls these layers; the module itself is the empty name. Of
    PyTorch's two biases, ``bias_hh`` is zero.
    """
    in_lstm, in_head = (f"{name}." if name else "" for name in (lstm, head))
    found: dict[str, NDArray[np.float64]] = {}
    for index, layer in enumerate(model.layers):
        for suffix, part in layer.directions:
            end = f"l{index}{suffix}"
            stacked = {"weight_ih": part.w_x, "weight_hh": part.w_r, "bias_ih": part.bias}
            for kind, gates in stacked.items():
                found[f"{in_lstm}{kind}_{end}"] = np.concatenate([gates[gate] for gate in GATES])
            found[f"{in_lstm}bias_hh_{end}"] = np.zeros(4 * part.cells)
            for gate, vector in part.peephole.items():
                found[f"{in_lstm}{PEEPHOLES[gate]}_{end}"] = vector
            if part.projection is not None:
                found[f"{in_lstm}weight_hr_{end}"] = part.projection
    if model.layers[0].forward.g_function == "sigma":
        found[f"{in_lstm}{ACTIVATION_CODE}"] = np.array(1.0)
    if model.head is not None:
        found[f"{in_head}weight"] = model.head.weight
        if model.head.bias is not None:
            found[f"{in_head}bias"] = model.head.bias
    return {name: np.array(value, np.float32, order="C") for name, value in found.items()}
