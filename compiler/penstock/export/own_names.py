"""An exported network under the names of the checkpoint that it was compiled from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.compress.network_text import PREFIX
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.checkpoint import read_checkpoint
from penstock.frontend.folding import folded
from penstock.frontend.reader import some
from penstock.frontend.to_state_dict import names_of_layers

LEAST_LIKE = 0.3
"""Cosine of a matrix with what it was before it was quantized: even two bits leave much more, and
matrices that have nothing to do with one another have about zero."""
WITHOUT = "give the checkpoint that was compiled, or leave out --like"

Arrays = dict[str, NDArray[Any]]


def under_names_of(tensors: Arrays, path: Path, inputs: int) -> tuple[Arrays, list[str]]:
    """``tensors``, of ``to_state_dict``, as the file names them, in its order; and notes.

    inputs: of the network; an embedding that gives them stays as it is. Biases of zeros are left
    out where the file has none. Raises PenstockError for a file of another network, and where a
    tensor of the file was folded into others.
    """
    where, notes = str(path), list[str]()
    stored = {  # but for what penstock compress says of the network in float
        name: values
        for name, values in read_checkpoint(path).items()
        if not name.startswith(PREFIX)
    }
    theirs = folded(stored, where, notes)
    layers = names_of_layers(theirs, where, notes)
    names = {own: name for own, name in layers.items() if name in theirs}
    names |= _linear_names(tensors, theirs, names)
    for own, values in tensors.items():
        _check_own(own, values, names.get(own, ""), theirs, where)
    own_of = {theirs_: own for own, theirs_ in names.items() if own in tensors}
    left = [name for name in theirs if name not in own_of]
    _check_left({name: theirs[name] for name in left}, inputs, where)
    if left:
        notes.append(f"as in the checkpoint, and not quantized: {some(left)}")
    found = {name: tensors[own_of[name]] if name in own_of else value.astype(np.float32)
             for name, value in theirs.items()}  # fmt: skip
    return found, notes


def _linear_names(
    tensors: Arrays, theirs: Mapping[str, FloatArray], taken: Mapping[str, str]
) -> dict[str, str]:
    """Of every other matrix, the one of the file that is most like it, and the bias beside it."""
    found = dict[str, str]()
    for own, values in tensors.items():
        if own in taken or values.ndim != 2:
            continue
        free = [name for name, other in theirs.items()
                if other.shape == values.shape and name.endswith("weight")
                and name not in {*taken.values(), *found.values()}]  # fmt: skip
        if free:
            found[own] = max(free, key=lambda name: _likeness(values, theirs[name]))
            stems = own.removesuffix("weight"), found[own].removesuffix("weight")
            found[f"{stems[0]}bias"] = f"{stems[1]}bias"
    return {own: name for own, name in found.items() if name in theirs}


def _likeness(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The cosine of two matrices; one where either is zero."""
    size = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.vdot(a.astype(np.float64), b)) / size if size else 1.0


def _check_own(
    own: str, values: NDArray[Any], name: str, theirs: Mapping[str, FloatArray], where: str
) -> None:
    """Refuse a tensor that the file has not, or that is another one there."""
    if not name and "bias" in own and not values.any():
        return
    if not name:
        raise PenstockError(f"{own} of the network is not in the file", where, WITHOUT)
    other = theirs[name]
    is_matrix = values.ndim == 2
    if other.shape != values.shape or (is_matrix and _likeness(values, other) < LEAST_LIKE):
        raise PenstockError(f"{name} is not {own} of the network", where, WITHOUT)


def _check_left(left: Mapping[str, FloatArray], inputs: int, where: str) -> None:
    """Refuse what was folded into others: beside their folded values it would count twice."""

    def is_harmless(values: FloatArray) -> bool:
        return values.ndim == 0 or (values.ndim == 2 and values.shape[1] == inputs)

    folded_in = [name for name, values in left.items() if not is_harmless(values)]
    if folded_in:
        raise PenstockError(
            f"{some(folded_in)}: the network has no such tensor; it was folded into others, or is "
            "left to the host", where, "leave out --like",
        )  # fmt: skip
