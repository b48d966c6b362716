"""What is pruned as one: the matrix of a gate, or, in banks, all whose products meet in one sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.compress.matrices import Matrix
from penstock.compress.patterns import BankInterleaved, BoolArray, Pattern
from penstock.fixed import FloatArray


class Block(NamedTuple):
    """The rows of one gate of a matrix."""

    matrix: Matrix
    gate: str


class InBanks(NamedTuple):
    """Matrices whose products meet in one sum and that share banks; the least and the most
    non-zeros of a row in a bank, over all of them."""

    matrices: tuple[str, ...]
    min_per_bank: int
    max_per_bank: int


@dataclass(frozen=True)
class Group:
    """Blocks side by side that share a pattern; one block, or in banks those of one sum."""

    pattern: Pattern
    blocks: tuple[Block, ...]

    @property
    def title(self) -> str:
        """Names of the matrices, and the gate."""
        names = [matrix.name for matrix, _ in self.blocks]
        return self.blocks[0].matrix.titled(self.blocks[0].gate, " and ".join(names))

    @property
    def vectors(self) -> list[int]:
        """The elements of each vector that the columns are multiplied by, side by side."""
        return [length for matrix, _ in self.blocks for length in matrix.vectors]

    def density(self, density_of: Mapping[str, float]) -> float:
        """Over all blocks. density_of: each matrix, by its name."""
        kept = [density_of[matrix.name] * sum(matrix.vectors) for matrix, _ in self.blocks]
        return sum(kept) / sum(self.vectors)

    def check(self) -> None:
        """Raise PenstockError if the blocks can't have the pattern."""
        density = self.density({matrix.name: matrix.density for matrix, _ in self.blocks})
        if isinstance(self.pattern, BankInterleaved):
            self.pattern.check_joint(self.vectors, density, self.title)
            return
        matrix, _ = self.blocks[0]
        rows, columns = matrix.weight.shape
        self.pattern.check(rows // len(matrix.gates), columns, density, self.title)

    def side_by_side(self, values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The columns of all blocks. values: of each matrix, by its name."""
        return np.concatenate(
            [matrix.blocks(values[matrix.name])[gate] for matrix, gate in self.blocks], axis=1
        )

    def masks(
        self, score_of: Mapping[str, FloatArray], density: float
    ) -> Iterator[tuple[Block, BoolArray]]:
        """Of every block, for this density over all. score_of: matrix -> (rows of all gates,
        columns)."""
        score = self.side_by_side(score_of)
        if isinstance(self.pattern, BankInterleaved):
            mask = self.pattern.joint_mask(score, self.vectors, density)
        else:
            mask = self.pattern.mask(score, density)
        ends = np.cumsum([sum(matrix.vectors) for matrix, _ in self.blocks])
        yield from zip(self.blocks, np.split(mask, ends[:-1], axis=1), strict=True)

    def in_banks(self) -> InBanks | None:
        """What there is in them now; None without such banks."""
        if not isinstance(self.pattern, BankInterleaved):
            return None
        is_nonzero = {m.name: (m.weight != 0).cpu().numpy() for m, _ in self.blocks}
        found = self.pattern.per_bank(self.side_by_side(is_nonzero), self.vectors)
        names = tuple(matrix.name for matrix, _ in self.blocks)
        return InBanks(names, int(found.min()), int(found.max()))


def groups_of(matrices: list[Matrix], patterns: Mapping[str, Pattern]) -> list[Group]:
    """Every block in its group. A matrix that stays dense is in none but its own."""
    found: dict[tuple[str, str, Pattern | None], list[Block]] = {}
    for matrix in matrices:
        pattern = patterns[matrix.name]
        shares = isinstance(pattern, BankInterleaved) and matrix.density < 1.0
        for gate, total in zip(matrix.gates, matrix.sums, strict=True):
            key = (total, gate, pattern) if shares else (matrix.name, gate, None)
            found.setdefault(key, []).append(Block(matrix, gate))
    return [Group(patterns[blocks[0].matrix.name], tuple(blocks)) for blocks in found.values()]
