"""Layers without state: before, between and behind recurrent ones, and alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from layers.given import (
    INPUTS,
    bit_true,
    frames,
    lowered,
    network,
    random_head,
    random_linear,
)
from support import random_direction

from penstock import Hardware
from penstock.driver import compile_model
from penstock.layers import Activation, Linear, Relu
from penstock_runtime import load_project
from penstock_runtime.compare import check

FUNCTIONS = {
    "tanh": (lambda width: Activation(width, "tanh"), torch.nn.Tanh),
    "sigma": (lambda width: Activation(width, "sigma"), torch.nn.Sigmoid),
    "relu": (Relu, torch.nn.ReLU),
}


def perceptron(function, head=None):
    generator = np.random.default_rng(4)
    layers = [random_linear(generator, INPUTS, 8), FUNCTIONS[function][0](8),
              random_linear(generator, 8, 6, bias=False)]  # fmt: skip
    return network(*layers, *([random_head(generator, 6, head)] if head else []))


def like_torch(model):
    """torch's modules with the weights of a stack of linear and element-wise layers."""
    parts = []
    for _, layer in model.named_layers():
        if isinstance(layer, Linear):
            part = torch.nn.Linear(layer.inputs, layer.outputs, dtype=torch.float64)
            part.weight.data = torch.tensor(layer.weight)
            part.bias.data = torch.tensor(0.0 if layer.bias is None else layer.bias).expand(
                layer.outputs
            )
        else:
            name = getattr(layer, "function", layer.kind)
            part = FUNCTIONS[name][1]()
        parts.append(part)
    return torch.nn.Sequential(*parts)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_network_without_state_is_torchs_in_float_and_near_it_in_bits(function):
    model = perceptron(function)
    with torch.no_grad():
        real = like_torch(model)(torch.tensor(frames())).numpy()
    assert np.abs(model.run(frames()) - real).max() < 1e-12
    assert np.abs(bit_true(lowered(model), frames()) - real).max() < 0.01


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_linear_layer_may_stand_anywhere(place, bidirectional):
    generator = np.random.default_rng(5)
    layers, width = [], INPUTS
    for index in range(3):
        if index == place:
            layers.append(random_linear(generator, width, 7))
            width = 7
        else:
            both = tuple(random_direction(generator, width, 6) for _ in range(1 + bidirectional))
            layers.append(both)
            width = 6 * len(both)
    model = network(*layers)
    got, real = bit_true(lowered(model), frames()), model.run(frames())
    assert got.shape == (4, 6, width)
    assert np.abs(got - real).max() < 0.01


@pytest.mark.parametrize("at", ["step", "last", "final"])
def test_a_head_reads_a_stateless_layer_where_it_runs(at):
    generator = np.random.default_rng(6)
    lengths = np.array([6, 3, 1, 4])
    model = network(random_direction(generator, INPUTS, 8), random_linear(generator, 8, 6),
                    Relu(6), random_head(generator, 6), at=at)  # fmt: skip
    got, real = bit_true(lowered(model), frames(), lengths), model.run(frames(), lengths)
    counts = np.arange(6) < lengths[:, None] if at == "step" else np.full((4, 1), True)
    assert np.abs(got - real)[counts].max() < 0.02
    if at != "step":
        inner = network(*(model[name] for name in ("l0", "l1", "l2"))).run(frames(), lengths)
        last = inner[np.arange(4), lengths - 1]
        expected = last @ model["head"].weight.T + model["head"].bias
        assert np.abs(real[:, 0] - expected).max() < 1e-12


def test_last_and_final_differ_behind_both_directions_in_bits_as_in_float():
    generator = np.random.default_rng(8)
    both = tuple(random_direction(generator, INPUTS, 6) for _ in range(2))
    lengths, values = np.array([6, 3, 2, 4]), {}
    for at in ("last", "final"):
        model = network(both, random_head(np.random.default_rng(9), 12), at=at)
        values[at] = bit_true(lowered(model), frames(), lengths)
        assert np.abs(values[at] - model.run(frames(), lengths)).max() < 0.02
    assert (np.abs(values["last"] - values["final"]).max(axis=(1, 2)) > 0.1).all()


def test_every_layer_of_a_network_without_state_is_in_the_report():
    model = perceptron("tanh", "argmax")
    report = compile_model(model, frames(), Hardware(pes=2)).report["network"]
    rows = [(row["name"], row["inputs"], row["outputs"], row["weights"])
            for row in report["layers"]]  # fmt: skip
    assert rows == [("l0", 5, 8, 40), ("l1", 8, 8, 0), ("l2", 8, 6, 48), ("head", 6, 3, 18)]
    assert report["layers"][1]["function"] == "tanh"
    assert [row["kind"] for row in report["layers"]] == ["linear", "activation", "linear", "head"]


def test_the_page_shows_layers_without_cells():
    page = compile_model(perceptron("tanh"), frames(), Hardware(pes=2)).files["report.html"]
    assert "l0: 5 inputs, 8 outputs · l2" in page.decode()


def test_the_kernel_equals_the_interpreter_with_stateless_layers_anywhere(cpp_flags, tmp_path):
    generator = np.random.default_rng(7)
    both = tuple(random_direction(generator, 8, 6) for _ in range(2))
    model = network(
        Activation(INPUTS, "tanh"), random_linear(generator, INPUTS, 8), Relu(8), both,
        Activation(12, "sigma"), random_linear(generator, 12, 7), Relu(7),
        random_direction(generator, 7, 8), random_head(generator, 8, "sigmoid"), at="last",
    )  # fmt: skip
    compiled = compile_model(model, frames(), Hardware(pes=2, max_steps=6))
    result = check(load_project(compiled.write(tmp_path / "project")), steps=4)
    assert result.difference is None and result.values["outputs"] > 0
