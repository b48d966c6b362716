"""Which of the matrices beside a recurrent module is its head, which an embedding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.chain import LIVE
from penstock.frontend.reader import shape

MOST = 6
"""Matrices beside a recurrent module that are told apart."""


class Role(StrEnum):
    """What a matrix may be."""

    HEAD = "a Linear head"
    EMBEDDING = "an embedding"
    FRONT = "a Linear layer in front"


@dataclass(frozen=True, eq=False)
class Matrix:
    """A weight matrix. is_before: the state dict has it before, or, if not, behind the recurrent
    tensors; None where its order says nothing."""

    name: str
    value: FloatArray
    has_bias: bool
    is_before: bool | None

    @property
    def title(self) -> str:
        """The layer's name."""
        return self.name.removesuffix("weight").rstrip(".") or self.name

    @property
    def is_table(self) -> bool:
        """True for what is called an embedding and has no bias."""
        return not self.has_bias and "emb" in self.name.lower()

    def __str__(self) -> str:
        return f"{self.name} ({shape(self.value.shape)})"


@dataclass(frozen=True)
class Places:
    """Where a matrix can stand. inputs, outputs: of the recurrent layers; has_head: as was said."""

    inputs: int
    outputs: int
    where: str
    has_head: bool = False

    def assign(self, matrices: list[Matrix]) -> dict[str, Role]:
        """The role of every matrix, by its name.

        Raises PenstockError where there is none, or more than one way that all can stand.
        """
        tables = self._tables(matrices)
        rest = [one for one in matrices if one not in tables]
        found = list(self._readings(rest)) if len(rest) <= MOST else []
        if self.has_head:
            found = [reading for reading in found if Role.HEAD in reading] or found
        found = self._tied(rest, found) or found
        if len(found) == 1 and Role.FRONT not in found[0]:
            roles = dict(zip((one.name for one in rest), found[0], strict=True))
            return roles | dict.fromkeys((one.name for one in tables), Role.EMBEDDING)
        raise self._error(rest, found)

    def _tied(
        self, matrices: list[Matrix], found: list[tuple[Role, ...]]
    ) -> list[tuple[Role, ...]]:
        """A reading of one matrix that is embedding and head: it does not matter which is which."""
        pairs = [reading for reading in found if {*reading} == {Role.EMBEDDING, Role.HEAD}]
        is_tied = len(matrices) == 2 and np.array_equal(matrices[0].value, matrices[1].value)
        return pairs[-1:] if is_tied and len(pairs) == len(found) else []

    def _tables(self, matrices: list[Matrix]) -> list[Matrix]:
        """Embeddings for sure: by their name, or side by side as wide as the frame."""
        narrow = [
            one for one in matrices
            if not one.has_bias and one.value.shape[1] < self.inputs and not self._roles(one)
        ]  # fmt: skip
        is_frame = sum(one.value.shape[1] for one in narrow) == self.inputs
        return [
            one for one in matrices
            if (one.is_table and one.value.shape[1] <= self.inputs)
            or (is_frame and one in narrow)
        ]  # fmt: skip

    def _readings(self, matrices: list[Matrix]) -> Iterator[tuple[Role, ...]]:
        for reading in product(*(self._roles(one) for one in matrices)):
            if max(reading.count(Role.HEAD), reading.count(Role.FRONT)) <= 1:
                yield reading

    def _roles(self, matrix: Matrix) -> list[Role]:
        rows, columns = matrix.value.shape
        roles = [Role.HEAD] if columns == self.outputs else []
        if columns == self.inputs and not matrix.has_bias:
            roles.append(Role.EMBEDDING)
        if rows == self.inputs and matrix.is_before is not False:
            roles.append(Role.FRONT)
        return roles

    def _error(self, matrices: list[Matrix], found: list[tuple[Role, ...]]) -> PenstockError:
        follows = [
            one for one in matrices
            if any(other.value.shape[1] == len(one.value) for other in matrices if other is not one)
        ]  # fmt: skip
        lost = [one for one in matrices if not self._roles(one)]
        if len(found) > 1:
            return self._ambiguous(matrices)
        if found and not follows:
            return self._in_front(matrices, found[0])
        if lost and not follows:
            return PenstockError(
                f"can't compile {_listed(lost)}: a head would have {self.outputs} columns, an "
                f"embedding {self.inputs} and no bias",
                self.where,
                LIVE,
            )
        return PenstockError(
            f"can't compile {_listed(matrices)}: a state dict does not say the order of several "
            "Linear layers, nor what stands between them",
            self.where,
            LIVE,
        )

    def _in_front(self, matrices: list[Matrix], reading: tuple[Role, ...]) -> PenstockError:
        front = matrices[reading.index(Role.FRONT)]
        return PenstockError(
            f"{front} seems to stand in front of the recurrent layer, which reads {self.inputs} "
            "inputs; a state dict does not say what stands between",
            self.where,
            LIVE,
        )

    def _ambiguous(self, matrices: list[Matrix]) -> PenstockError:
        listed = "; ".join(
            f"{one} could be {' or '.join(roles)}"
            for one in matrices if len(roles := self._roles(one)) > 1
        )  # fmt: skip
        choices = ["--head last or --head step if it is the head"]
        if any(Role.EMBEDDING in self._roles(one) for one in matrices):
            choices.append("rename it to emb.weight if it is an embedding")
        return PenstockError(listed, self.where, f"{'; '.join(choices)}; else {LIVE}")


def _listed(matrices: list[Matrix]) -> str:
    return ", ".join(map(str, matrices[:3])) + (
        f" and {len(matrices) - 3} more" if len(matrices) > 3 else ""
    )
