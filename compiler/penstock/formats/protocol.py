"""What a sparse format owes, and the plain types that formats hand on.

A format is a frozen value: its attributes are its parameters, its methods what the compiler asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.formats.layout import Layout
from penstock.ir.matrix import Matrix

if TYPE_CHECKING:
    from penstock.formats.phase import PhaseCode

Matrices = dict[tuple[str, int], Matrix]
"""(matvec, index of its operand) -> raw weights, (rows, columns)."""
BUBBLES = "bubbles"
"""The cause of waste that every format has: entries of a PE that waits for others or for a sum."""
QUEUES = "queues"
"""Entries of a PE that waits for the activation queue of another."""
WAITS = (QUEUES, BUBBLES)
"""The causes that are no part of a code."""


@dataclass(frozen=True)
class Field:
    """A field of an entry: ``bits`` wide, in two's complement if signed.

    width: what its number of bits is called, as a parameter (``index_bits``).
    """

    name: str
    width: str
    bits: int
    is_signed: bool = False


@dataclass(frozen=True)
class Entries:
    """The words of a phase before packing: field -> (words, pes), in integers of any width."""

    fields: dict[str, NDArray[Any]]

    def __getitem__(self, field: str) -> NDArray[Any]:
        return self.fields[field]

    @property
    def words(self) -> int:
        """Cycles that the phase takes in the PE array."""
        return int(next(iter(self.fields.values())).shape[0])

    def of_pes(self, pes: IntArray) -> Entries:
        """The share of some PEs, in this order."""
        return Entries({name: values[:, pes] for name, values in self.fields.items()})

    def of_words(self, first: int, words: int) -> Entries:
        """Some words, one after the other."""
        return Entries({name: part[first : first + words] for name, part in self.fields.items()})

    @classmethod
    def in_a_row(cls, runs: Sequence[Entries]) -> Entries:
        """Inverse of ``of_words``: the words of the first run, then those of the next."""
        names = runs[0].fields
        return cls({name: np.concatenate([run[name] for run in runs]) for name in names})

    @classmethod
    def joined(cls, shares: Sequence[Entries]) -> Entries:
        """Inverse of ``of_pes``: the PEs of the first share, then those of the next."""
        names = shares[0].fields
        return cls({name: np.concatenate([s[name] for s in shares], axis=1) for name in names})


@dataclass(frozen=True)
class NonZeros:
    """A phase's non-zeros, sorted by PE, then by position. All arrays (count).

    position: where on its PE a weight belongs; column * slots + slot where a PE owns rows.
    pe and weight are of any width: widen them before you compute.
    """

    pe: NDArray[Any]
    position: IntArray
    weight: NDArray[Any]

    def __getitem__(self, part: slice) -> NonZeros:
        return NonZeros(self.pe[part], self.position[part], self.weight[part])


class Format(Protocol):
    """One way to write a sparse matrix as entries, P of them in a word.

    phase: the code of the phase, of which this format is a part. All phases of a kernel have the
    same format, each with its own parameters.
    """

    @property
    def name(self) -> str:
        """Its name in the manifest, and of its folder below ``templates/hls/formats``."""

    def fields(self, weight_bits: int) -> tuple[Field, ...]:
        """The fields of an entry, lowest bits first; the first is ``weight``."""

    def owners(self, phase: PhaseCode, pes: int) -> int:
        """Elements whose rows are summed side by side: neighbours in position."""

    def place(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, matrices: Matrices
    ) -> NonZeros:
        """Every non-zero weight at its PE and position, whatever the parameters are."""

    def matrices(
        self, phase: PhaseCode, layouts: Mapping[str, Layout], pes: int, nonzeros: NonZeros
    ) -> Matrices:
        """Inverse of ``place``.

        Raises ValueError for a non-zero outside the matrices or a weight that is there twice.
        """

    def min_words(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """Words that a phase takes if no entry has to wait for a sum."""

    def price(self, phase: PhaseCode, nonzeros: NonZeros, pes: int) -> int:
        """What choosing these parameters costs; only to be compared. Counts all bits stored."""

    def encode(
        self, phase: PhaseCode, pes: int, nonzeros: NonZeros, hazard_distance: int
    ) -> Entries:
        """Non-zeros -> words.

        No accumulator address of a PE is used twice within ``hazard_distance`` words. None
        gathers what is not written yet, see ``rows.released``.
        """

    def decode(self, phase: PhaseCode, entries: Entries) -> tuple[NonZeros, IntArray]:
        """Words -> non-zeros and the word of each. Raises ValueError for what is no such code."""

    def waste(self, phase: PhaseCode, entries: Entries) -> dict[str, IntArray]:
        """Entries without a non-zero: cause -> (pes). ``BUBBLES`` comes last."""

    def prove_entries(self, phase: PhaseCode, entries: Entries) -> None:
        """Check what the kernel takes for granted of the entries as they are, padding and all.

        Raises AssertionError.
        """

    def prove(
        self, phase: PhaseCode, nonzeros: NonZeros, word: IntArray, hazard_distance: int
    ) -> int | None:
        """Check what the kernel takes for granted of this format's words, as they were decoded.

        Returns the words between the two closest uses of an accumulator address, None if none is
        used twice. Raises AssertionError.
        """

    def needs_tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> bool:
        """False if a PE can do without ``tables`` in this phase."""

    def tables(self, phase: PhaseCode, widest: Mapping[str, int]) -> dict[str, list[int]]:
        """Constant tables by which a PE reads its entries.

        widest: field -> bits in the kernel, where the widest phase decides.
        """
