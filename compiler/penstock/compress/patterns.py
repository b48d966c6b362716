"""Which weights of a matrix stay: the patterns of magnitude pruning, one definition each.

All of them keep the greatest scores of groups of weights; they differ in the groups. Among equal
scores the first in reading order stays, so the same weights give the same mask on every machine.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


class Pattern(Protocol):
    """What the pruner asks of a pattern."""

    def check(self, rows: int, columns: int, density: float, where: str) -> None:
        """Raise PenstockError if a matrix of that shape can't have the pattern."""

    def mask(self, score: FloatArray, density: float) -> BoolArray:
        """Score (rows, columns) -> True where a weight stays, nearest to ``density`` of them.

        A mask of a lower density lies within that of a higher one.
        """


@dataclass(frozen=True)
class Unstructured:
    """The round(density * size), at least 1, greatest of the matrix (Han et al., NIPS 2015)."""

    def check(self, rows: int, columns: int, density: float, where: str) -> None:
        """Every shape will do."""

    def mask(self, score: FloatArray, density: float) -> BoolArray:
        """As Pattern.mask."""
        count = max(1, round(density * score.size))
        return _greatest(score.reshape(1, -1), count).reshape(score.shape)


@dataclass(frozen=True)
class PeBalanced:
    """The same number in the submatrix of every PE; row r is on PE r mod ``pes``.

    Load-balance-aware pruning (Han et al., FPGA 2017, section 3.1). Where ``pes`` does not divide
    the rows, submatrices differ in size: one that keeps all its weights may have fewer.
    """

    pes: int

    def __post_init__(self) -> None:
        _check_count("pes", self.pes)

    def check(self, rows: int, columns: int, density: float, where: str) -> None:
        """Every PE needs a row."""
        _check_rows(self.pes, rows, where)

    def mask(self, score: FloatArray, density: float) -> BoolArray:
        """As Pattern.mask; PEs beyond the rows are left out."""
        mask = np.zeros(score.shape, dtype=bool)
        pes = min(self.pes, len(score))
        for pe, count in enumerate(_even_counts(density, score.shape[1] * _rows(len(score), pes))):
            part = score[pe::pes]
            mask[pe::pes] = _greatest(part.reshape(1, -1), count).reshape(part.shape)
        return mask


@dataclass(frozen=True)
class BankBalanced:
    """The same number in every bank; a row is cut into banks of ``bank`` neighbours.

    Cao et al., FPGA 2019. A bank keeps round(density * bank).
    """

    bank: int

    def __post_init__(self) -> None:
        _check_count("bank", self.bank)

    def check(self, rows: int, columns: int, density: float, where: str) -> None:
        """Banks must divide the row, and keep a weight."""
        if columns % self.bank:
            sizes = [str(n) for n in range(2, columns + 1) if columns % n == 0]
            raise PenstockError(
                f"banks of {self.bank} do not divide a row of {columns} weights",
                where,
                f"choose a bank of {', '.join(sizes) or 1}, or leave this matrix out of density",
            )
        _check_share(density, self.bank, "a bank", where, "choose greater banks")

    def mask(self, score: FloatArray, density: float) -> BoolArray:
        """As Pattern.mask."""
        count = max(1, round(density * self.bank))
        return _greatest(score.reshape(-1, self.bank), count).reshape(score.shape)


@dataclass(frozen=True)
class ColumnBalanced:
    """The same number in every column of every PE's submatrix; row r is on PE r mod ``pes``.

    The groups of Spartus' column-balanced targeted dropout (Gao et al., TNNLS 2022), pruned
    outright. Where ``pes`` does not divide the rows, a PE that keeps all its rows may have fewer.
    """

    pes: int

    def __post_init__(self) -> None:
        _check_count("pes", self.pes)

    def check(self, rows: int, columns: int, density: float, where: str) -> None:
        """Every PE needs a row, and in every column a weight to keep."""
        _check_rows(self.pes, rows, where)
        _check_share(density, rows / self.pes, "a column of a PE", where, "choose fewer PEs")

    def mask(self, score: FloatArray, density: float) -> BoolArray:
        """As Pattern.mask; PEs beyond the rows are left out."""
        mask = np.zeros(score.shape, dtype=bool)
        pes = min(self.pes, len(score))
        for pe, count in enumerate(_even_counts(density, _rows(len(score), pes))):
            mask[pe::pes] = _greatest(score[pe::pes].T, count).T
        return mask


PATTERNS: dict[str, type[Unstructured | PeBalanced | BankBalanced | ColumnBalanced]] = {
    "unstructured": Unstructured,
    "pe_balanced": PeBalanced,
    "bank_balanced": BankBalanced,
    "column_balanced": ColumnBalanced,
}


def make_pattern(pattern: str | Pattern, pes: int | None, bank: int | None) -> Pattern:
    """A pattern by its name, with the options it takes; PenstockError where one does not fit."""
    if pes is not None:  # of use to every pattern: the summary counts by PE
        _check_count("pes", pes)
    if not isinstance(pattern, str):
        return pattern
    if pattern not in PATTERNS:
        raise PenstockError(
            f"unknown pattern {pattern!r}", "pruning", f"choose one of {', '.join(PATTERNS)}"
        )
    kind = PATTERNS[pattern]
    options = {"pes": pes, "bank": bank}
    taken: dict[str, Any] = {name: options[name] for name in inspect.signature(kind).parameters}
    if bank is not None and "bank" not in taken:
        raise PenstockError(f"pattern {pattern} has no banks", "pruning", "leave bank out")
    for name, value in taken.items():
        if value is None:
            raise PenstockError(f"pattern {pattern} needs {name}", "pruning", f"give {name}=...")
    return kind(**taken)


def pe_balanced_mask(weight: FloatArray, density: float, pes: int) -> BoolArray:
    """Keep the greatest magnitudes, the same number on every PE: see PeBalanced.

    weight: (rows, columns). Raises PenstockError for a density outside (0, 1].
    """
    check_density(density, "pe_balanced_mask")
    return PeBalanced(pes).mask(np.abs(weight), density)


def check_density(density: object, where: str) -> None:
    """Raise PenstockError unless it is a number in (0, 1]."""
    is_number = isinstance(density, int | float | np.floating) and not isinstance(density, bool)
    if not is_number or not 0.0 < density <= 1.0:  # type: ignore[operator]
        raise PenstockError(
            f"density {density!r} is outside (0, 1]", where, "0.1 keeps a tenth of the weights"
        )


def _greatest(score: FloatArray, count: int) -> BoolArray:
    """(groups, n) -> True for the ``count`` greatest of each group; among equals, the first."""
    n = score.shape[1]
    if count >= n:
        return np.ones(score.shape, dtype=bool)
    least = np.partition(score, n - count, axis=1)[:, n - count, None]
    above, equal = score > least, score == least
    places = count - above.sum(axis=1, keepdims=True)
    kept: BoolArray = above | (equal & (equal.cumsum(axis=1) <= places))
    return kept


def _even_counts(density: float, sizes: IntArray) -> IntArray:
    """How many each group keeps, at least 1: as many as the others, or all it has.

    sizes: (groups) of at most two different values; in all, nearest to ``density``.
    """
    wanted, least = density * int(sizes.sum()), int(sizes.min())
    larger = int(np.count_nonzero(sizes > least))
    count = wanted / len(sizes)
    if larger and count > least:
        count = (wanted - least * (len(sizes) - larger)) / larger
    return np.minimum(sizes, max(1, round(count)))


def _rows(rows: int, pes: int) -> IntArray:
    """Rows of each PE, row r on PE r mod ``pes``."""
    return np.bincount(np.arange(rows) % pes, minlength=pes)


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PenstockError(
            f"{name} is {value!r}, but must be an int of at least 1", "pruning", "it is a count"
        )


def _check_rows(pes: int, rows: int, where: str) -> None:
    if pes > rows:
        raise PenstockError(
            f"{pes} PEs are more than the matrix has rows, {rows}",
            where,
            "use fewer PEs, or leave this matrix dense: density={..., 'its name': 1.0}",
        )


def _check_share(density: float, size: float, group: str, where: str, hint: str) -> None:
    if density * size < 0.5:
        raise PenstockError(
            f"at density {density:g}, {group} of {size:g} weights keeps none",
            where,
            f"{hint}, or a density of at least {0.5 / size:.2g}",
        )
