"""The verifier: what must hold of every graph, whoever built or changed it."""

from __future__ import annotations

from penstock.ir.graph import Direction, Graph, Node


def verify(graph: Graph) -> None:
    """Raise ValueError unless the graph is well formed.

    Types, shapes and intervals are inferred anew and must be what the nodes carry; intervals lie in
    their types; one step has no cycle; each state is read and written once, in one sweep, with one
    type; values enter a ``once`` sweep only through a capture, and captures go nowhere else.
    """
    if not graph.is_acyclic():
        raise ValueError("the graph has a cycle without state")
    for node in graph.nodes():
        _verify_tensor(graph, node)
        _verify_edges(graph, node)
    _verify_states(graph)
    for kind in ("input", "output"):
        if len(graph.of_kind(kind)) != 1:
            raise ValueError(f"the graph needs exactly one {kind}")


def _verify_tensor(graph: Graph, node: Node) -> None:
    again = node.op.infer(*(source.tensor for source in graph.inputs(node)))
    if again != node.tensor:
        raise ValueError(f"{node.name} carries {node.tensor}, but {again} is inferred")
    tensor = node.tensor
    if not tensor.type.raw_min <= tensor.lo <= tensor.hi <= tensor.type.raw_max:
        raise ValueError(f"{node.name}: {tensor.lo}..{tensor.hi} is outside {tensor.type}")


def _verify_edges(graph: Graph, node: Node) -> None:
    for source in graph.inputs(node):
        if source.op.kind == "const":
            continue
        if source.sweep > node.sweep:
            raise ValueError(f"{node.name} reads {source.name} of a later sweep")
        is_capture = source.op.kind == "capture"
        into_once = graph.sweeps[node.sweep] is Direction.ONCE and source.sweep != node.sweep
        if is_capture != into_once:
            raise ValueError(
                f"{node.name} reads {source.name}: a capture is read by a later once sweep, "
                "and such a sweep reads nothing else of the sequence"
            )


def _verify_states(graph: Graph) -> None:
    reads = {vars(node.op)["state"]: node for node in graph.of_kind("state_read")}
    writes = {vars(node.op)["state"]: node for node in graph.of_kind("state_write")}
    if len(reads) + len(writes) != len(graph.of_kind("state_read") + graph.of_kind("state_write")):
        raise ValueError("a state is read or written twice in a step")
    if reads.keys() != writes.keys():
        raise ValueError(f"read or written only: {sorted(reads.keys() ^ writes.keys())}")
    for state, read in reads.items():
        write = writes[state]
        if (read.tensor.shape, read.tensor.type, read.sweep) != (
            write.tensor.shape, write.tensor.type, write.sweep,
        ):  # fmt: skip
            raise ValueError(f"state {state} is written as another type than it is read")
        if graph.sweeps[read.sweep] is Direction.ONCE:
            raise ValueError(f"state {state} lives in a sweep that runs once")
