"""Refuse at compile time what can't be built or simulated.

The limits stand in ``settings`` and in the docstring of ``settings.Hardware``.
"""

from __future__ import annotations

from penstock.bounds import MAX_LENGTH, MAX_MATRIX, MAX_MEMORY_BYTES, MAX_WEIGHTS
from penstock.errors import PenstockError
from penstock.ir import Graph
from penstock.machine.machine import Machine
from penstock.machine.storage import signed_bits
from penstock.schedule.partition import result_vectors

MAX_RESULT_BYTES = 100 << 20
"""One frame of results, all lanes: what the stack of a simulated process holds."""
SIMULATED = {
    "activations": "the copies of the activations",
    "accumulators": "the accumulators",
    "sums": "the sums of the PEs",
    "weights": "the weights on chip",
    "frames": "the frames of {:,} steps",
}
"""The kinds of memories that can grow beyond any host's, and what errors call them."""


PORT_ELEMENT_BITS = 32
"""Of one element at a port or in parameters.bin, as a signed integer."""


def check_types(graph: Graph) -> None:
    """Refuse a value that is wider than the ports that it passes. Raises PenstockError."""
    nodes = [*graph.of_kind("input"), *graph.of_kind("state_read"), *result_vectors(graph)]
    nodes += [node for node in graph.of_kind("const") if len(node.tensor.shape) == 1]
    for node in nodes:
        bits = signed_bits(node.tensor.type)
        if bits > PORT_ELEMENT_BITS:
            raise PenstockError(
                f"{node.name} is of type {node.tensor.type}, and a port carries "
                f"{PORT_ELEMENT_BITS} bits with their sign",
                graph.name,
                "choose a narrower type",
            )


def check_shapes(graph: Graph) -> None:
    """Refuse a network with a tensor that no project can hold. Raises PenstockError."""
    total = 0
    for node in graph.nodes():
        size = 1
        for length in node.tensor.shape:
            size *= length
        total += size
        if max(node.tensor.shape) > MAX_LENGTH or size > MAX_MATRIX or total > MAX_WEIGHTS:
            shape = " x ".join(f"{length:,}" for length in node.tensor.shape)
            raise PenstockError(
                f"the network is too large, at {node.name} of {shape} elements",
                graph.name,
                f"at most {MAX_LENGTH:,} in a vector, {MAX_MATRIX:,} in a matrix, "
                f"{MAX_WEIGHTS:,} in all",
            )


def check_memories(machine: Machine) -> None:
    """Refuse memories that no FPGA has and C simulation can't hold. Raises PenstockError."""
    sizes: dict[str, int] = {}
    for memory in machine.memories:
        if memory.kind in SIMULATED:
            size = memory.count * memory.depth * _host_bytes(memory.width)
            sizes[memory.kind] = sizes.get(memory.kind, 0) + size
    if sum(sizes.values()) > MAX_MEMORY_BYTES:
        largest = max(sizes, key=lambda kind: sizes[kind])
        name = SIMULATED[largest].format(machine.max_steps or 1)
        _refuse(machine.graph, name, sum(sizes.values()), MAX_MEMORY_BYTES)
    frame = machine.result_positions * machine.beats.io_bits // 8 * machine.hardware.lanes_at_once
    if frame > MAX_RESULT_BYTES:
        _refuse(machine.graph, "a frame of results", frame, MAX_RESULT_BYTES)


def _refuse(graph: Graph, name: str, size: int, limit: int) -> None:
    raise PenstockError(
        f"the kernel's memories are too large, {name} most of all: {size / 2**20:,.0f} of "
        f"{limit / 2**20:,.0f} MiB",
        graph.name,
        "use fewer PEs or lanes, or a smaller max_steps",
    )


def _host_bytes(bits: int) -> int:
    """Bytes of an ap_int of so many bits in C simulation."""
    return max(1, 1 << (max(bits - 1, 0) // 8).bit_length())
