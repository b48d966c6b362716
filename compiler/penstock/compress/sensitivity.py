"""How much each weight matrix matters: accuracy with that matrix alone pruned, or quantized.

Nothing is retrained: the curves rank the matrices, and say where density is best spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
    """trained: with nothing changed; sizes: weights of each matrix; rows: matrix by matrix.

    unfit: why a matrix was not pruned to all densities, or to none: the pattern does not fit.
    """

    trained: Score
    sizes: dict[str, int]
    rows: list[Measured]
    unfit: dict[str, str] = field(default_factory=dict)

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
            least = sum(chosen[name] * size for name, size in self.sizes.items())
            raise PenstockError(
                f"an overall density of {goal:g} is below all that were measured",
                "sensitivity",
                f"ask for {least / sum(self.sizes.values()):.3f}, or measure lower densities",
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
    banks: int | None = None,
    on_matrix: Callable[[str], None] = lambda matrix: None,
) -> Sensitivity:
    """Measure every matrix of ``model``, one at a time; the model is left as it was.

    evaluate: scores the model as it is at the moment, on data that chooses (not the test set).
    bits: of weights, each gate's matrix with a power-of-two scale of its own, as compiled.
    A matrix that the pattern does not fit is not pruned, and told so. Raises PenstockError if that
    is every matrix, and for densities and widths that can't be.
    """
    kind = make_pattern(pattern, pes, bank, banks)
    for density in densities:
        check_density(density, "densities")
    for width in bits:
        if not 2 <= width <= 16:
            raise PenstockError(
                f"weights of {width} bits can't be measured", "sensitivity", "choose 2 to 16"
            )
    matrices = choose_matrices(model, 1.0)
    unfit = _unfit(matrices, kind, densities)
    if densities and all(len(refused) == len(densities) for refused in unfit.values()):
        raise next(iter(unfit[matrices[0].name].values()))
    rows = []
    trained = evaluate()
    for matrix in matrices:
        on_matrix(matrix.name)
        for density in densities:
            if density not in unfit[matrix.name]:
                changed = partial(_pruned, pattern=kind, density=density)
                score = _with(matrix, changed, evaluate)
                rows.append(Measured(matrix.name, "density", density, score))
        for width in bits:
            score = _with(matrix, partial(_quantized, width=width), evaluate)
            rows.append(Measured(matrix.name, "bits", width, score))
    reasons = {
        name: next(iter(refused.values())).what for name, refused in unfit.items() if refused
    }
    return Sensitivity(trained, {m.name: m.weight.numel() for m in matrices}, rows, reasons)


def _unfit(
    matrices: list[Matrix], pattern: Pattern, densities: Sequence[float]
) -> dict[str, dict[float, PenstockError]]:
    """Of every matrix, the densities to which it can't be pruned, and why."""
    found: dict[str, dict[float, PenstockError]] = {matrix.name: {} for matrix in matrices}
    for matrix in matrices:
        rows, columns = len(matrix.weight) // len(matrix.gates), matrix.weight.shape[1]
        for density in densities:
            try:
                pattern.check(rows, columns, density, matrix.titled(matrix.gates[0]))
            except PenstockError as refusal:
                found[matrix.name][density] = refusal
    return found


def _pruned(block: FloatArray, pattern: Pattern, density: float) -> FloatArray:
    return np.where(pattern.mask(np.abs(block), density), block, 0.0)


def _quantized(block: FloatArray, width: int) -> FloatArray:
    frac = largest_frac(float(np.abs(block).max()), width)
    to = Fixed(width, frac, True, Rounding.RND, Overflow.SAT)
    return to.to_float(to.quantize(block))


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
