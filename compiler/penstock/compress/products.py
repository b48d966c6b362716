"""The sums of MatVecs in training: few large matrix products, forward and backward.

In float64 a graph's sums are exact in any order, so that of the matrices which multiply the same
vectors (four gates) one product is made. A matrix's gradient is the sum of one outer product a
step; made one by one, each would read and write a whole matrix. Here it is made at once, of all
steps' vectors and gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.ir import Graph, Node
from penstock.ir.walk import Program

ROWS_AT_ONCE = 512
"""Of vectors and gradients whose product is added to a matrix's gradient: bounds the copies."""

Vectors = tuple[Tensor, ...]


class Products:
    """The sums of all MatVecs of a run. matrices: by node name, differentiable.

    ``matrices`` are then those of the same names as views of what is multiplied, without gradient.
    """

    def __init__(self, program: Program, matrices: Mapping[str, Tensor], x: Tensor) -> None:
        self._graph = program.graph
        self._siblings = _siblings(program.graph)
        self._made: dict[str, Tensor] = {}
        self._stacks: dict[tuple[str, ...], _Stack] = {}
        self.matrices: dict[str, Tensor] = {}
        for siblings in dict.fromkeys(self._siblings.values()):
            nodes = [self._graph[name] for name in siblings]
            columns = list(zip(*(node.inputs[node.op.matrices] for node in nodes), strict=True))
            stacked = [torch.cat([matrices[name] for name in names]) for names in columns]
            steps = len(program.sweeps[nodes[0].sweep].order(x.shape[1]))
            self._stacks[siblings] = _Stack(stacked, len(x), steps)
            rows = [node.tensor.length for node in nodes]
            for names, whole in zip(columns, stacked, strict=True):
                self.matrices.update(zip(names, whole.detach().split(rows), strict=True))

    def take(self, node: Node, vectors: Vectors) -> Tensor:
        """The node's sum, made together with those of its siblings; a step takes each once."""
        if node.name not in self._made:
            siblings = self._siblings[node.name]
            rows = [self._graph[name].tensor.length for name in siblings]
            sums = self._stacks[siblings].product(vectors).split(rows, dim=1)
            self._made.update(zip(siblings, sums, strict=True))
        return self._made.pop(node.name)


def _siblings(graph: Graph) -> dict[str, tuple[str, ...]]:
    """A node with matrices -> all of its sweep that read the same vectors."""
    groups: dict[tuple[object, ...], tuple[str, ...]] = {}
    keys = {
        node.name: (node.op.kind, node.sweep, *node.inputs[node.op.vectors])
        for node in graph.nodes()
        if node.inputs[node.op.matrices]
    }
    for name, key in keys.items():
        groups[key] = (*groups.get(key, ()), name)
    return {name: groups[key] for name, key in keys.items()}


class _Stack:
    """W_1, W_2, ...: what siblings multiply their vectors by; all steps of a run share it.

    ``_taps`` has a zero for each step, which its sum depends on: the gradient of the sum arrives
    there, and no step sees the matrices themselves. See ``_Taps``.
    """

    def __init__(self, matrices: list[Tensor], lanes: int, steps: int) -> None:
        self._matrices = _Matrices([matrix.detach() for matrix in matrices])
        self._seen: list[Vectors] = []
        self._taps: Iterator[Tensor | None] = repeat(None)
        if torch.is_grad_enabled() and any(matrix.requires_grad for matrix in matrices):
            self._taps = iter(_Taps.apply(self._seen, lanes, steps, *matrices))

    def product(self, vectors: Vectors) -> Tensor:
        """W_1 x_1 + W_2 x_2 + ... of one step: (lanes, n_k) each -> (lanes, rows)."""
        tap = next(self._taps)
        if tap is not None:
            self._seen.append(tuple(x.detach() for x in vectors))
        result: Tensor = _Product.apply(self._matrices, tap, *vectors)
        return result


class _Matrices:
    """(rows, n_k) each, and the same column by column, once a gradient asks for it.

    A product of few vectors is up to twice as fast along the rows of what lies in memory.
    """

    def __init__(self, by_row: list[Tensor]) -> None:
        self.by_row = by_row
        self._by_column: dict[int, Tensor] = {}

    def by_column(self, which: int) -> Tensor:
        """(n_k, rows)."""
        if which not in self._by_column:
            self._by_column[which] = self.by_row[which].T.contiguous()
        return self._by_column[which]


class _Product(torch.autograd.Function):
    """One step's sum. The gradient goes to the vectors and, as it is, to the step's tap."""

    @staticmethod
    def forward(ctx: Any, matrices: _Matrices, tap: Tensor | None, *vectors: Tensor) -> Tensor:
        ctx.matrices = matrices
        first, *others = zip(vectors, matrices.by_row, strict=True)
        total = first[0] @ first[1].T
        for x, w in others:
            total.addmm_(x, w.T)
        return total

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        for_vectors = (
            gradient @ ctx.matrices.by_column(which).T if is_asked else None
            for which, is_asked in enumerate(ctx.needs_input_grad[2:])
        )
        return None, gradient, *for_vectors


class _Taps(torch.autograd.Function):
    """A zero for each step's sum; backward, the gradients of all sums meet here.

    seen: the vectors of each step, without gradient, added while the run goes on.
    """

    @staticmethod
    def forward(
        ctx: Any, seen: list[Vectors], lanes: int, steps: int, *matrices: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.seen, ctx.lanes = seen, lanes
        ctx.shapes = [matrix.shape for matrix in matrices]
        ctx.set_materialize_grads(False)
        zero = matrices[0].new_zeros(())
        return tuple(zero.expand(lanes, len(matrices[0])) for _ in range(steps))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        pairs = [(g, seen) for g, seen in zip(gradients, ctx.seen, strict=True) if g is not None]
        if not pairs:
            return (None,) * (3 + len(ctx.shapes))
        sums = [pairs[0][0].new_zeros(shape) for shape in ctx.shapes]
        steps = -(-ROWS_AT_ONCE // ctx.lanes)
        for start in range(0, len(pairs), steps):
            of_sums, vectors = zip(*pairs[start : start + steps], strict=True)
            rows = torch.cat(of_sums).T
            for total, x in zip(sums, zip(*vectors, strict=True), strict=True):
                total.addmm_(rows, torch.cat(x))
        return None, None, None, *sums
