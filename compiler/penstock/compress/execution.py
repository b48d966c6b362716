"""A graph executed by torch on real numbers: the interpreter's values, with gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from penstock.compress.products import Products
from penstock.compress.rules import RULES, Rule
from penstock.compress.straight_through import fake_quantize
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.ir import Graph, Node
from penstock.ir.walk import Program, Walker, empty_capture

EXACT = 2**53
"""float64 holds every integer up to here."""


class Execution(Walker[Tensor]):
    """One run over a batch. x: (sequences, steps, inputs), float64; lengths: (sequences).

    constants: the real values of the trained ones; log2_ranges: learned, by tensor name. ``run``
    gives (sequences, frames, outputs). ``frames`` has the inputs by node name, (sequences, n) at
    each step, all rounded at once. What an operation computes is its rule in
    ``compress/rules.py``; raises LookupError for one that has none, and PenstockError for values
    that float64 does not hold.
    """

    def __init__(
        self,
        graph: Graph,
        constants: Mapping[str, Tensor],
        log2_ranges: Mapping[str, Tensor],
        x: Tensor,
        lengths: Tensor,
    ) -> None:
        program = Program.of(graph)
        _check_exact(program)
        self._rules = _rules_of(program)
        memory = {name: x.new_zeros(len(x), kept.length) for name, kept in program.states.items()}
        for name, node in program.captures.items():
            empty = empty_capture(node) * node.tensor.type.step
            memory[name] = x.new_full((len(x), node.tensor.length), empty)
        untrained = {
            node.name: _real(node, x)
            for node in graph.nodes()
            if node.tensor.constant is not None and node.name not in constants
        }
        self.graph, self.x, self.log2_ranges = graph, x, log2_ranges
        self.frames = {
            node.name: self.to_type(node, x).unbind(dim=1) for node in graph.of_kind("input")
        }
        self.outputs: list[Tensor] = []
        self._products = Products(graph, {**untrained, **constants})
        held = {**untrained, **constants, **self._products.matrices}
        super().__init__(program, held, memory, lengths)

    def run(self) -> Tensor:
        """All sweeps over all steps."""
        self.walk(self.x.shape[1])
        return torch.stack(self.outputs, dim=1)

    def execute(self, node: Node, *operands: Tensor) -> Tensor:  # noqa: D102
        value = self._rules[node.op.kind](self, node, node.op, *operands)
        is_of_constants = value.ndim == 1
        return value.expand(len(self.x), -1) if is_of_constants else value

    def to_type(self, node: Node, x: Tensor) -> Tensor:
        """Any real ``x`` rounded to the node's type, whose range may be learned."""
        return fake_quantize(x, node.tensor.type, self.log2_ranges.get(node.name))

    def requantize(self, node: Node, x: Tensor) -> Tensor:
        """``to_type`` of what the node reads, ``x``: a multiple of its own type's step."""
        frac = self.graph[node.inputs[0]].tensor.type.frac
        return fake_quantize(x, node.tensor.type, self.log2_ranges.get(node.name), frac)

    def where_valid(self, new: Tensor, old: Tensor) -> Tensor:
        """``new`` in the lanes whose sequence has this step."""
        return new if self.moment.in_all_lanes else torch.where(self.moment.valid, new, old)

    def product(self, node: Node, vectors: tuple[Tensor, ...]) -> Tensor:
        """The sum of a MatVec over its vectors; see ``Products``."""
        return self._products.take(node, vectors)


def _check_exact(program: Program) -> None:
    for node in (node for sweep in program.sweeps for node in sweep.nodes):
        if max(-node.tensor.lo, node.tensor.hi) > EXACT:
            width = node.tensor.type.width
            raise PenstockError(
                f"{node.name} needs {width} bits, but training is exact only up to 54",
                "quantization-aware training",
                "give weights, inputs and states fewer bits",
            )


def _rules_of(program: Program) -> dict[str, Rule]:
    kinds = {node.op.kind for sweep in program.sweeps for node in sweep.nodes}
    missing = sorted(kinds - RULES.keys())
    if missing:
        raise LookupError(
            f"operations without a rule for training: {', '.join(missing)}; write one in "
            "compress/rules.py under @rule(OPERATION)"
        )
    return {kind: RULES[kind] for kind in kinds}


def _real(constant: Node, like: Tensor) -> Tensor:
    assert constant.tensor.constant is not None
    values: FloatArray = np.asarray(constant.tensor.type.to_float(constant.tensor.constant))
    return torch.tensor(values, device=like.device)
