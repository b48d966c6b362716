"""The validator: from the packed bytes back to the weights, trusting nothing that made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.ir import Graph
from penstock.packing.index_code import decode_entries, use_distance
from penstock.packing.layout import PhaseCode
from penstock.packing.manifest import Manifest, decode_matrices, unpack_phase

BANKS = (4, 8, 16)


@dataclass(frozen=True)
class Proof:
    """What was proven of the packed weights. least_distance: words between uses of one address."""

    weights: int
    words: int
    raw_distance: int
    least_distance: int | None


def validate(graph: Graph, manifest: Manifest, files: list[bytes], raw_distance: int) -> Proof:
    """Prove that ``files`` hold exactly the weights of ``graph``, each once, free of hazards.

    Raises AssertionError or ValueError naming the phase if not: a fault of the compiler, or of who
    changed the files.
    """
    _validate_layouts(manifest)
    weights = words = 0
    closest: list[int] = []
    covered: list[str] = []
    for index, phase in enumerate(manifest.phases):
        _validate_phase(graph, manifest, phase)
        entries = unpack_phase(manifest, files, index)
        for (matvec, operand), matrix in decode_matrices(manifest, phase, entries).items():
            name = graph[matvec].inputs[2 * operand + 1]
            wanted = graph[name].tensor.constant
            is_equal = wanted is not None and np.array_equal(matrix, wanted)
            _demand(is_equal, phase.name, f"the words do not hold {name}")
            covered.append(name)
        nonzeros, word = decode_entries(entries)
        slot = nonzeros.position % phase.slots
        distances = use_distance(nonzeros.pe, word, slot, phase.slots, phase.ways)
        if distances.size:
            closest.append(int(distances.min()))
            _demand(closest[-1] >= raw_distance, phase.name, "a slot is used twice too soon")
        weights += len(nonzeros.pe)
        words += phase.words
    matrices = [node.name for node in graph.of_kind("const") if len(node.tensor.shape) == 2]
    if sorted(covered) != sorted(matrices):
        raise AssertionError("a matrix is not packed, or packed twice")
    return Proof(weights, words, raw_distance, min(closest, default=None))


def _demand(holds: bool, phase: str, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"phase {phase}: {otherwise}")


def _validate_layouts(manifest: Manifest) -> None:
    """Every element of every vector has one position, and no position two."""
    for name, layout in manifest.layouts.items():
        elements = sorted(element for element in layout.order if element != -1)
        if elements != list(range(len(elements))):
            raise AssertionError(f"layout {name} is no permutation")


def _validate_phase(graph: Graph, manifest: Manifest, phase: PhaseCode) -> None:
    """The phase's code describes the products that the graph has, as the kernel computes them."""
    rows = manifest.layouts[phase.rows]
    _demand(phase.banks in BANKS and phase.siblings <= phase.banks, phase.name, "impossible banks")
    _demand(phase.banks == manifest.phases[0].banks, phase.name, "banks differ between phases")
    _demand(rows.positions == phase.rows_per_pe * manifest.pes, phase.name, "rows are misplaced")
    for matvec in phase.matvecs:
        node = graph[matvec]
        operands = [
            (manifest.layout_of[x], manifest.layouts[manifest.layout_of[x]].positions)
            for x in node.inputs[::2]
        ]
        _demand(node.sweep == phase.sweep, phase.name, f"{matvec} is of another sweep")
        _demand(tuple(operands) == phase.operands, phase.name, f"{matvec} reads other vectors")
        _demand(node.tensor.length == rows.length, phase.name, f"{matvec} has other rows")
        _demand(manifest.layout_of[matvec] == phase.rows, phase.name, f"{matvec} lies elsewhere")
        for x in node.inputs[::2]:
            layout = manifest.layouts[manifest.layout_of[x]]
            _demand(layout.length == graph[x].tensor.length, phase.name, f"{x} has other columns")
