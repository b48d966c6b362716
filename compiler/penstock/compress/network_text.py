"""A network in a checkpoint: its places as text, its arrays as tensors of the file.

What ``forward`` computes can't be read off a state dict. So a compressed checkpoint says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from penstock.bounds import MAX_LENGTH
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.layers import LAYERS, Layer
from penstock.model import Place, RecurrentModel

PREFIX = "penstock."
"""Of the tensors that hold the network's arrays."""
KINDS = {layer.kind: layer for layer in LAYERS}
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.-]+$")]


class PlaceText(msgspec.Struct, forbid_unknown_fields=True):
    """``Place``. attributes: fields that are no arrays; arrays: field -> keys, [] for one array."""

    name: Name
    kind: str
    sources: Annotated[list[Name], Meta(min_length=1, max_length=1000)]
    is_backward: bool
    attributes: dict[str, int | float | str | bool | None]
    arrays: dict[str, list[str]]


class NetworkText(msgspec.Struct, forbid_unknown_fields=True):
    """``RecurrentModel``."""

    inputs: Annotated[int, Meta(ge=1, le=MAX_LENGTH)]
    places: Annotated[list[PlaceText], Meta(min_length=1, max_length=10_000)]
    outputs: Annotated[list[Name], Meta(min_length=1, max_length=1000)]
    batch_first: bool
    notes: list[str]

    def to_model(self, tensors: Mapping[str, FloatArray], name: str, where: str) -> RecurrentModel:
        """The network, of a file's tensors. Raises PenstockError for one that is not sound."""
        try:
            places = tuple(_place(text, tensors) for text in self.places)
            model = RecurrentModel(self.inputs, places, tuple(self.outputs), name, self.batch_first,
                                   list(self.notes))  # fmt: skip
            model.run(np.zeros((1, 1, self.inputs)))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise PenstockError(
                f"the network in the checkpoint is damaged: {error}", where, "compress it again"
            ) from error
        return model


def text_of_network(model: RecurrentModel) -> dict[str, Any]:
    """Plain values, as ``NetworkText`` reads them."""
    return {
        "inputs": model.inputs, "outputs": list(model.outputs), "batch_first": model.batch_first,
        "notes": list(model.notes), "places": [_text(place) for place in model.places],
    }  # fmt: skip


def tensors_of_network(model: RecurrentModel) -> dict[str, NDArray[np.float32]]:
    """All arrays, by the names under which ``NetworkText`` finds them."""
    found = {}
    for place in model.places:
        for field, keys in _arrays(place.layer).items():
            value = getattr(place.layer, field)
            for key in keys or [""]:
                array = value[key] if key else value
                found[_tensor(place.name, field, key)] = np.ascontiguousarray(array, np.float32)
    return found


def _tensor(place: str, field: str, key: str) -> str:
    return f"{PREFIX}{place}.{field}" + (f".{key}" if key else "")


def _arrays(layer: Layer) -> dict[str, list[str]]:
    """Field -> the keys of its arrays; none if it is an array itself."""
    found: dict[str, list[str]] = {}
    for one in fields(layer):  # type: ignore[arg-type]
        value = getattr(layer, one.name)
        if isinstance(value, np.ndarray):
            found[one.name] = []
        elif isinstance(value, dict) and value:
            found[one.name] = list(value)
    return found


def _text(place: Place) -> dict[str, Any]:
    arrays = _arrays(place.layer)
    attributes = {
        one.name: getattr(place.layer, one.name)
        for one in fields(place.layer)  # type: ignore[arg-type]
        if one.name not in arrays and not isinstance(getattr(place.layer, one.name), dict)
    }
    return {
        "name": place.name, "kind": place.layer.kind, "sources": list(place.sources),
        "is_backward": place.is_backward, "arrays": arrays,
        "attributes": {name: _plain(value) for name, value in attributes.items()},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    is_infinite = isinstance(value, float) and not np.isfinite(value)
    return str(value) if is_infinite else value  # JSON has no infinity


def _place(text: PlaceText, tensors: Mapping[str, FloatArray]) -> Place:
    kind = KINDS[text.kind]
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    if not known.issuperset(text.attributes) or not known.issuperset(text.arrays):
        raise ValueError(f"{text.name} has fields that a {text.kind} has not")
    given: dict[str, Any] = {
        name: float(value) if value in ("inf", "-inf") else value
        for name, value in text.attributes.items()
    }
    for field, keys in text.arrays.items():
        if keys:
            given[field] = {key: tensors[_tensor(text.name, field, key)] for key in keys}
        else:
            given[field] = tensors[_tensor(text.name, field, "")]
    return Place(text.name, kind(**given), tuple(text.sources), text.is_backward)
