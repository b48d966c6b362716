"""The PE array's work phase by phase, and what the weights cost: words, bits, bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from penstock.fixed import FloatArray
from penstock.formats.protocol import WAITS
from penstock.ir import Node
from penstock.machine import Machine
from penstock.report.text import ratio
from penstock.schedule import Product

FLOAT_BYTES = 4
COUNTED = (
    "fp32 dense: 4 bytes for every weight, pruned or not, every bias and every peephole. "
    "Compiled: the weight files as they are, so entries with and without a weight, and the unused "
    "ends of beats; biases, peepholes and the exponents of rows in hardware order at the width of "
    "their types; each table of sigma or tanh once. Biases that are all zero are left out on both "
    "sides."
)


def phases_section(machine: Machine) -> list[dict[str, Any]]:
    """One row for each phase that uses the PE array, in the order in which they run."""
    beat_bytes = machine.groups.groups * machine.hardware.beat_bits // 8
    return [
        _phase(machine, product, machine.beats_of(phase.name) * beat_bytes)
        for phase in machine.phases
        for product in [phase.product]
        if product is not None
    ]


def _phase(machine: Machine, product: Product, file_bytes: int) -> dict[str, Any]:
    code = product.code
    waste = code.format.waste(code, product.entries)
    entries = code.words - np.sum([waste[cause] for cause in WAITS if cause in waste], axis=0)
    nonzeros = code.words - np.sum([*waste.values()], axis=0)
    return {
        "name": code.name, "sweep": code.sweep,
        "direction": str(machine.graph.sweeps[code.sweep]),
        "matvecs": list(code.matvecs), "operands": list(product.nodes.operands),
        "rows": product.nodes.rows,
        "words": code.words, "bound": product.bound,
        "utilization": ratio(product.bound, code.words),
        "nonzeros": product.nonzeros, **product.waste,
        "weight_bits": code.weight_bits, "index_bits": code.index_bits,
        "entry_bits": code.entry_bits,
        "rows_per_pe": code.rows_per_pe, "siblings": code.siblings, "slots": code.slots,
        "ways": code.ways, "bytes": file_bytes,
        "pe_nonzeros": nonzeros.tolist(), "pe_entries": entries.tolist(),
    }  # fmt: skip


def totals_section(machine: Machine, float_weights: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Non-zeros, density, bits for each non-zero, compression."""
    products = machine.plan.products
    nonzeros = sum(product.nonzeros for product in products)
    weights = sum(matrix.size for matrix in float_weights.values())
    file_bytes = machine.weight_beats * machine.groups.groups * machine.hardware.beat_bits // 8
    bits = _bits(products, 8 * file_bytes)
    words = sum(product.code.words for product in products)
    bound = sum(product.bound for product in products)
    return {
        "weights": weights,
        "nonzeros": nonzeros,
        "density": ratio(nonzeros, weights),
        "words": words,
        "bound": bound,
        "utilization": ratio(bound, words),
        **{cause: sum(p.waste[cause] for p in products) for cause in products[0].waste},
        "bits": bits,
        "bits_per_nonzero": ratio(sum(bits.values()), nonzeros),
        "compression": _compression(machine, weights, file_bytes),
    }


def _bits(products: tuple[Product, ...], file_bits: int) -> dict[str, int]:
    """What the bits of the weight files are spent on."""
    bits = {
        "weights": sum(product.nonzeros * product.code.weight_bits for product in products),
        "indices": sum(product.nonzeros * product.code.index_bits for product in products),
        **{
            cause: sum(p.waste[cause] * p.code.entry_bits for p in products)
            for cause in products[0].waste
        },
    }
    return {**bits, "beat_fill": file_bits - sum(bits.values())}


def _compression(machine: Machine, weights: int, file_bytes: int) -> dict[str, Any]:
    parameters = _constants(machine)
    dense = {
        "weights": weights,
        "biases": _elements(node for node in parameters if _is_used_by(machine, node, "add")),
        "peepholes": _elements(node for node in parameters if _is_used_by(machine, node, "mul")),
    }
    compiled = {
        "weight_files": file_bytes,
        "parameters": sum(
            -(-machine.plan.positions(node.name) * node.tensor.type.width // 8)
            for node in parameters
        ),
        "tables": sum(
            -(-node.tensor.length * node.tensor.type.width // 8) for node in machine.tables
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


def _constants(machine: Machine) -> list[Node]:
    return [machine.graph[array.name] for array in machine.kept.parameters]


def _is_used_by(machine: Machine, node: Node, kind: str) -> bool:
    return any(user.op.kind == kind for user in machine.graph.users(node.name))


def _elements(nodes: Iterable[Node]) -> int:
    return sum(node.tensor.length for node in nodes)
