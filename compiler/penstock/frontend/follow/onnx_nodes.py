"""Following an ONNX graph: every operation by its name, on labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import MOST_ELEMENTS, Labels, Unfollowed
from penstock.frontend.follow.network import HINT, End
from penstock.frontend.follow.onnx_evaluate import (
    ARITHMETIC,
    MOST_CONSTANTS,
    MOVES,
    UNFOLDED,
    evaluate,
    result_size,
)
from penstock.frontend.follow.onnx_file import Node, OnnxGraph
from penstock.frontend.follow.rules import labels_of
from penstock.frontend.follow.unrolled import EXPLANATION, UNROLLED_HINT, copies_of_a_cell

UNFIT = (ValueError, IndexError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError)
"""What a rule raises for operands and attributes that no valid node has."""
RESHAPES = frozenset({"Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten"})
"""What the lengths of the sequences may go through."""


BROADCASTS = frozenset({"Add", "Sub", "Mul", "Div", "Sum", "Min", "Max", "PRelu", "MatMul", "Gemm"})
"""What may give more elements than its operands have."""


@dataclass(frozen=True)
class Lengths:
    """The steps of every sequence, as an input of the graph: here they are all of one length."""


@dataclass
class OnnxFollower:
    """Runs the nodes of a graph on labels and constants.

    A value in ``env`` is Labels, an array (a constant), Lengths, or an End. whole: numbers of steps
    that mean all of a sequence.
    """

    build: Builder
    graph: OnnxGraph
    whole: frozenset[int]
    env: dict[str, Any] = field(default_factory=dict)
    table: FloatArray | None = None
    """Of the embedding that stays on the host."""
    followed: int = 0
    """Nodes that have been followed."""
    _constants: int = 0

    def run(self) -> list[Any]:
        """All nodes; the outputs."""
        self.env.update(self.graph.constants)
        for node in self.graph.nodes:
            try:
                results = self._results(node)
            except Unfollowed as refusal:
                raise self._refused(node, refusal) from refusal
            self.env.update(
                (name, value) for name, value in zip(node.outputs, results, strict=False) if name
            )
            self.followed += 1
        return [self.env[name] for name in self.graph.outputs]

    def _refused(self, node: Node, refusal: Unfollowed) -> PenstockError:
        what, hint = str(refusal), refusal.hint or HINT
        copies = copies_of_a_cell(self.graph)
        if copies:
            what, hint = EXPLANATION.format(copies), UNROLLED_HINT
        return PenstockError(f"{node.title} can't be compiled: {what}", self.graph.where, hint)

    def _results(self, node: Node) -> Sequence[Any]:
        args = [self.env[name] if name else None for name in node.inputs]
        if node.op == "Constant":
            return [_constant(node)]
        if any(isinstance(part, End) for part in args):
            return [self._after_end(node, args)]
        if any(isinstance(part, Lengths) for part in args):
            return self._with_lengths(node, args)
        if not any(isinstance(part, Labels) for part in args):
            return self._folded(node, args)
        return self._computed(node, args)

    def _computed(self, node: Node, args: list[Any]) -> Sequence[Any]:
        if node.op in MOVES:
            return self.moved(node, args)
        rule = RULES.get(node.op)
        if rule is None:
            raise Unfollowed(WHY_NOT.get(node.op, "there is no layer for it"))
        if node.op in BROADCASTS:
            self._check_size(
                node, [part.value if isinstance(part, Labels) else part for part in args]
            )
        try:
            result = rule(self, node, *args)
        except UNFIT as fault:
            raise Unfollowed(f"its operands do not fit: {fault}", "is the model valid?") from fault
        return result if isinstance(result, list | tuple) else [result]

    def _check_size(self, node: Node, operands: Sequence[Any]) -> None:
        if result_size(node, operands) > MOST_ELEMENTS:
            raise Unfollowed("its result is too large", "compile a part of the network")

    def _folded(self, node: Node, args: list[Any]) -> Sequence[Any]:
        """A node of constants: a constant."""
        if node.op in CELL_OPS or node.op not in MOVES | ARITHMETIC:
            raise Unfollowed("it computes with constants alone, and it is not known how")
        self._constants += result_size(node, args) * max(len(node.outputs), 1)
        held = sum(one.size for one in self.graph.constants.values())
        if self._constants > max(MOST_CONSTANTS, UNFOLDED * held):
            raise Unfollowed("the constants that the graph computes are too large", "export again")
        return evaluate(node, self.graph.opset, args)

    def _with_lengths(self, node: Node, args: list[Any]) -> Sequence[Any]:
        if node.op in RESHAPES and isinstance(args[0], Lengths):
            return [args[0]]
        if node.op in CELL_OPS and not isinstance(args[0], Lengths):
            return list(RULES[node.op](self, node, *args))
        if node.op == "ReverseSequence" and isinstance(args[0], Labels):
            count = args[0].shape[node.get("time_axis", 0)]
            return self.moved(node, [args[0], np.full(self.build.lanes, count)])
        raise Unfollowed("it computes with the lengths of the sequences")

    def _after_end(self, node: Node, args: list[Any]) -> End:
        end, *rest = args
        others = [part for part in args[1:] if isinstance(part, Labels | End)]
        if not isinstance(end, End) or others or node.op not in MOVES | {"Cast"}:
            kind = next(part.kind for part in args if isinstance(part, End))
            raise Unfollowed(f"it computes with the result of {kind}, which runs on the host")
        before, opset = end.call, self.graph.opset
        return replace(end, call=lambda x: evaluate(node, opset, [before(x), *rest])[0])

    def end(self, node: Node, x: Labels, axis: int, *rest: Any) -> End:
        """What the host computes by this node."""
        opset, kind = self.graph.opset, KINDS[node.op]
        return End(x, kind, axis, lambda values: evaluate(node, opset, [values, *rest])[0])

    def moved(self, node: Node, args: list[Any]) -> Sequence[Labels]:
        """Do to each of the label arrays what the node does to its first operands."""
        elements = {"Concat": range(len(args)), "Where": (1, 2)}.get(node.op, (0,))
        for index, part in enumerate(args):
            if isinstance(part, Labels) and index not in elements:
                return self._looked_up(node, args)
        self._check_move(node, args)
        chosen = {index: labels_of(args[index]) for index in elements}
        sample = [chosen[k].value if k in chosen else part for k, part in enumerate(args)]
        self._check_size(node, sample)
        found = []
        for index in range(6):
            operands = [
                chosen[k].parts[index] if k in chosen else part for k, part in enumerate(args)
            ]
            found.append(evaluate(node, self.graph.opset, operands))
        return [Labels(*parts) for parts in zip(*found, strict=True)]

    def _check_move(self, node: Node, args: list[Any]) -> None:
        if node.op == "Pad":
            value = node.get("value", 0.0) if len(args) < 3 or args[2] is None else args[2]
            if np.any(value) and node.get("mode", "constant") == "constant":
                raise Unfollowed("it pads with something else than zeros")
        if node.op == "ReverseSequence":
            steps = args[0].shape[node.get("time_axis", 0)]
            if not set(np.ravel(args[1]).tolist()) <= {steps, *self.whole}:
                raise Unfollowed("it reverses a part of the sequences", "give it their lengths")
            args[1] = np.full(np.shape(args[1]), steps)

    def _looked_up(self, node: Node, args: list[Any]) -> Sequence[Labels]:
        is_table = node.op == "Gather" and not isinstance(args[0], Labels) and args[0].ndim == 2
        if not is_table or node.get("axis", 0):
            raise Unfollowed("where it takes its elements from depends on the input")
        table = np.asarray(args[0], dtype=np.float64)
        return [self.build.embedded(args[1], table, title_of(node))]


def _constant(node: Node) -> Any:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            kind = np.float32 if "float" in name else np.int64 if "int" in name else None
            return np.asarray(node[name], dtype=kind)
    raise Unfollowed("it is neither an array nor a number")


def title_of(node: Node) -> str:
    """What a layer made of a node is called: ``/fc/Gemm`` -> ``fc``."""
    parts = [part for part in node.name.split("/") if part]
    chosen = "" if not parts else parts[-2] if len(parts) > 1 else parts[0].removeprefix("node_")
    words = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in chosen)
    title = words.strip("_")[:40]
    is_taken = title in ("x", "y", "head") or title[:1].isdigit() or title[1:].isdigit()
    return node.op.lower() if not title or is_taken else title


Rule = Callable[..., Any]
OneRule = TypeVar("OneRule", bound=Rule)
RULES: dict[str, Rule] = {}
KINDS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "ArgMax": "argmax"}
CELL_OPS = ("LSTM", "GRU", "RNN")
WHY_NOT = {
    "LayerNormalization": "LayerNorm has no layer here",
    "QuantizeLinear": "the number formats are chosen by calibration",
    "DequantizeLinear": "the number formats are chosen by calibration",
}


def rule(*names: str) -> Callable[[OneRule], OneRule]:
    """Makes a function the rule of ONNX operations: (follower, node, *operands) -> results."""

    def register(function: OneRule) -> OneRule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def axes_of(node: Node, x: Labels, given: Any = None) -> list[int]:
    """The axes of an input or an attribute, counted from 0; all without."""
    axes = node.get("axes") if given is None else np.ravel(given).tolist()
    rank = len(x.shape)
    if axes is None or not len(axes):
        return [] if node.get("noop_with_empty_axes") else list(range(rank))
    if any(not -rank <= axis < rank for axis in axes):
        raise Unfollowed(f"it has {rank} axes, and reduces over {list(axes)}")
    return sorted({int(axis) % rank for axis in axes})
