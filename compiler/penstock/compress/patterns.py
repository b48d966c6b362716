"""Which weights of a matrix stay: the patterns of magnitude pruning, one definition each.

All of them keep the greatest scores of groups of weights; they differ in the groups. Among equal
scores the first in reading order stays, so the same weights give the same mask on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

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
class BankInterleaved:
    """The same number of a row in each of ``banks`` banks; column j of a vector is in bank j mod
    ``banks``, as in the hardware of ``--dataflow bank``.

    Matrices whose products meet in one sum, as those of [x; y], share the banks (``joint_mask``).
    Where the banks do not hold equally many columns, one that keeps all it has may have fewer.
    """

    banks: int

    def __post_init__(self) -> None:
        _check_count("banks", self.banks)
        if self.banks & (self.banks - 1):
            raise PenstockError(
                f"the hardware has no {self.banks} banks", "pruning", "choose a power of two"
            )

    def check(self, rows: int, columns: int, density: float, where: str) -> None:
        """As ``check_joint``, of a matrix by itself."""
        self.check_joint([columns], density, where)

    def mask(self, score: FloatArray, density: float) -> BoolArray:
        """As Pattern.mask."""
        return self.joint_mask(score, [score.shape[1]], density)

    def check_joint(self, vectors: Sequence[int], density: float, where: str) -> None:
        """Every bank needs a column, and a weight to keep. vectors: as of ``joint_mask``."""
        widest = max(vectors)
        if self.banks > widest:
            raise PenstockError(
                f"{self.banks} banks are more than a vector has columns, {widest}",
                where,
                "use fewer banks, or leave this matrix dense: density={..., 'its name': 1.0}",
            )
        share = sum(vectors) / self.banks
        _check_share(density, share, "a bank", where, "choose fewer banks")

    def joint_mask(self, score: FloatArray, vectors: Sequence[int], density: float) -> BoolArray:
        """The mask of matrices side by side. score: (rows, columns of all of them); vectors: the
        elements of each vector that they are multiplied by, in the order of their columns.
        """
        bank_of = self._bank_of(vectors)
        count = self.kept_per_bank(vectors, density)
        mask = np.zeros(score.shape, dtype=bool)
        for bank in range(self.banks):
            columns = np.flatnonzero(bank_of == bank)
            mask[:, columns] = _greatest(score[:, columns], count)
        return mask

    def kept_per_bank(self, vectors: Sequence[int], density: float) -> int:
        """How many weights of a row each bank keeps, at least 1: what comes nearest to density."""
        sizes = self._sizes(vectors)
        counts = np.arange(1, max(int(sizes.max()), 1) + 1)
        kept = np.minimum(sizes, counts[:, None]).sum(axis=1)
        return int(counts[np.abs(kept - density * sizes.sum()).argmin()])

    def per_bank(self, is_nonzero: BoolArray, vectors: Sequence[int]) -> IntArray:
        """(rows, columns) -> (rows, banks) non-zeros."""
        bank_of = self._bank_of(vectors)
        found = [is_nonzero[:, bank_of == bank].sum(axis=1) for bank in range(self.banks)]
        return np.stack(found, axis=1)

    def _bank_of(self, vectors: Sequence[int]) -> IntArray:
        """Of each column."""
        return np.concatenate([np.arange(length) % self.banks for length in vectors])

    def _sizes(self, vectors: Sequence[int]) -> IntArray:
        """Columns of each bank."""
        return np.bincount(self._bank_of(vectors), minlength=self.banks)


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


PATTERNS: dict[str, dict[str | None, Callable[..., Pattern]]] = {
    "unstructured": {None: Unstructured},
    "pe_balanced": {"pes": PeBalanced},
    "bank_balanced": {"bank": BankBalanced, "banks": BankInterleaved},
    "column_balanced": {"pes": ColumnBalanced},
}
"""By name, and by the option that it takes, of which it needs one."""


def make_pattern(
    pattern: str | Pattern,
    pes: int | None = None,
    bank: int | None = None,
    banks: int | None = None,
) -> Pattern:
    """A pattern by its name, with the option it takes; PenstockError where one does not fit."""
    if pes is not None:  # of use to every pattern: the summary counts by PE
        _check_count("pes", pes)
    if not isinstance(pattern, str):
        return pattern
    if pattern not in PATTERNS:
        raise PenstockError(
            f"unknown pattern {pattern!r}", "pruning", f"choose one of {', '.join(PATTERNS)}"
        )
    kinds = PATTERNS[pattern]
    options = {"pes": pes, "bank": bank, "banks": banks}
    for name in ("bank", "banks"):
        if options[name] is not None and name not in kinds:
            raise PenstockError(f"pattern {pattern} has no banks", "pruning", f"leave {name} out")
    if None in kinds:
        return kinds[None]()
    given = [name for name in kinds if name is not None and options[name] is not None]
    if not given:
        needed = " or ".join(map(str, kinds))
        hint = " or ".join(f"{name}=..." for name in kinds)
        raise PenstockError(f"pattern {pattern} needs {needed}", "pruning", f"give {hint}")
    if len(given) > 1:
        raise PenstockError(
            "bank and banks are both given", "pruning",
            "give bank, the columns of a bank, or banks, as many as the hardware has",
        )  # fmt: skip
    return kinds[given[0]](options[given[0]])


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
