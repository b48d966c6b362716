"""What can't be built or simulated is refused when it is compiled, by name.

The limits stand in ``settings`` and in the docstring of ``settings.Hardware``.
"""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.ir import Graph, Node
from penstock.packing.manifest import Manifest
from penstock.settings import MAX_LENGTH, MAX_MATRIX, MAX_MEMORY_BYTES, MAX_WEIGHTS

MAX_RESULT_BYTES = 100 << 20
"""One frame of results, all lanes: what the stack of a simulated process holds."""


def signed_bits(node: Node) -> int:
    """Bits of a signed integer that holds every raw value of a node's type."""
    kind = node.tensor.type
    return kind.width + int(not kind.signed)


def frames(graph: Graph) -> list[Node]:
    """Values that a later sweep reads: the kernel buffers them for all steps."""
    return [
        node
        for node in graph.nodes()
        if node.op.kind not in ("const", "capture")
        and any(user.sweep != node.sweep for user in graph.users(node.name))
    ]


def gathered(graph: Graph) -> list[Node]:
    """Vectors that a matrix multiplies: they pass through the activation memory."""
    return [source for node in graph.of_kind("matvec") for source in graph.vectors(node)]


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


def check_memories(graph: Graph, manifest: Manifest) -> None:
    """Refuse memories that no FPGA has and C simulation can't hold. Raises PenstockError."""
    lanes = manifest.interface.lanes
    activation = _host_bytes(max(signed_bits(node) for node in [*gathered(graph), *frames(graph)]))
    sums = _host_bytes(max(node.tensor.type.width for node in graph.of_kind("matvec")))
    rows = max(phase.rows_per_pe for phase in manifest.phases)
    copies = manifest.groups * ((manifest.group_pes + 1) // 2)
    steps = manifest.interface.max_steps or 0
    buffered = sum(_positions(manifest, node) for node in frames(graph))
    memories = {
        "the copies of the activations": copies * manifest.kernel.vector_depth * activation,
        "the accumulators": manifest.pes * manifest.phases[0].banks * rows * sums,
        f"the frames of {steps:,} steps": steps * buffered * activation,
    }
    results = graph.inputs(graph.of_kind("output")[0])
    if results[0].op.kind == "argmax":
        results = graph.inputs(results[0])
    frame = sum(_positions(manifest, node) for node in results) * manifest.interface.io_bits // 8
    largest = max(memories, key=lambda name: memories[name])
    if sum(memories.values()) * lanes > MAX_MEMORY_BYTES:
        _refuse(graph, largest, sum(memories.values()) * lanes, MAX_MEMORY_BYTES)
    if frame * lanes > MAX_RESULT_BYTES:
        _refuse(graph, "a frame of results", frame * lanes, MAX_RESULT_BYTES)


def _refuse(graph: Graph, name: str, size: int, limit: int) -> None:
    raise PenstockError(
        f"the kernel's memories are too large, {name} most of all: {size / 2**20:,.0f} of "
        f"{limit / 2**20:,.0f} MiB",
        graph.name,
        "choose fewer PEs, lanes or max_steps",
    )


def _host_bytes(bits: int) -> int:
    """Bytes of an ap_int of so many bits in C simulation."""
    return max(1, 1 << (max(bits - 1, 0) // 8).bit_length())


def _positions(manifest: Manifest, node: Node) -> int:
    layout = manifest.layout_of.get(node.name)
    return manifest.layouts[layout].positions if layout is not None else node.tensor.length
