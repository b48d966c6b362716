"""Architecture from names and shapes: recurrent modules' parameters, and a Linear head.

A state dict does not say what ``forward`` does. What is assumed is noted, and where nothing decides
between two readings, the choices are listed in an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.chain import Stack, check_chain, in_order
from penstock.frontend.folding import check_no_copy, folded
from penstock.frontend.names import under
from penstock.frontend.options import ASSUMED, HeadOptions
from penstock.frontend.reader import Reader, some
from penstock.frontend.recurrent import Found, find_modules, modules, read_layers, titles
from penstock.frontend.rest import Rest
from penstock.layers import Rnn
from penstock.layers.rnn import NONLINEARITY_CODE
from penstock.model import RecurrentModel, stack

__all__ = ["ASSUMED", "HeadOptions", "check_finalized", "from_state_dict"]


def from_state_dict(
    tensors: dict[str, FloatArray],
    where: str = "state dict",
    head: HeadOptions | None = None,
    batch_first: bool = True,
    name: str = "lstm",
    only: Sequence[str] = (),
) -> RecurrentModel:
    """Find the recurrent modules, their layers and directions, a Linear head and an embedding.

    only: the prefixes of what is compiled; all without. An embedding table stays on the host.
    Whatever is assumed or left out is noted. Raises PenstockError, by name, for anything that can't
    be compiled or could be read in more ways than one.
    """
    notes: list[str] = []
    if only:
        tensors = under(tensors, only, where, notes)
    tensors = folded(tensors, where, notes)
    check_finalized(tensors, where)
    check_no_copy(tensors, where)
    _check_finite(tensors, where)
    reader = Reader(tensors, where)
    found = find_modules(tensors)
    if not found:
        raise _no_module(reader)
    stacks = [Stack(module.title, read_layers(reader, module)) for module in found]
    notes += _of_functions(reader, found, stacks)
    stacks = in_order(stacks, where, notes)
    rest = Rest(reader, stacks, {match.string for one in found for match in one.matches})
    model_head, table = rest.read(head, notes)
    if head is not None and model_head is None:
        raise PenstockError(
            "there is no Linear head to apply the head options to", where, "leave them out"
        )
    if model_head is None:
        check_chain(stacks, where)
    at = (head.at if head else None) or ASSUMED
    layers = [layer for one in stacks for layer in one.layers]
    model = stack(layers, model_head, at, name, batch_first, notes)
    return replace(model, table=None if table is None else table.astype(np.float64, copy=False))


def _no_module(reader: Reader) -> PenstockError:
    gates = [name for name in reader.tensors if "igates" in name or "hgates" in name]
    if gates:
        return PenstockError(
            f"{some(gates)}: this is the quantizable LSTM of torch.ao, in gates of its own",
            reader.where,
            "compile the torch.nn.LSTM that it was made from; Penstock quantizes by itself",
        )
    return PenstockError(
        f"there is no {modules()} among {some(reader.tensors)}",
        reader.where,
        f"{titles()} has weight_ih_l0, and a cell weight_ih",
    )


def _of_functions(reader: Reader, found: list[Found], stacks: list[Stack]) -> list[str]:
    """What is assumed of an Elman network."""
    return [
        f"{module.tensor('weight_hh')} is of an RNN, whose function a state dict does not say: "
        "tanh, assumed"
        for module, one in zip(found, stacks, strict=True)
        if isinstance(one.layers[0][0], Rnn)
        and f"{module.prefix}{NONLINEARITY_CODE}" not in reader.tensors
    ]


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
