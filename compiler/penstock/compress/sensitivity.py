"""How much each weight matrix matters: accuracy with that matrix alone pruned, or quantized.

Nothing is retrained: the curves rank the matrices, and say where density is best spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from penstock.compress.matrices import Matrix, choose_matrices
from penstock.compress.patterns import Pattern, check_density, make_pattern
from penstock.compress.training import Score
from penstock.errors import PenstockError
from penstock.fixed import Fixed, FloatArray, Overflow, Rounding, largest_frac

DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05)
BITS = (8, 6, 4, 3, 2)


@dataclass(frozen=True)
class Measured:
    """One matrix changed, all others as trained. kind: ``density`` or ``bits``."""

    matrix: str
    kind: str
    value: float
    score: Score


@dataclass(frozen=True)
class Sensitivity:
    """trained: with nothing changed; sizes: weights of each matrix; rows: matrix by matrix."""

    trained: Score
    sizes: dict[str, int]
    rows: list[Measured]

    def curve(self, matrix: str, kind: str) -> list[tuple[float, Score]]:
        """(density or bits, score), from the greatest down."""
        found = [(row.value, row.score) for row in self.rows if (row.matrix, row.kind) ==
                 (matrix, kind)]  # fmt: skip
        return sorted(found, reverse=True)

    def densities(self, goal: float) -> dict[str, float]:
        """A density for each matrix, ``goal`` over all of them, at the least loss foreseen.

        Losses are taken to add up, each along the lower convex hull of its curve: then it is best
        to prune step by step where a weight costs the least. Raises PenstockError for a goal that
        the measured densities do not reach.
        """
        check_density(goal, "goal")
        chosen = dict.fromkeys(self.sizes, 1.0)
        excess = (1.0 - goal) * sum(self.sizes.values())
        for _, matrix, density in sorted(self._steps()):
            weights = (chosen[matrix] - density) * self.sizes[matrix]
            taken = min(weights, excess)
            chosen[matrix] -= taken / self.sizes[matrix]
            excess -= taken
        if excess > 0.5:
            least = min(row.value for row in self.rows if row.kind == "density")
            raise PenstockError(
                f"a density of {goal:g} over all lies below all that was measured",
                "sensitivity",
                f"measure densities below {least:g}, or aim higher",
            )
        return chosen

    def _steps(self) -> Iterator[tuple[float, str, float]]:
        """(loss a weight, matrix, density after), cheapest first within a matrix."""
        for matrix, size in self.sizes.items():
            curve = [(density, score.loss) for density, score in self.curve(matrix, "density")]
            for (high, before), (low, after) in pairwise(_lower_hull([(1.0, self.trained.loss),
                                                                      *curve])):  # fmt: skip
                yield (after - before) / ((high - low) * size), matrix, low

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "trained": self.trained._asdict(),
            "sizes": self.sizes,
            "rows": [{"matrix": row.matrix, "kind": row.kind, "value": row.value,
                      **row.score._asdict()} for row in self.rows],
        }  # fmt: skip


def _lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of (density, loss), from the greatest density down, between which loss rises ever
    more steeply."""
    hull: list[tuple[float, float]] = []
    for point in points:
        while len(hull) > 1 and _rise(hull[-2], hull[-1]) >= _rise(hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _rise(high: tuple[float, float], low: tuple[float, float]) -> float:
    return (low[1] - high[1]) / (high[0] - low[0])


def measure_sensitivity(
    model: nn.Module,
    evaluate: Callable[[], Score],
    *,
    densities: Sequence[float] = DENSITIES,
    bits: Sequence[int] = BITS,
    pattern: str | Pattern = "unstructured",
    pes: int | None = None,
    bank: int | None = None,
    watch: Callable[[str], None] = lambda matrix: None,
) -> Sensitivity:
    """Measure every matrix of ``model``, one at a time; the model is left as it was.

    evaluate: scores the model as it is at the moment, on data that chooses (not the test set).
    bits: of weights, each gate's matrix with a power-of-two scale of its own, as compiled.
    Raises PenstockError for what can't be pruned or quantized so.
    """
    kind = make_pattern(pattern, pes, bank)
    for density in densities:
        check_density(density, "densities")
    for width in bits:
        if not 2 <= width <= 16:
            raise PenstockError(
                f"weights of {width} bits can't be measured", "sensitivity", "choose 2 to 16"
            )
    matrices = choose_matrices(model, 1.0)
    rows = []
    trained = evaluate()
    for matrix in matrices:
        watch(matrix.name)
        for density in densities:
            for gate, block in matrix.blocks(matrix.weight.detach()).items():
                kind.check(len(block), block.shape[1], density, matrix.titled(gate))

            def pruned(block: FloatArray, density: float = density) -> FloatArray:
                return np.where(kind.mask(np.abs(block), density), block, 0.0)

            rows.append(Measured(matrix.name, "density", density, _with(matrix, pruned, evaluate)))
        for width in bits:

            def quantized(block: FloatArray, width: int = width) -> FloatArray:
                frac = largest_frac(float(np.abs(block).max()), width)
                to = Fixed(width, frac, True, Rounding.RND, Overflow.SAT)
                return to.to_float(to.quantize(block))

            rows.append(Measured(matrix.name, "bits", width, _with(matrix, quantized, evaluate)))
    return Sensitivity(trained, {m.name: m.weight.numel() for m in matrices}, rows)


def _with(
    matrix: Matrix, change: Callable[[FloatArray], FloatArray], evaluate: Callable[[], Score]
) -> Score:
    """The score with each gate's block of one matrix changed for the time."""
    weight = matrix.weight
    before = weight.detach().clone()
    blocks = matrix.blocks(before.double().cpu().numpy()).values()
    changed = torch.from_numpy(np.concatenate([change(block) for block in blocks]))
    try:
        with torch.no_grad():
            weight.copy_(changed)
        return evaluate()
    finally:
        with torch.no_grad():
            weight.copy_(before)
