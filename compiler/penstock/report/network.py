"""The network as it was compiled: layers, sweeps, tensors, and what was proven of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.fixed import Fixed
from penstock.ir import Direction
from penstock.layers.layer import Layer, matrices_of
from penstock.machine import Machine
from penstock.model import Place, RecurrentModel
from penstock.packing.validate import Proof


def network_section(
    machine: Machine, model: RecurrentModel | None, input_exponents: Sequence[int] = ()
) -> dict[str, Any]:
    """Layers and their shapes, sweeps over the sequence, the dense head.

    Without a model, the graph's operations are not known to be layers.
    """
    graph = machine.graph
    (source,) = graph.of_kind("input")
    (output,) = graph.of_kind("output")
    return {
        "name": graph.name,
        "inputs": source.tensor.length,
        "outputs": output.tensor.length,
        "input_exponents": list(input_exponents),
        "layers": [layer_row(model, place) for place in model.places] if model else [],
        "results": list(model.outputs) if model else [],
        "sweeps": [_sweep(machine, index) for index in range(len(graph.sweeps))],
    }


def _sweep(machine: Machine, index: int) -> dict[str, Any]:
    phases = [phase.name for phase in machine.phases if phase.sweep == index]
    return {"index": index, "direction": str(machine.graph.sweeps[index]), "phases": phases}


def layer_row(model: RecurrentModel, place: Place) -> dict[str, Any]:
    """What the layer says of itself, what it reads, and the size of its matrices."""
    direction = Direction.BACKWARD if place.is_backward else Direction.FORWARD
    if model.is_once(place.name):
        direction = Direction.ONCE
    return {
        "name": place.name, "kind": place.layer.kind, "direction": str(direction),
        "sources": list(place.sources), **place.layer.describe(),
        "weights": _dense_size(place.layer),
    }  # fmt: skip


def _dense_size(layer: Layer) -> int:
    return sum(values.size for values in matrices_of(layer).values())


def tensors_section(machine: Machine) -> list[dict[str, Any]]:
    """Every value of the graph: its type, where it comes from, and the interval that it provably
    never leaves."""
    phase_of = {name: phase.name for phase in machine.phases for name in phase.nodes.nodes}
    return [
        {
            "name": node.name, "operation": node.op.kind, "sweep": node.sweep,
            "phase": phase_of.get(node.name), "inputs": list(node.inputs),
            "state": node.op.reads or node.op.writes,
            "shape": list(node.tensor.shape),
            "type": str(dtype), "rounding": dtype.rounding.name, "overflow": dtype.overflow.name,
            "lo": node.tensor.lo, "hi": node.tensor.hi,
            "value_lo": node.tensor.lo * dtype.step, "value_hi": node.tensor.hi * dtype.step,
        }
        for node in machine.graph.nodes()
        for dtype in [node.tensor.type]
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
        "hazard_distance": proof.hazard_distance,
        "min_distance": proof.min_distance,
    }  # fmt: skip
