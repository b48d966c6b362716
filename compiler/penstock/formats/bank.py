"""The bank-balanced code (Cao et al., FPGA 2019): a multiplier for every row and bank at hand.

``rows`` rows of a phase are worked on at a time, each by ``banks`` multipliers: PE = row * banks +
bank. Position p of a gathered vector lies in bank p mod ``banks``, and a multiplier reads no other.
A *turn* is the words in which the same rows are summed: as many as the fullest bank of any of them
has non-zeros. An entry is a weight and its address in the bank, so there is no padding and no
hazard; where a bank of a row holds fewer, entries of weight 0 fill it up.

A mask that is balanced for ``classes`` x ``banks`` banks is so for ``banks`` with as many times the
words. Then each word of a turn reads addresses of one class alone: those of a vector that are alike
mod ``classes``. Words of the first classes can be multiplied while the last are not yet there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec.structs import replace

from penstock.bounds import MAX_LENGTH, MAX_MULTIPLIERS
from penstock.fixed import IntArray
from penstock.formats.layout import Layout
from penstock.formats.protocol import BUBBLES, Entries, Field, Matrices, NonZeros
from penstock.ir.matrix import Matrix
from penstock.sorting import stable_order

if TYPE_CHECKING:
    from penstock.formats.phase import PhaseCode

UNBALANCED = "unbalanced"
"""The cause of waste: entries of a bank with fewer non-zeros than the fullest of its turn."""
WIDEST_ADDRESS = 20
MOST_CLASSES = 8


class Bank(msgspec.Struct, frozen=True, tag="bank", tag_field="name", forbid_unknown_fields=True):
    """``rows`` x ``banks`` multipliers, addresses of ``index_bits`` bits. lengths: words of each
    turn of the phase. classes: of addresses; a turn has as many words for each, 1 for any."""

    name: ClassVar[str] = "bank"
    rows: Annotated[int, msgspec.Meta(ge=1, le=MAX_MULTIPLIERS)]
    banks: Annotated[int, msgspec.Meta(ge=1, le=MAX_MULTIPLIERS)]
    index_bits: Annotated[int, msgspec.Meta(ge=1, le=WIDEST_ADDRESS)]
    lengths: Annotated[tuple[Annotated[int, msgspec.Meta(ge=1, le=MAX_LENGTH)], ...],
                       msgspec.Meta(min_length=1, max_length=MAX_LENGTH)]  # fmt: skip
    classes: Annotated[int, msgspec.Meta(ge=1, le=MOST_CLASSES)] = 1

    @classmethod
    def of(cls, phase: PhaseCode, nonzeros: NonZeros, rows: int, banks: int) -> Bank:
        """The code of a phase: each turn has the words that its fullest bank needs."""
        span = _span(phase, banks)
        counts = np.zeros((rows * banks, phase.rows_per_pe), dtype=np.int64)
        np.add.at(counts, (nonzeros.pe, nonzeros.position // span), 1)
        lengths = np.maximum(counts.max(axis=0), 1)
        bits = max((span - 1).bit_length(), 1)
        made = cls(rows, banks, bits, tuple(lengths.tolist()))
        every = (replace(made, classes=n) for n in range(min(lengths.min(), MOST_CLASSES), 1, -1))
        return next((one for one in every if one._is_balanced(phase, nonzeros)), made)

    def _is_balanced(self, phase: PhaseCode, nonzeros: NonZeros) -> bool:
        """True if no class has more non-zeros than its share of the words of a turn."""
        if any(length % self.classes for length in self.lengths):
            return False
        turn, of_class = self._turns_and_classes(phase, nonzeros)
        shape = (self.rows * self.banks, len(self.lengths), self.classes)
        place = np.ravel_multi_index((nonzeros.pe, turn, of_class), shape)
        counts = np.bincount(place, minlength=prod(shape)).reshape(shape)
        return bool((counts.max(axis=(0, 2)) * self.classes <= self.lengths).all())

    def _turns_and_classes(
        self, phase: PhaseCode, nonzeros: NonZeros
    ) -> tuple[IntArray, IntArray]:  # fmt: skip
        """Of each non-zero, its turn, and the class of its address in its vector."""
        turn, address = np.divmod(nonzeros.position, _span(phase, self.banks))
        firsts = np.cumsum([0, *(-(-columns // self.banks) for _, columns in phase.operands)])
        local = address - firsts[np.searchsorted(firsts, address, side="right") - 1]
        return turn, local % self.classes

    def fields(self, weight_bits: int) -> tuple[Field, ...]:
        """See ``Format``."""
        return (
            Field("weight", "weight_bits", weight_bits, is_signed=True),
            Field("index", "index_bits", self.index_bits),
        )

    def owners(self, phase: PhaseCode, pes: int) -> int:
        """See ``Format``: elements whose rows are summed in a turn."""
        return self.rows // phase.siblings

    def place(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, matrices: Matrices
    ) -> NonZeros:
        """See ``Format``. Position = turn * addresses of the phase + address."""
        span, found = _span(phase, self.banks), []
        turn_of, row_of = self._rows(phase, layouts)
        for m, matvec, k, first, columns in self._pairs(phase, layouts):
            matrix = matrices[matvec, k]
            row = np.repeat(np.arange(len(turn_of)), matrix.row_counts)
            bank, address = (
                columns[matrix.columns] % self.banks,
                columns[matrix.columns] // self.banks,
            )
            pe = (row_of[row] + m) * self.banks + bank
            found.append((pe, turn_of[row] * span + first + address, matrix.values))
        pe, position, weight = (np.concatenate(part) for part in zip(*found, strict=True))
        order = stable_order(pe * (span * phase.rows_per_pe) + position)
        return NonZeros(pe[order].astype(np.int32), position[order], weight[order])

    def matrices(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, nonzeros: NonZeros
    ) -> Matrices:
        """See ``Format``."""
        span = _span(phase, self.banks)
        turn, address = np.divmod(nonzeros.position, span)
        row, bank = np.divmod(nonzeros.pe.astype(np.int64), self.banks)
        owner, sibling = np.divmod(row, phase.siblings)
        rows = layouts[phase.rows]
        element = rows.element_at[turn * self.owners(phase, pes) + owner]
        if (element < 0).any():
            raise ValueError(f"phase {phase.name} has an entry outside its matrix")
        found: Matrices = {}
        seen = 0
        for m, matvec, k, first, _ in self._pairs(phase, layouts):
            own = layouts[phase.operands[phase.gathers[m][k]][0]]
            depth = -(-phase.operands[phase.gathers[m][k]][1] // self.banks)
            mine = np.flatnonzero((sibling == m) & (first <= address) & (address < first + depth))
            position = (address[mine] - first) * self.banks + bank[mine]
            column = np.append(own.element_at, [-1] * (depth * self.banks))[position]
            if (column < 0).any():
                raise ValueError(f"phase {phase.name} has an entry in an empty column")
            seen += len(mine)
            try:
                found[matvec, k] = Matrix.of_places(
                    (rows.length, own.length), element[mine] * own.length + column,
                    nonzeros.weight[mine],
                )  # fmt: skip
            except ValueError as error:
                raise ValueError(f"phase {phase.name} holds a weight twice") from error
        if seen != len(element):
            raise ValueError(f"phase {phase.name} has an entry outside its matrix")
        return found

    def min_words(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """See ``Format``."""
        return sum(self.lengths)

    def price(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """There is one choice."""
        return 0

    def encode(
        self, phase: PhaseCode, pes: int, nonzeros: NonZeros, hazard_distance: int
    ) -> Entries:
        """See ``Format``. Addresses of a row, bank and class ascend within its turn."""
        starts, share = np.cumsum((0, *self.lengths)), np.array(self.lengths) // self.classes
        turn, of_class = self._turns_and_classes(phase, nonzeros)
        group = (nonzeros.pe.astype(np.int64) * len(share) + turn) * self.classes + of_class
        order = stable_order(group)
        begins = np.flatnonzero(np.diff(group[order], prepend=-1))
        rank = np.zeros_like(group)
        rank[order] = np.arange(len(group)) - np.repeat(
            begins, np.diff(np.append(begins, len(group)))
        )
        if (rank >= share[turn]).any():
            raise ValueError(f"phase {phase.name}: a bank holds more than its turn has words")
        word = starts[turn] + of_class * share[turn] + rank
        fields = {"weight": nonzeros.weight, "index": nonzeros.position % _span(phase, self.banks)}
        placed: dict[str, Any] = {}
        for name, values in fields.items():
            placed[name] = np.zeros((int(starts[-1]), pes), dtype=np.int32)
            placed[name][word, nonzeros.pe] = values
        return Entries(placed)

    def decode(self, phase: PhaseCode, entries: Entries) -> tuple[NonZeros, IntArray]:
        """See ``Format``."""
        span = _span(phase, self.banks)
        ends = np.cumsum(self.lengths)
        if len(self.lengths) != phase.rows_per_pe or ends[-1] != entries.words:
            raise ValueError(f"phase {phase.name}: its turns are not those of its words")
        pe, word = np.nonzero(entries["weight"].T)
        address = entries["index"][word, pe].astype(np.int64)
        if (address >= span).any():
            raise ValueError(f"phase {phase.name} has an entry outside its matrix")
        turn = np.searchsorted(ends, word, side="right")
        position = turn * span + address
        return NonZeros(pe.astype(np.int32), position, entries["weight"][word, pe]), word

    def waste(self, phase: PhaseCode, entries: Entries) -> dict[str, IntArray]:
        """See ``Format``."""
        empty = np.count_nonzero(entries["weight"] == 0, axis=0)
        return {UNBALANCED: empty, BUBBLES: np.zeros_like(empty)}

    def prove_entries(self, phase: PhaseCode, entries: Entries) -> None:
        """See ``Format``. Entries of weight 0 read an address that is there, too."""
        if (entries["index"] >= _span(phase, self.banks)).any():
            raise AssertionError(f"phase {phase.name}: an entry reads beyond its bank")

    def prove(
        self, phase: PhaseCode, nonzeros: NonZeros, word: IntArray, hazard_distance: int
    ) -> int | None:
        """See ``Format``. Sums stay in registers: no address of a memory is used twice."""
        return None

    def needs_tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> bool:
        """Where a turn ends can't be seen in a word."""
        return True

    def tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> dict[str, list[int]]:
        """Of each word of the phase, 1 if it is the last of its turn."""
        last = np.zeros(sum(self.lengths), dtype=np.int64)
        last[np.cumsum(self.lengths) - 1] = 1
        return {"last": last.tolist()}

    def _rows(
        self, phase: PhaseCode, layouts: Mapping[str, Layout]
    ) -> tuple[IntArray, IntArray]:  # fmt: skip
        """Of each row of a matrix, its turn, and its place there for sibling 0."""
        turn, owner = np.divmod(layouts[phase.rows].position_of, self.rows // phase.siblings)
        return turn, owner * phase.siblings

    def _pairs(
        self, phase: PhaseCode, layouts: Mapping[str, Layout]
    ) -> Iterator[tuple[int, str, int, int, IntArray]]:
        """Every matrix: number and name of its matvec, index of its vector, the vector's first
        address, the position of each of its elements."""
        depths = [-(-columns // self.banks) for _, columns in phase.operands]
        for m, matvec in enumerate(phase.matvecs):
            for k, operand in enumerate(phase.gathers[m]):
                columns = layouts[phase.operands[operand][0]].position_of
                yield m, matvec, k, sum(depths[:operand]), columns


def _span(phase: PhaseCode, banks: int) -> int:
    """Addresses of all of a phase's vectors."""
    return sum(-(-columns // banks) for _, columns in phase.operands)
