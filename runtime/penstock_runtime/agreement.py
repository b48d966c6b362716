"""What a manifest says, held against the graph that it speaks of."""

from __future__ import annotations

import numpy as np

from penstock.formats import Layout, PhaseCode
from penstock.ir import Graph, Node
from penstock.ops.capture import LONGEST
from penstock.packing.manifest import Manifest

REDUCING = ("argmax", "output")
"""Operations whose result is not laid out as their operands are."""


def check_manifest(manifest: Manifest, graph: Graph) -> None:
    """Raise ValueError unless the manifest says what a runtime needs to know of ``graph``.

    Only then are matrices decoded: their shapes are the graph's.
    """
    interface = manifest.interface
    states = graph.states()
    parameters = [node.name for node in _parameters(graph)]
    needed = {*parameters, *(state.read.name for state in states.values())}
    needed |= {node.name for kind in ("input", "matvec") for node in graph.of_kind(kind)}
    claims = {
        "states": list(interface.states.items())
        == [(name, manifest.layout_of.get(state.read.name)) for name, state in states.items()],
        "parameters": list(manifest.parameters) == parameters,
        "results": sorted(manifest.kernel.results)
        == sorted({node.name for node in results_of(graph)}),
        "input_exponents": len(interface.input_exponents)
        in (0, graph.of_kind("input")[0].tensor.length),
        "max_steps": _is_right_limit(graph, interface.max_steps),
        "io_bits": interface.io_bits == (16 if _widest_element(graph) <= 16 else 32),
        "layouts": all(_is_permutation(layout) for layout in manifest.layouts.values()),
        "layout_of": needed <= manifest.layout_of.keys()
        and all(
            manifest.layouts[layout].length == graph[node].tensor.length
            for node, layout in manifest.layout_of.items()
            if graph[node].op.kind not in REDUCING
        ),
    }
    for name, holds in claims.items():
        if not holds:
            raise ValueError(f"{name} does not match the graph")
    for phase in manifest.phases:
        if not _fits(graph, manifest, phase):
            raise ValueError(f"phase {phase.name} does not match the graph")


def _is_right_limit(graph: Graph, max_steps: int | None) -> bool:
    """Buffers of frames may be of any size; sums over time are exact for ``LONGEST`` steps."""
    if frames(graph):
        return max_steps is not None
    is_summed = any(node.op.when == "sum" for node in graph.of_kind("capture"))
    return max_steps == (LONGEST if is_summed else None)


def _fits(graph: Graph, manifest: Manifest, phase: PhaseCode) -> bool:
    """True if every product of a phase is the graph's, and of the shapes of its layouts."""
    lengths = [manifest.layouts[name].length for name, _ in phase.operands]
    rows = manifest.layouts[phase.rows].length
    for matvec, own in zip(phase.matvecs, phase.gathers, strict=True):
        if matvec not in graph or graph[matvec].op.kind != "matvec":
            return False
        shapes = [graph[weights].tensor.shape for weights in graph[matvec].inputs[1::2]]
        if shapes != [(rows, lengths[operand]) for operand in own]:
            return False
    return True


def results_of(graph: Graph) -> list[Node]:
    """The vectors that make up the output (of an argmax: its operand), in order."""
    results = graph.inputs(graph.of_kind("output")[0])
    return graph.inputs(results[0]) if results[0].op.kind == "argmax" else results


def activation_bits(graph: Graph) -> int:
    """Bits of the signed integers that the activation memory and the buffers hold."""
    nodes = [*graph.of_kind("input"), *frames(graph)]
    nodes += [source for node in graph.of_kind("matvec") for source in graph.vectors(node)]
    return max(signed_bits(node) for node in nodes)


def frames(graph: Graph) -> list[Node]:
    """Values that a later sweep reads: the kernel buffers them for all steps."""
    return [
        node
        for node in graph.nodes()
        if node.op.kind not in ("const", "capture")
        and any(user.sweep != node.sweep for user in graph.users(node.name))
    ]


def signed_bits(node: Node) -> int:
    """Bits of a signed integer that holds every raw value of a node's type."""
    dtype = node.tensor.type
    return dtype.width + int(not dtype.signed)


def _widest_element(graph: Graph) -> int:
    """Bits of the widest raw integer, with sign, that passes a port."""
    outputs = [*graph.of_kind("output"), *graph.of_kind("argmax")]
    nodes = [*graph.of_kind("input"), *graph.of_kind("state_read"), *graph.of_kind("output")]
    nodes += [source for node in outputs for source in graph.inputs(node)]
    return max(signed_bits(node) for node in nodes)


def _parameters(graph: Graph) -> list[Node]:
    """Constants that are vectors of the step: biases and peepholes, no matrices, no tables."""
    used = {source.name for node in graph.nodes() for source in graph.vectors(node)}
    return [node for node in graph.of_kind("const") if node.name in used]


def _is_permutation(layout: Layout) -> bool:
    elements = np.sort([element for element in layout.order if element >= 0])
    return bool(np.array_equal(elements, np.arange(len(elements))))
