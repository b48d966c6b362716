"""RecurrentModel -> PyTorch's names: the inverse of ``from_state_dict``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.frontend.state_dict import ACTIVATION_CODE, PEEPHOLES
from penstock.model import GATES, RecurrentModel


@dataclass(frozen=True)
class LayerNames:
    """What a module calls its layers; the module itself is the empty name."""

    lstm: str = "lstm"
    head: str = "head"

    def of(self, layer: str, parameter: str) -> str:
        """A parameter's name in the module's state dict."""
        name = str(getattr(self, layer))
        return f"{name}.{parameter}" if name else parameter


def to_state_dict(model: RecurrentModel, names: LayerNames) -> dict[str, NDArray[np.float32]]:
    """The tensors of ``model`` as torch.nn.LSTM (and penstock.nn.LSTM) name them, in float32.

    Of PyTorch's two biases, ``bias_hh`` is zero.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for index, layer in enumerate(model.layers):
        for suffix, part in layer.directions:
            end = f"l{index}{suffix}"
            stacked = {"weight_ih": part.w_x, "weight_hh": part.w_r, "bias_ih": part.bias}
            for kind, gates in stacked.items():
                weight = np.concatenate([gates[gate] for gate in GATES])
                found[names.of("lstm", f"{kind}_{end}")] = weight
            found[names.of("lstm", f"bias_hh_{end}")] = np.zeros(4 * part.cells)
            for gate, vector in part.peephole.items():
                found[names.of("lstm", f"{PEEPHOLES[gate]}_{end}")] = vector
            if part.projection is not None:
                found[names.of("lstm", f"weight_hr_{end}")] = part.projection
    if model.layers[0].forward.g_function == "sigma":
        found[names.of("lstm", ACTIVATION_CODE)] = np.array(1.0)
    if model.head is not None:
        found[names.of("head", "weight")] = model.head.weight
        if model.head.bias is not None:
            found[names.of("head", "bias")] = model.head.bias
    return {name: np.array(value, np.float32, order="C") for name, value in found.items()}
