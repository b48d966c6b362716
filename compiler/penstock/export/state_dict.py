"""A compiled network's weights under PyTorch's names: the real numbers that the kernel uses.

The graph's constants carry the names that the compiler gave to the parameters of its layers
(``l0.W_ix``, ``fc.b``). From them the layers are made again, and each says how PyTorch stacks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.export.network import Exportable
from penstock.fixed import FloatArray
from penstock.ir import Graph, Node
from penstock.layers import CELLS, Cell
from penstock.layers.build import exponents_of, part_names
from penstock.layers.lstm import G_FUNCTION_CODE, PEEPHOLES
from penstock.layers.rnn import NONLINEARITY_CODE

IN_STACK = re.compile(r"l\d+(_reverse)?")
"""Layers that PyTorch numbers: ``weight_ih_l0``."""
ALONE = "the weights alone: number formats, rounding and tables of functions are the project's"


@dataclass(frozen=True)
class Tensors:
    """What is exported. tensors: by name; notes: what they do not say, a sentence each."""

    tensors: dict[str, NDArray[Any]]
    notes: list[str]


def to_state_dict(network: Exportable) -> Tensors:
    """Every trained array of the network, exactly as it was quantized.

    Layers that PyTorch has are named and stacked as it does (``weight_ih_l0``, ``fc.weight``), with
    all of its biases, where two are summed the second as zeros; what else is trained has the name
    of its node. float32, or float64 where that is needed to hold a value.
    """
    found = _Found(network.graph, _reals(network))
    tensors: dict[str, FloatArray] = {}
    for layer in found.layers():
        cell = next((cell for cell in CELLS if found.is_of(layer, cell)), None)
        if cell is not None:
            tensors |= _of_cell(found, layer, cell)
        elif found.has(layer, "W"):
            tensors |= _of_linear(found, layer)
    tensors |= found.left
    return Tensors({name: _narrow(value) for name, value in tensors.items()}, [ALONE, *found.notes])


def _narrow(values: FloatArray) -> NDArray[Any]:
    single = values.astype(np.float32)
    return np.array(single if (single == values).all() else values, order="C")


def _reals(network: Exportable) -> dict[str, FloatArray]:
    """Every weight matrix, bias and other vector: node -> real numbers, all scales taken back."""
    graph, exponents = network.graph, exponents_of(network.graph)
    of_inputs = np.array(network.manifest.interface.input_exponents, dtype=np.int64)
    (source,) = graph.of_kind("input")
    found = {}
    for node in graph.of_kind("const"):
        uses = [(user, at) for user in graph.users(node.name) for at in _places(user, node.name)]
        if not any(_is_weight(user, at) for user, at in uses):
            continue
        real = node.tensor.type.to_float(np.asarray(node.tensor.constant))
        if node.name in exponents:
            real = np.ldexp(real, -exponents[node.name][:, None])
        reads_input = any(
            user.op.kind == "matvec" and user.inputs[at - 1] == source.name for user, at in uses
        )
        found[node.name] = np.ldexp(real, -of_inputs) if reads_input and len(of_inputs) else real
    return found


def _places(user: Node, name: str) -> list[int]:
    return [at for at, source in enumerate(user.inputs) if source == name]


def _is_weight(user: Node, at: int) -> bool:
    """Whether an operand is trained: no table, and no scale of a row."""
    if at in range(len(user.inputs))[user.op.tables]:
        return False
    return not (user.op.kind == "scale" and at == 1)


@dataclass
class _Found:
    """The trained constants of a graph. left: those that no layer has taken yet."""

    graph: Graph
    left: dict[str, FloatArray]
    notes: list[str] = field(default_factory=list)

    def layers(self) -> list[str]:
        """The names of all layers that have some, in order."""
        return list(dict.fromkeys(name.rpartition(".")[0] for name in self.left))

    def has(self, layer: str, parameter: str) -> bool:
        """Whether the layer has a parameter, whole or in parts."""
        return bool(part_names(f"{layer}.{parameter}", self.left.__contains__))

    def take(self, layer: str, parameter: str, instead: FloatArray) -> FloatArray:
        """A parameter, its columns side by side again; ``instead`` if the graph has none."""
        parts = part_names(f"{layer}.{parameter}", self.left.__contains__)
        arrays = [self.left.pop(part) for part in parts]
        return np.concatenate(arrays, axis=-1) if arrays else instead

    def is_of(self, layer: str, cell: type[Cell]) -> bool:
        """Whether the layer has the matrices of all gates of a cell."""
        gates = cell.torch.gates
        return all(self.has(layer, f"W_{gate}{of}") for gate in gates for of in "xr")

    def shape(self, layer: str, parameter: str) -> tuple[int, int]:
        """Of a matrix, its parts side by side."""
        parts = part_names(f"{layer}.{parameter}", self.left.__contains__)
        return len(self.left[parts[0]]), sum(self.left[part].shape[1] for part in parts)


def _of_linear(found: _Found, layer: str) -> dict[str, FloatArray]:
    shape = found.shape(layer, "W")
    weight = found.take(layer, "W", np.zeros(shape))
    named = {"weight": weight, "bias": found.take(layer, "b", np.zeros(shape[0]))}
    return {f"{layer}.{name}": values for name, values in named.items()}


def _of_cell(found: _Found, layer: str, cell: type[Cell]) -> dict[str, FloatArray]:
    """Its parameters are put into an empty layer of the same shapes, which names them."""
    codes = _codes(found.graph, layer, cell)
    _note_missing(found, layer)
    tensors, more = _filled(found, layer, _empty(found, layer, cell, codes)).to_torch()
    if not IN_STACK.fullmatch(layer):
        return {f"{layer}.{kind}": values for kind, values in tensors.items()}
    for code, name in more.items():
        found.notes.append(f"{layer} computes with {name}, as {code} says; torch.nn saves no such")
    chosen = {code: float(cell.torch.codes[code].index(name)) for code, name in more.items()}
    named = {f"{kind}_{layer}": values for kind, values in tensors.items()}
    return named | {code: np.array(number) for code, number in chosen.items()}


def _empty(found: _Found, layer: str, cell: type[Cell], codes: Mapping[str, str]) -> Cell:
    """A cell of zeros."""
    gate = cell.torch.gates[0]
    cells, inputs = found.shape(layer, f"W_{gate}x")
    sizes = {"rows": len(cell.torch.gates) * cells, "cells": cells, "inputs": inputs,
             "outputs": found.shape(layer, f"W_{gate}r")[1]}  # fmt: skip
    has_peepholes = any(found.has(layer, f"w_{gate}c") for gate in PEEPHOLES)
    without = set() if has_peepholes else {*PEEPHOLES.values()}
    without |= set() if found.has(layer, "W_ym") else {"weight_hr"}
    shapes = {kind: counts for kind, counts in cell.torch.shapes.items() if kind not in without}
    zeros = {kind: np.zeros([sizes[count] for count in counts]) for kind, counts in shapes.items()}
    return cell.from_torch(zeros, codes)


def _filled(found: _Found, layer: str, empty: Cell) -> Cell:
    return empty.with_parameters(
        {name: found.take(layer, name, own.values) for name, own in empty.parameters().items()}
    )


def _codes(graph: Graph, layer: str, cell: type[Cell]) -> dict[str, str]:
    """What each code of the cell chooses, from the operations of its function."""
    of = {G_FUNCTION_CODE: f"{layer}.g", NONLINEARITY_CODE: f"{layer}.h"}
    return {code: _function(graph[of[code]]) for code in cell.torch.codes}


def _function(node: Node) -> str:
    return str(getattr(node.op, "function", node.op.kind))


def _note_missing(found: _Found, layer: str) -> None:
    """What a layer computes that PyTorch's does not."""
    graph = found.graph
    inner = f"{layer}.acc_nr"
    if inner in graph and graph.vectors(graph[inner])[0].op.kind != "state_read":
        found.notes.append(f"{layer} resets before its product, which torch.nn.GRU does not")
    if any(node.name.startswith(f"{layer}.clipped_") for node in graph.of_kind("clamp")):
        found.notes.append(f"{layer} clips what its gates are given, which torch.nn does not")
