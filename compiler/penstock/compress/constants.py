"""The float values behind a graph's constants, and a model with other ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from penstock.fixed import FloatArray
from penstock.ir import Graph
from penstock.layers.build import parts_of
from penstock.model import DenseHead, LstmDirection, LstmLayer, RecurrentModel


def float_constants(model: RecurrentModel, graph: Graph) -> dict[str, FloatArray]:
    """Weights, biases and peepholes: node name -> values. Tables and row exponents left out."""
    found: dict[str, FloatArray] = {}
    for name, values in _named(model).items():
        start = 0
        for node in parts_of(graph, name):
            stop = start + node.tensor.shape[-1]
            found[node.name] = values[..., start:stop]
            start = stop
    return found


def _named(model: RecurrentModel) -> dict[str, FloatArray]:
    """Weights, biases and peepholes of a model by the compiler's names."""
    found = dict(model.weights())
    for index, layer in enumerate(model.layers):
        for suffix, part in layer.directions:
            prefix = f"l{index}{suffix}"
            found.update({f"{prefix}.b_{gate}": bias for gate, bias in part.bias.items()})
            found.update({f"{prefix}.w_{gate}c": w for gate, w in part.peephole.items()})
    if model.head is not None and model.head.bias is not None:
        found["head.b"] = model.head.bias
    return found


def with_constants(model: RecurrentModel, trained: dict[str, FloatArray]) -> RecurrentModel:
    """The same model with other values; ``trained`` by node name, split matrices in parts."""

    def value(name: str, old: FloatArray) -> FloatArray:
        if name in trained:
            return trained[name]
        parts: list[FloatArray] = []
        while f"{name}{len(parts)}" in trained:
            parts.append(trained[f"{name}{len(parts)}"])
        return np.concatenate(parts, axis=1) if parts else old

    def direction(prefix: str, part: LstmDirection) -> LstmDirection:
        return LstmDirection(
            {gate: value(f"{prefix}.W_{gate}x", w) for gate, w in part.w_x.items()},
            {gate: value(f"{prefix}.W_{gate}r", w) for gate, w in part.w_r.items()},
            {gate: value(f"{prefix}.b_{gate}", b) for gate, b in part.bias.items()},
            {gate: value(f"{prefix}.w_{gate}c", w) for gate, w in part.peephole.items()},
            None if part.projection is None else value(f"{prefix}.W_ym", part.projection),
            part.g_function,
        )

    layers = []
    for index, layer in enumerate(model.layers):
        parts = [direction(f"l{index}{suffix}", part) for suffix, part in layer.directions]
        layers.append(LstmLayer(*parts))
    head = model.head
    if head is not None:
        bias = None if head.bias is None else value("head.b", head.bias)
        head = DenseHead(value("head.W", head.weight), bias, head.at, head.activation)
    return replace(model, layers=layers, head=head)
