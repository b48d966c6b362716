"""The float values behind a graph's constants, and a model with other ones."""

from __future__ import annotations

import numpy as np

from penstock.fixed import FloatArray
from penstock.ir import Graph
from penstock.layers.build import part_names, parts_of
from penstock.layers.layer import Layer, Parameter, Role
from penstock.model import RecurrentModel


def parameters_of(model: RecurrentModel) -> dict[str, Parameter]:
    """All parameters by the compiler's names: the matrices of all layers, then the others."""
    found = {
        f"{layer}.{name}": parameter
        for layer, part in model.named_layers()
        for name, parameter in part.parameters().items()
    }
    return dict(sorted(found.items(), key=lambda item: item[1].role is not Role.MATRIX))


def float_constants(model: RecurrentModel, graph: Graph) -> dict[str, FloatArray]:
    """Parameters: node name -> values. Tables and row exponents left out."""
    found: dict[str, FloatArray] = {}
    for name, parameter in parameters_of(model).items():
        start = 0
        for node in parts_of(graph, name):
            stop = start + node.tensor.shape[-1]
            found[node.name] = parameter.values[..., start:stop]
            start = stop
    return found


def with_constants(model: RecurrentModel, trained: dict[str, FloatArray]) -> RecurrentModel:
    """The same model with other values; ``trained`` by node name, split matrices in parts."""

    def changed(name: str, layer: Layer) -> Layer:
        return layer.with_parameters({
            own: _joined(f"{name}.{own}", parameter.values, trained)
            for own, parameter in layer.parameters().items()
        })  # fmt: skip

    return model.with_layers({name: changed(name, layer) for name, layer in model.named_layers()})


def _joined(name: str, old: FloatArray, trained: dict[str, FloatArray]) -> FloatArray:
    """The trained values of a parameter, its parts side by side again; ``old`` if it has none."""
    parts = [trained[part] for part in part_names(name, trained.__contains__)]
    return np.concatenate(parts, axis=-1) if parts else old
