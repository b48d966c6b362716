"""The sums of MatVecs in training: few large matrix products, forward and backward.

In float64 a graph's sums are exact in any order, so that of the matrices which multiply the same
vectors (four gates) one product is made. A matrix's gradient is the sum of one outer product a
step; made one by one, each would read and write a whole matrix. Here it is made at once, of all
steps' vectors and gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.ir import Graph, Node

ROWS_AT_ONCE = 512
"""Vectors, and gradients of their sums, of which one product is made: bounds what waits for it."""

Vectors = tuple[Tensor, ...]


class Products:
    """The sums of all MatVecs of a run. matrices: by node name, differentiable.

    ``self.matrices`` are the same matrices as views of what is multiplied, without gradient.
    """

    def __init__(self, graph: Graph, matrices: Mapping[str, Tensor]) -> None:
        self._graph = graph
        self._siblings = _siblings(graph)
        self._made: dict[str, Tensor] = {}
        self._stacks: dict[tuple[str, ...], _Stack] = {}
        self.matrices: dict[str, Tensor] = {}
        for siblings in dict.fromkeys(self._siblings.values()):
            nodes = [graph[name] for name in siblings]
            columns = list(zip(*(node.inputs[node.op.matrices] for node in nodes), strict=True))
            stacked = [torch.cat([matrices[name] for name in names]) for names in columns]
            self._stacks[siblings] = _Stack(stacked)
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
    """W_1, W_2, ...: what siblings multiply their vectors by, in all steps of a run."""

    def __init__(self, matrices: list[Tensor]) -> None:
        self._differentiable = matrices
        self._matrices = tuple(matrix.detach() for matrix in matrices)
        self._transposed: dict[int, Tensor] = {}
        self._taps: Iterator[Vectors] = iter(())

    def product(self, vectors: Vectors) -> Tensor:
        """W_1 x_1 + W_2 x_2 + ... of one step: (lanes, n_k) each -> (lanes, rows)."""
        if not torch.is_grad_enabled():
            return _sum(vectors, self._matrices)
        transposed = [
            self._transpose(which) if x.requires_grad else None for which, x in enumerate(vectors)
        ]
        tap = self._tap(len(vectors[0]))
        result: Tensor = _Product.apply(self._matrices, transposed, *vectors, *tap)
        return result

    def _transpose(self, which: int) -> Tensor:
        """For gradients: a product of few vectors is up to twice as fast along rows in memory."""
        if which not in self._transposed:
            self._transposed[which] = self._matrices[which].T.contiguous()
        return self._transposed[which]

    def _tap(self, lanes: int) -> Vectors:
        """One step's of a ``_Taps``, which is made when its first is asked for.

        So late because autograd takes what was made last first: it comes right after its steps.
        """
        if not any(matrix.requires_grad for matrix in self._differentiable):
            return ()
        tap = next(self._taps, None)
        if tap is None:
            steps = -(-ROWS_AT_ONCE // lanes)
            flat = _Taps.apply(steps, lanes, *self._differentiable)
            width = 1 + len(self._differentiable)
            self._taps = zip(*(iter(flat),) * width, strict=True)
            tap = next(self._taps)
        return tap


def _sum(vectors: Vectors, matrices: Vectors) -> Tensor:
    """W_1 x_1 + W_2 x_2 + ..."""
    first, *others = zip(vectors, matrices, strict=True)
    total = first[0] @ first[1].T
    for x, w in others:
        total.addmm_(x, w.T)
    return total


class _Product(torch.autograd.Function):
    """One step's sum of vectors x_1, x_2, ...; behind them, the step's tap, or nothing.

    transposed: the matrices of those vectors that have gradients. The others, and in any case the
    matrices as they are, need not be kept for them.
    """

    @staticmethod
    def forward(
        ctx: Any, matrices: Vectors, transposed: list[Tensor | None], *vectors_and_tap: Tensor
    ) -> Tensor:
        ctx.count = len(transposed)
        vectors, tap = vectors_and_tap[: ctx.count], vectors_and_tap[ctx.count :]
        ctx.has_tap = bool(tap)
        ctx.save_for_backward(*transposed, *(vectors if tap else ()))
        return _sum(vectors, matrices)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        transposed, vectors = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        for_vectors = (None if w is None else gradient @ w.T for w in transposed)
        for_tap = (gradient, *vectors) if ctx.has_tap else ()
        return None, None, *for_vectors, *for_tap


class _Taps(torch.autograd.Function):
    """Between the matrices and the sums of so many steps: autograd sees no other way.

    Forward, nothing: zeros. A step has as many as it has vectors, and one before them, and sends
    back its sum's gradient and the vectors themselves. When all have arrived, the gradients of the
    matrices are made of them; a step that was not taken sends nothing.
    """

    @staticmethod
    def forward(ctx: Any, steps: int, lanes: int, *matrices: Tensor) -> tuple[Tensor, ...]:
        ctx.width = 1 + len(matrices)
        ctx.set_materialize_grads(False)
        zero = matrices[0].new_zeros(())
        lengths = [len(matrices[0]), *(matrix.shape[1] for matrix in matrices)]
        return tuple(zero.expand(lanes, length) for _ in range(steps) for length in lengths)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *sent: Tensor | None) -> tuple[Tensor | None, ...]:
        gradients, *vectors = (
            [part for part in sent[start :: ctx.width] if part is not None]
            for start in range(ctx.width)
        )
        if not gradients:
            return None, None, *(None for _ in vectors)
        rows = torch.cat(gradients).T
        return None, None, *(rows @ torch.cat(x) for x in vectors)
