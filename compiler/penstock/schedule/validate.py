"""The validator: from the packed bytes back to the weights, trusting nothing that made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.ir import Graph
from penstock.packing.index_code import decode_entries, use_distance
from penstock.packing.manifest import Manifest, decode_matrices, unpack_phase
from penstock.schedule.plan import constant_of


@dataclass(frozen=True)
class Proof:
    """What was proven of the packed weights. least_distance: words between uses of one address."""

    weights: int
    words: int
    raw_distance: int
    least_distance: int | None


def validate(graph: Graph, manifest: Manifest, files: list[bytes], raw_distance: int) -> Proof:
    """Prove that ``files`` hold exactly the weights of ``graph``, each once, free of hazards.

    Raises AssertionError naming the phase if not: that is a fault of the compiler.
    """
    weights = words = 0
    least: int | None = None
    covered: set[str] = set()
    for index, phase in enumerate(manifest.phases):
        entries = unpack_phase(manifest, files, index)
        for (matvec, operand), matrix in decode_matrices(manifest, phase, entries).items():
            name = graph[matvec].inputs[2 * operand + 1]
            if not np.array_equal(matrix, constant_of(graph, name)):
                raise AssertionError(f"phase {phase.name}: the words do not hold {name}")
            covered.add(name)
        nonzeros, word = decode_entries(entries)
        slot = nonzeros.position % phase.slots
        distances = use_distance(nonzeros.pe, word, slot, phase.slots, phase.ways)
        if distances.size and int(distances.min()) < raw_distance:
            raise AssertionError(f"phase {phase.name}: a slot is used twice within the distance")
        if distances.size:
            least = min(int(distances.min()), least if least is not None else 1 << 62)
        weights += len(nonzeros.pe)
        words += phase.words
    matrices = {
        node.name for node in graph.of_kind("const") if len(node.tensor.shape) == 2
    }  # fmt: skip
    if covered != matrices:
        raise AssertionError(f"not packed: {sorted(matrices - covered)}")
    return Proof(weights, words, raw_distance, least)
