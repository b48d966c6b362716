"""A network in a checkpoint: what is read is what was written, or it is refused."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from layers.given import EXAMPLES, example
from support import random_direction, random_model

from penstock.compress.network_text import NetworkText, tensors_of_network, text_of_network
from penstock.errors import PenstockError
from penstock.layers import Clamp
from penstock.model import Place, RecurrentModel

X = np.random.default_rng(0).normal(0, 1, (3, 6, 5))


def text_of(model, change=lambda text: None):
    """As a file has it."""
    text = text_of_network(model)
    change(text)
    return msgspec.json.decode(msgspec.json.encode(text), type=NetworkText)


def read(model, change=lambda text: None):
    tensors = {name: np.float64(value) for name, value in tensors_of_network(model).items()}
    return text_of(model, change).to_model(tensors, model.name, "m.safetensors")


def alone(layer, **options):
    return RecurrentModel(5, (Place("l0", layer, ("x",), **options),), ("l0",))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_layer_is_read_as_it_was_written(kind):
    model = alone(example(kind))
    found = read(model)
    assert found["l0"].describe() == model["l0"].describe()
    assert np.abs(found.run(X) - model.run(X)).max() < 1e-6


def test_both_directions_and_all_of_the_network_are_kept():
    model = random_model(cells=(6, 4), bidirectional=True, head=3, at="final")
    model.notes.append("a note")
    found = read(model)
    assert [place.is_backward for place in found.places] == [False, True, False, True, *[False] * 3]
    assert (found.outputs, found.batch_first, found.notes) == (("head",), True, ["a note"])
    lengths = np.array([6, 2, 4])
    assert np.abs(found.run(X, lengths) - model.run(X, lengths)).max() < 1e-6


@pytest.mark.parametrize("limits", [(-np.inf, 0.5), (-0.5, np.inf), (-np.inf, np.inf)])
def test_no_limit_is_read_as_none(limits):
    found = read(alone(Clamp(5, *limits)))["l0"]
    assert (found.low, found.high) == limits


def unknown_attribute(text):
    text["places"][0]["attributes"]["dropout"] = 0.5


def unknown_array(text):
    text["places"][0]["arrays"]["w_y"] = ["i"]


def unknown_kind(text):
    text["places"][0]["kind"] = "conv"


def other_width(text):
    text["inputs"] = 4


CHANGES = {
    unknown_attribute: "l0 has fields that a lstm has not",
    unknown_array: "l0 has fields that a lstm has not",
    unknown_kind: "'conv'",
    other_width: "l0 takes 5 values, but is given 4",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_no_network_is_is_refused(change):
    model = alone(random_direction(np.random.default_rng(0), 5, 4))
    with pytest.raises(PenstockError) as refusal:
        read(model, change)
    assert refusal.value.line() == (
        f"the network in the checkpoint is damaged: {CHANGES[change]} (m.safetensors); hint: "
        "compress it again"
    )
