"""RecurrentModel -> PyTorch's names: the inverse of ``from_state_dict``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray
from penstock.frontend.chain import Stack, in_order
from penstock.frontend.reader import Reader
from penstock.frontend.recurrent import Found, find_modules, read_layers
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


def names_of_layers(
    tensors: Mapping[str, FloatArray], where: str, notes: list[str]
) -> dict[str, str]:
    """The names of a stack's tensors, numbered through all modules, -> those in the modules.

    tensors: a state dict; what is assumed of the modules' order is noted. Kinds that a module does
    not have get a name, too. Raises PenstockError as ``from_state_dict`` does.
    """
    reader = Reader(dict(tensors), where)
    modules = [(module, Stack(module.title, read_layers(reader, module)))
               for module in find_modules(tensors)]  # fmt: skip
    if not modules:
        return {}
    order = in_order([stack for _, stack in modules], where, notes)
    modules.sort(key=lambda one: next(k for k, stack in enumerate(order) if stack is one[1]))
    found, index = dict[str, str](), 0
    for module, stack in modules:
        for number, directions in enumerate(stack.layers):
            for part, suffix in zip(directions, ("", "_reverse"), strict=False):
                for kind in part.torch.shapes:
                    own = f"{kind}_l{index}{suffix}"
                    found[own] = _name(module, kind, number, suffix)
                found |= {code: f"{module.prefix}{code}" for code in part.torch.codes}
            index += 1
    return found


def _name(module: Found, kind: str, layer: int, suffix: str) -> str:
    return f"{module.prefix}{kind}" + ("" if module.is_cell else f"_l{layer}{suffix}")
