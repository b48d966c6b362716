"""Which input of a graph is what: frames or tokens, the lengths of sequences, initial states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.frontend.follow.onnx_evaluate import MOVES
from penstock.frontend.follow.onnx_file import Input, Node, OnnxGraph
from penstock.frontend.follow.onnx_nodes import CELL_OPS, RESHAPES

LENGTHS_OF = {**dict.fromkeys(CELL_OPS, 4), "ReverseSequence": 1}
"""Operation -> its operand that is the lengths of sequences."""


@dataclass(frozen=True)
class Roles:
    """The inputs of a graph. is_tokens: the frames are looked up in a table."""

    frames: Input
    is_tokens: bool
    lengths: tuple[Input, ...]
    states: tuple[Input, ...]


def roles_of(graph: OnnxGraph) -> Roles:
    """What each input is, by what the graph does with it. Raises PenstockError."""
    known = {one.name: one for one in graph.inputs}
    lengths = _named(known, graph, _operands(graph, LENGTHS_OF), RESHAPES)
    starts = [*_operands(graph, dict.fromkeys(CELL_OPS, 5)), *_operands(graph, {"LSTM": 6})]
    states = _named(known, graph, starts, MOVES | RESHAPES)
    tokens = _named(known, graph, _operands(graph, {"Gather": 1}), RESHAPES)
    rest = [one for one in graph.inputs if one.name not in {*lengths, *states}]
    used = {name for node in graph.nodes for name in node.inputs}
    rest = [one for one in rest if one.name in used]
    if not rest:
        raise PenstockError("the graph takes no frames", graph.where,
                            "give it an input of (sequences, steps, inputs)")  # fmt: skip
    if len(rest) > 1:
        raise PenstockError(
            f"the graph takes {', '.join(repr(one.name) for one in rest[:4])}, and it is not known "
            "which are the frames", graph.where,
            "a network has one input of frames, beside initial states and sequence_lens; store the "
            "weights as initializers",
        )  # fmt: skip
    (frames,) = rest
    is_tokens = frames.name in tokens
    if len(frames.shape) != (2 if is_tokens else 3):
        wanted = "(sequences, steps)" if is_tokens else "(sequences, steps, inputs)"
        raise PenstockError(
            f"input {frames.name!r} has {len(frames.shape)} axes, not those of {wanted}",
            graph.where,
            "export it with a batch axis, and without an embedding whose tokens it computes",
        )
    return Roles(frames, is_tokens, tuple(lengths.values()), tuple(states.values()))


def _operands(graph: OnnxGraph, index_of: dict[str, int]) -> list[str]:
    """The operands of this number of nodes of these types."""
    return [
        node.inputs[index_of[node.op]]
        for node in graph.nodes
        if node.op in index_of and len(node.inputs) > index_of[node.op]
    ]


def _named(
    known: dict[str, Input], graph: OnnxGraph, values: Iterable[str], through: frozenset[str]
) -> dict[str, Input]:
    """The inputs that values come from, through operations of these types alone."""
    givers: dict[str, Node] = {name: node for node in graph.nodes for name in node.outputs}
    found, seen, left = {}, set(), list(values)
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in known:
            found[name] = known[name]
        giver = givers.get(name)
        if giver is not None and giver.op in through:
            left += giver.inputs if giver.op == "Concat" else giver.inputs[:1]
    return {name: one for name, one in known.items() if name in found}
