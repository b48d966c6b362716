"""What every layer owes the compiler, whatever it computes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from layers.given import (
    EXAMPLES,
    INPUTS,
    bit_true,
    example,
    frames,
    lowered,
    network,
    random_rnn,
)
from support import random_direction

from penstock.compress.constants import float_constants, parameters_of, with_constants
from penstock.layers import LAYERS, Cell, DenseHead
from penstock.layers.layer import Role

every_layer = pytest.mark.parametrize("kind", EXAMPLES)
every_step = pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind != "Pool"])
every_cell = pytest.mark.parametrize(
    "kind", [layer.__name__ for layer in LAYERS if hasattr(layer, "from_torch")]
)


def test_every_layer_has_a_case_and_a_kind_of_its_own():
    assert sorted(EXAMPLES) == sorted(layer.__name__ for layer in LAYERS)
    assert len({layer.kind for layer in LAYERS}) == len(LAYERS)


@every_layer
def test_the_interpreter_is_within_a_hundredth_of_the_float_step(kind):
    model = network(example(kind))
    assert np.abs(bit_true(lowered(model), frames()) - model.run(frames())).max() < 0.01


@every_layer
@pytest.mark.parametrize("lengths", [None, [6, 3, 1, 4]], ids=["whole", "ragged"])
def test_it_may_stand_behind_both_directions_of_another(kind, lengths):
    generator = np.random.default_rng(2)
    both = tuple(random_direction(generator, INPUTS, 6) for _ in range(2))
    model = network(both, example(kind, 12))
    lengths = np.array(lengths or [6] * 4)
    got, real = bit_true(lowered(model), frames(), lengths), model.run(frames(), lengths)
    counts = np.arange(got.shape[1]) < lengths[:, None]
    assert np.abs(got - real)[counts].max() < 0.01
    assert not got[~counts].any()


@every_step
def test_a_step_gives_outputs_and_states_of_the_stated_sizes(kind):
    layer, seen = example(kind), {}
    state = {name: np.zeros((4, length)) for name, length in layer.states().items()}
    y, after = layer.step(frames()[:, 0], state, seen.__setitem__)
    assert y.shape == (4, layer.outputs) and layer.inputs == INPUTS
    assert {name: values.shape for name, values in after.items()} == {
        name: (4, length) for name, length in layer.states().items()
    }
    for name, values in seen.items():
        assert values.ndim == 2 and len(values) == 4, name


@every_layer
def test_every_parameter_can_be_exchanged_and_stands_in_the_graph(kind):
    layer = example(kind)
    values = {name: parameter.values for name, parameter in layer.parameters().items()}
    other = layer.with_parameters({name: 2 * array for name, array in values.items()})
    assert list(other.parameters()) == list(values)
    for name, parameter in other.parameters().items():
        assert (parameter.values == 2 * values[name]).all()
        assert parameter.role is layer.parameters()[name].role
        assert (parameter.values.ndim == 2) == (parameter.role is Role.MATRIX)
    graph = lowered(network(layer))
    tables = {name for node in graph.of_kind("lut") for name in node.inputs[1:]}
    constants = {node.name.partition(".")[2] for node in graph.of_kind("const")
                 if node.name not in tables}  # fmt: skip
    assert constants == set(values)


@every_layer
def test_constants_of_a_split_matrix_come_back_whole(kind):
    generator = np.random.default_rng(2)
    both = tuple(random_direction(generator, INPUTS, 6) for _ in range(2))
    model = network(both, example(kind, 12))
    trained = {name: values + 1 for name, values in float_constants(model, lowered(model)).items()}
    changed = parameters_of(with_constants(model, trained))
    for name, parameter in parameters_of(model).items():
        assert (changed[name].values == parameter.values + 1).all()


@every_layer
def test_tensors_whose_range_can_be_learned_are_rounded_in_the_graph(kind):
    layer = example(kind)
    name = "head" if isinstance(layer, DenseHead) else "l0"
    graph = lowered(network(layer))
    assert all(graph[f"{name}.{own}"].op.kind in ("requant", "mean") for own in layer.learned)


@every_layer
def test_it_describes_itself_in_plain_values(kind):
    row = example(kind).describe()
    assert json.loads(json.dumps(row)) == row
    assert (row["inputs"], row["outputs"]) == (INPUTS, example(kind).outputs)


@every_cell
def test_a_cell_survives_pytorchs_names(kind):
    layer = example(kind)
    assert isinstance(layer, Cell)
    tensors, codes = layer.to_torch()
    choices = {name: of[0] for name, of in layer.torch.codes.items()} | codes
    again = layer.from_torch(tensors, choices).parameters()
    assert set(tensors) <= set(layer.torch.shapes)
    for name, parameter in layer.parameters().items():
        assert (again[name].values == parameter.values).all()


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_function_of_an_rnn_survives_pytorchs_names(nonlinearity):
    layer = random_rnn(np.random.default_rng(0), INPUTS, 4, nonlinearity)
    tensors, codes = layer.to_torch()
    choices = {name: of[0] for name, of in layer.torch.codes.items()} | codes
    assert layer.from_torch(tensors, choices).nonlinearity == nonlinearity
