"""How an array is stored: its banks by ARRAY_PARTITION, and what a bank can do in a cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from penstock_runtime.lint.pragmas import Pragma
from penstock_runtime.lint.scopes import number_of
from penstock_runtime.lint.values import Value

ANY = None
"""The place of an index in a bank's key that is not known: it may be each."""
Bank = tuple[int | None, ...]

PORTS = {
    "ram_1p": "1 access", "ram_2p": "2 accesses, at most one a write", "ram_t2p": "2 accesses",
    "ram_s2p": "1 read and 1 write", "ram_1wnr": "1 write, any reads", "rom_1p": "1 read",
    "rom_2p": "2 reads", "rom_np": "any reads", "registers": "no limit",
    "stream": "1 read and 1 write", "port": "1 read and 1 write",
}  # fmt: skip
"""UG1399, BIND_STORAGE: what a memory can do in one cycle."""


def cycles(kind: str, reads: int, writes: int) -> int:
    """The cycles that a memory of a kind takes for so many accesses."""
    match kind:
        case "registers" | "rom_np":
            return 1
        case "ram_1p" | "rom_1p":
            return reads + writes
        case "ram_t2p" | "rom_2p":
            return -(-(reads + writes) // 2)
        case "ram_2p":
            return max(writes, -(-(reads + writes) // 2))
        case "ram_1wnr":
            return writes
        case _:
            return max(reads, writes)


@dataclass(frozen=True)
class Partition:
    """One dimension of an array, cut into banks. kind: complete, cyclic or block."""

    kind: str
    factor: int
    extent: int

    @property
    def banks(self) -> int:
        """How many there are."""
        return self.extent if self.kind == "complete" else min(self.factor, self.extent)

    def bank(self, index: Value) -> int | None:
        """The bank in which an index lies, if that is known."""
        if self.kind == "cyclic":
            return index.modulo(self.factor)
        if index.known is None:
            return ANY
        size = 1 if self.kind == "complete" else -(-self.extent // self.factor)
        return index.known // size


@dataclass(frozen=True)
class Storage:
    """kind: see PORTS. partitions: by dimension, from 0. wide: dimensions of one address."""

    kind: str
    partitions: Mapping[int, Partition]
    wide: frozenset[int] = frozenset()

    @property
    def banks(self) -> int:
        """Into how many memories the array is cut."""
        return prod(partition.banks for partition in self.partitions.values())

    def bank(self, indices: tuple[Value, ...]) -> Bank:
        """The bank of an element."""
        return tuple(
            partition.bank(indices[dim]) if dim < len(indices) else ANY
            for dim, partition in sorted(self.partitions.items())
        )

    def address(self, indices: tuple[Value, ...]) -> tuple[Value, ...]:
        """What tells a word of a bank from the others."""
        return tuple(index for dim, index in enumerate(indices) if dim not in self.wide)


def partition_kind(pragma: Pragma) -> str:
    """complete, cyclic or block: by position, or as ``type=``; complete if it is not said."""
    kinds = {"complete", "cyclic", "block"}
    words = [word.lower() for word in (*pragma.words, pragma.options.get("type", "complete"))]
    return next(word for word in [*words, "complete"] if word in kinds)


def dims_of(pragma: Pragma, rank: int, shift: int, constants: Mapping[str, int]) -> list[int]:
    """The dimensions that a pragma is about, from 0."""
    dim = number_of(pragma.options.get("dim", "1"), constants)
    if dim == 0:
        return list(range(shift, rank))
    return [] if dim is None else [dim - 1 + shift]


def partitions(
    pragmas: Mapping[Pragma, int], dims: tuple[int, ...], constants: Mapping[str, int],
    name: str = "ARRAY_PARTITION",
) -> dict[int, Partition]:  # fmt: skip
    """What pragmas make of an array's dimensions."""
    found = {}
    for pragma, shift in pragmas.items():
        if pragma.name != name:
            continue
        factor = number_of(pragma.options.get("factor", "1"), constants) or 1
        for dim in dims_of(pragma, len(dims), shift, constants):
            if dim < len(dims):
                found[dim] = Partition(partition_kind(pragma), factor, dims[dim])
    return found
