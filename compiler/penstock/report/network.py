"""The network as it was compiled: layers, sweeps, tensors, and what was proven of them."""

from __future__ import annotations

from typing import Any

from penstock.fixed import Fixed
from penstock.ir import Graph, Node
from penstock.machine import Machine
from penstock.packing.validate import Proof


def network_section(machine: Machine) -> dict[str, Any]:
    """Layers and their shapes, sweeps over the sequence, the dense head."""
    graph = machine.graph
    (source,) = graph.of_kind("input")
    (output,) = graph.of_kind("output")
    layers: dict[str, list[Node]] = {}
    for node in graph.of_kind("matvec"):
        layers.setdefault(_layer(node.name), []).append(node)
    is_recurrent = {_layer(node.name) for node in graph.of_kind("state_read")}
    heads = [name for name in layers if name not in is_recurrent]
    return {
        "name": graph.name,
        "inputs": source.tensor.length,
        "outputs": output.tensor.length,
        "layers": [
            _recurrent(graph, name, matvecs)
            for name, matvecs in layers.items()
            if name in is_recurrent
        ],
        "head": _head(graph, heads[0], layers[heads[0]][0]) if heads else None,
        "sweeps": [_sweep(machine, index) for index in range(len(graph.sweeps))],
    }


def _sweep(machine: Machine, index: int) -> dict[str, Any]:
    phases = [phase.name for phase in machine.phases if phase.sweep == index]
    return {"index": index, "direction": str(machine.graph.sweeps[index]), "phases": phases}


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _recurrent(graph: Graph, name: str, matvecs: list[Node]) -> dict[str, Any]:
    gates = matvecs[0]
    own = {node.name: node for node in graph.of_kind("state_read") if _layer(node.name) == name}
    pairs = zip(gates.inputs[::2], gates.inputs[1::2], strict=True)
    recurrent = [own[source].tensor.length for source in gates.inputs[::2] if source in own]
    return {
        "name": name,
        "direction": str(graph.sweeps[gates.sweep]),
        "inputs": sum(graph[w].tensor.shape[1] for source, w in pairs if source not in own),
        "cells": gates.tensor.length,
        "outputs": sum(recurrent),
        "projection": f"{name}.W_ym" in graph,
        "peepholes": any(f"{name}.w_{gate}c" in graph for gate in "ifo"),
        "gates": sum(node.inputs[::2] == gates.inputs[::2] for node in matvecs),
        "weights": sum(_matrix_size(graph, node) for node in matvecs),
    }


def _head(graph: Graph, name: str, matvec: Node) -> dict[str, Any]:
    mine = [node for node in graph.nodes() if _layer(node.name) == name]
    (source, *_) = graph.inputs(matvec)
    functions = [vars(node.op)["function"] for node in mine if node.op.kind == "lut"]
    is_argmax = any(node.op.kind == "argmax" for node in mine)
    return {
        "name": name,
        "inputs": sum(graph[w].tensor.shape[1] for w in matvec.inputs[1::2]),
        "outputs": matvec.tensor.length,
        "at": source.op.when if source.op.captures is not None else "step",
        "activation": "argmax" if is_argmax else (functions or ["none"])[0],
        "weights": _matrix_size(graph, matvec),
    }


def _matrix_size(graph: Graph, matvec: Node) -> int:
    shapes = [graph[weights].tensor.shape for weights in matvec.inputs[1::2]]
    return sum(rows * columns for rows, columns in shapes)


def tensors_section(machine: Machine) -> list[dict[str, Any]]:
    """Every value of the graph: its type, and the interval that it provably never leaves."""
    return [
        {
            "name": node.name, "operation": node.op.kind, "sweep": node.sweep,
            "shape": list(node.tensor.shape),
            "type": str(node.tensor.type), "cpp": node.tensor.type.cpp,
            "lo": node.tensor.lo, "hi": node.tensor.hi,
            "value_lo": node.tensor.lo * node.tensor.type.step,
            "value_hi": node.tensor.hi * node.tensor.type.step,
        }
        for node in machine.graph.nodes()
    ]  # fmt: skip


def proof_section(machine: Machine, proof: Proof) -> dict[str, Any]:
    """No accumulator overflows; the packed bytes hold the weights and keep clear of hazards."""
    matvecs = machine.graph.of_kind("matvec")
    return {
        "accumulators": [
            {
                "name": node.name,
                "matrices": list(node.inputs[1::2]),
                "lo": node.tensor.lo, "hi": node.tensor.hi,
                "value_lo": node.tensor.lo * node.tensor.type.step,
                "value_hi": node.tensor.hi * node.tensor.type.step,
                "proven_width": Fixed.exact(node.tensor.lo, node.tensor.hi, 0).width,
                "chosen_width": node.tensor.type.width,
            }
            for node in matvecs
        ],
        "kernel_width": max(node.tensor.type.width for node in matvecs),
        "weights": proof.weights,
        "words": proof.words,
        "raw_distance": proof.raw_distance,
        "least_distance": proof.least_distance,
    }  # fmt: skip
