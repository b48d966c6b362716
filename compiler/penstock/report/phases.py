"""The PE array's work phase by phase, and what the weights cost: words, bits, bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from penstock.fixed import FloatArray
from penstock.formats.protocol import BUBBLES
from penstock.ir import Node
from penstock.packing.manifest import Manifest
from penstock.report.kernel import Kernel, ratio, tables_of
from penstock.schedule import Phase

FLOAT_BYTES = 4
COUNTED = (
    "fp32 dense: 4 bytes for every weight, pruned or not, every bias and every peephole. "
    "Compiled: the weight files as they are, so entries, padding, bubbles and the unused ends of "
    "beats; biases, peepholes and the exponents of rows in hardware order at the width of their "
    "types; each table of sigma or tanh once. Biases that are all zero are left out on both sides."
)


def phases_section(keep: Kernel, manifest: Manifest) -> list[dict[str, Any]]:
    """One row for each SpMV phase, in the order in which they run."""
    offsets = manifest.beat_offsets()
    beat_bytes = manifest.groups * manifest.port_bits // 8
    return [
        _phase(keep, phase, (offsets[index + 1] - offsets[index]) * beat_bytes)
        for index, phase in enumerate(keep.plan.phases)
    ]


def _phase(keep: Kernel, phase: Phase, file_bytes: int) -> dict[str, Any]:
    code, pes = phase.code, keep.plan.hardware.pes
    waste = code.format.waste(code, phase.entries)
    entries = code.words - waste[BUBBLES]
    nonzeros = code.words - np.sum([*waste.values()], axis=0)
    bound = -(-phase.nonzeros // pes)
    return {
        "name": code.name, "sweep": code.sweep,
        "direction": str(keep.graph.sweeps[code.sweep]),
        "matvecs": list(code.matvecs), "operands": list(phase.part.operands),
        "rows": phase.part.rows,
        "words": code.words, "bound": bound, "utilization": ratio(bound, code.words),
        "nonzeros": phase.nonzeros, **phase.waste,
        "weight_bits": code.weight_bits, "index_bits": code.index_bits,
        "entry_bits": code.entry_bits,
        "rows_per_pe": code.rows_per_pe, "siblings": code.siblings, "slots": code.slots,
        "ways": code.ways, "bytes": file_bytes,
        "pe_nonzeros": nonzeros.tolist(), "pe_entries": entries.tolist(),
    }  # fmt: skip


def totals_section(
    keep: Kernel, manifest: Manifest, float_weights: Mapping[str, FloatArray]
) -> dict[str, Any]:
    """Non-zeros, density, bits for each non-zero, compression."""
    phases = keep.plan.phases
    nonzeros = sum(phase.nonzeros for phase in phases)
    weights = sum(matrix.size for matrix in float_weights.values())
    file_bytes = manifest.beat_offsets()[-1] * manifest.groups * manifest.port_bits // 8
    bits = _bits(phases, 8 * file_bytes)
    words = sum(phase.code.words for phase in phases)
    bound = sum(-(-phase.nonzeros // keep.plan.hardware.pes) for phase in phases)
    return {
        "weights": weights,
        "nonzeros": nonzeros,
        "density": ratio(nonzeros, weights),
        "words": words,
        "bound": bound,
        "utilization": ratio(bound, words),
        **{cause: sum(phase.waste[cause] for phase in phases) for cause in phases[0].waste},
        "bits": bits,
        "bits_per_nonzero": ratio(sum(bits.values()), nonzeros),
        "compression": _compression(keep, weights, file_bytes),
    }


def _bits(phases: tuple[Phase, ...], file_bits: int) -> dict[str, int]:
    """What the bits of the weight files are spent on."""
    bits = {
        "weights": sum(phase.nonzeros * phase.code.weight_bits for phase in phases),
        "indices": sum(phase.nonzeros * phase.code.index_bits for phase in phases),
        **{
            cause: sum(phase.waste[cause] * phase.code.entry_bits for phase in phases)
            for cause in phases[0].waste
        },
    }
    return {**bits, "beat_fill": file_bits - sum(bits.values())}


def _compression(keep: Kernel, weights: int, file_bytes: int) -> dict[str, Any]:
    parameters = keep.parameters()
    dense = {
        "weights": weights,
        "biases": _elements(node for node in parameters if _is_used_by(keep, node, "add")),
        "peepholes": _elements(node for node in parameters if _is_used_by(keep, node, "mul")),
    }
    compiled = {
        "weight_files": file_bytes,
        "parameters": sum(
            -(-keep.positions(node.name) * node.tensor.type.width // 8) for node in parameters
        ),
        "tables": sum(
            -(-node.tensor.length * node.tensor.type.width // 8) for node in tables_of(keep.graph)
        ),
    }
    dense_bytes = FLOAT_BYTES * sum(dense.values())
    return {
        "dense_values": dense,
        "dense_bytes": dense_bytes,
        "compiled": compiled,
        "compiled_bytes": sum(compiled.values()),
        "ratio": ratio(dense_bytes, sum(compiled.values())),
        "counted": COUNTED,
    }


def _is_used_by(keep: Kernel, node: Node, kind: str) -> bool:
    return any(user.op.kind == kind for user in keep.graph.users(node.name))


def _elements(nodes: Iterable[Node]) -> int:
    return sum(node.tensor.length for node in nodes)
