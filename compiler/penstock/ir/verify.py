"""The verifier: what must hold of every graph, whoever built or changed it."""

from __future__ import annotations

from penstock.ir.graph import Direction, Graph, Node


def verify(graph: Graph) -> None:
    """Raise ValueError unless the graph is well formed.

    * Types, shapes and intervals are inferred anew and must be what the nodes carry; intervals lie
      in their types.
    * A state is read by one node and written by one, in one sweep, with one type and length; it may
      be used anywhere in the step, before or after it is written, and is always the old value.
    * Values enter a ``once`` sweep only through a capture, captures go nowhere else, and nothing
      leaves a ``once`` sweep. No input, state or capture lives in one.
    * Every value is read by a node, or is kept: nothing is computed or stored for nobody.
    * There is one input and one output. Frames come and results leave in the order of the steps, so
      neither is in a backward sweep.
    """
    for node in graph.nodes():
        _verify_tensor(graph, node)
        _verify_edges(graph, node)
        if graph.sweeps[node.sweep] is Direction.ONCE:
            _verify_once(node)
    _verify_states(graph)
    _verify_use(graph)
    _verify_ends(graph)


def _verify_tensor(graph: Graph, node: Node) -> None:
    again = node.op.infer(*(source.tensor for source in graph.inputs(node)))
    if again != node.tensor:
        raise ValueError(f"{node.name} carries {node.tensor}, but {again} is inferred")
    tensor = node.tensor
    if not tensor.type.raw_min <= tensor.lo <= tensor.hi <= tensor.type.raw_max:
        raise ValueError(f"{node.name}: {tensor.lo}..{tensor.hi} is outside {tensor.type}")


def _verify_edges(graph: Graph, node: Node) -> None:
    for source in graph.inputs(node):
        if source.tensor.constant is not None:
            continue
        if source.sweep > node.sweep:
            raise ValueError(f"{node.name} reads {source.name} of a later sweep")
        crosses = source.sweep != node.sweep
        into_once = crosses and graph.sweeps[node.sweep] is Direction.ONCE
        if (source.op.captures is not None) != into_once:
            raise ValueError(
                f"{node.name} reads {source.name}: a capture is read by a later once sweep, "
                "and such a sweep reads nothing else of the sequence"
            )
        if crosses and graph.sweeps[source.sweep] is Direction.ONCE:
            raise ValueError(f"{node.name} reads {source.name} of a sweep that runs once")


def _verify_once(node: Node) -> None:
    if node.op.reads is not None or node.op.writes is not None:
        raise ValueError(f"state {node.op.reads or node.op.writes} is in a sweep that runs once")
    if node.op.captures is not None or node.op.kind == "input":
        raise ValueError(f"{node.name} ({node.op.kind}) is in a sweep that runs once")


def _verify_states(graph: Graph) -> None:
    states = graph.states()
    for state in states.values():
        read, write = state.read, state.write
        if (read.tensor.shape, read.tensor.type, read.sweep) != (
            write.tensor.shape, write.tensor.type, write.sweep,
        ):  # fmt: skip
            raise ValueError(
                f"state {state.name} is written with another type than it is read with"
            )
    both = sorted(states.keys() & graph.captures().keys())
    if both:
        raise ValueError(f"states and captures with the same name: {both}")


def _verify_use(graph: Graph) -> None:
    """What comes from outside, input and old states, may be left unread."""
    used = {name for node in graph.nodes() for name in node.inputs}
    for node in graph.nodes():
        is_kept = node.op.writes is not None or node.op.captures is not None
        is_end = is_kept or node.op.reads is not None or node.op.kind in ("input", "output")
        if node.name not in used and not is_end:
            raise ValueError(f"{node.name} ({node.op.kind}) is read by nobody")


def _verify_ends(graph: Graph) -> None:
    for kind in ("input", "output"):
        if len(graph.of_kind(kind)) != 1:
            raise ValueError(f"the graph needs exactly one {kind}")
        (node,) = graph.of_kind(kind)
        if graph.sweeps[node.sweep] is Direction.BACKWARD:
            raise ValueError(f"{kind} {node.name} is in a backward sweep: it would be reversed")
