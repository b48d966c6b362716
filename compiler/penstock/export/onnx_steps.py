"""Writes the nodes of one step of a sweep into an ONNX graph, by the rule of each operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.export.onnx_graph import Body
from penstock.export.onnx_ops import OUTSIDE, RULES, Operand, Step
from penstock.ir import Graph, Node

OF_EACH = ("state_write", "capture", "output", "matvec")
"""Operations whose operands must be there for every sequence, even if all have the same."""


class StepWriter:
    """Writes steps of a graph. main: where its constants go."""

    def __init__(self, graph: Graph, main: Body) -> None:
        self._graph, self._main = graph, main
        self._constants: dict[str, str] = {}

    def write(self, step: Step, nodes: Sequence[Node], values: Mapping[str, str]) -> dict[str, str]:
        """Node -> the ONNX value of every node of ``nodes``; values: those that it reads of others.

        What is left for the next step, and the frame of the result, are in ``step`` then.
        """
        known, made = dict(values), dict[str, str]()
        for node in nodes:
            if node.op.kind in OUTSIDE:
                continue
            step.body.stem = node.name
            operands = [self._operand(step, known, node, name) for name in node.inputs]
            value = RULES[node.op.kind](step, node.op, operands, node.tensor)
            vectors = self._graph.vectors(node)
            if vectors and all(one.tensor.constant is not None for one in vectors):
                value = _of_each(step, value)
            if value not in (step.output, *step.pending.values()):
                value = step.body.named(value, node.name)
            known[node.name] = made[node.name] = value
        return made

    def _operand(self, step: Step, known: Mapping[str, str], node: Node, name: str) -> Operand:
        source = self._graph[name]

        def name_of() -> str:
            if name in known:
                return known[name]
            constant = self._constant(source)
            is_vector = source.tensor.constant is not None and len(source.tensor.shape) == 1
            return _of_each(step, constant) if is_vector and node.op.kind in OF_EACH else constant

        return Operand(name_of, source.tensor)

    def _constant(self, node: Node) -> str:
        """A constant that is there from when it is first asked for."""
        if node.name not in self._constants:
            stem = self._main.stem
            self._constants[node.name] = self._main.constant(node.name, node.tensor)
            self._main.stem = stem
        return self._constants[node.name]


def _of_each(step: Step, value: str) -> str:
    """(n) -> (sequences, n)."""
    return step.body.add("Add", value, step.body.times(step.length, 0.0))
