"""What each memory stands in, where a device has less of that than memories would take.

By their depth alone, shallow memories stand in LUTs and deep ones in block RAM or UltraRAM. Where
that takes more block RAM or UltraRAM than should be planned for, some move: one after the other,
always the one that takes the smallest share of what is left elsewhere for each memory that it
frees. If not enough can move, nothing does, and the report says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock.devices import PLANNED_SHARE, Die
from penstock.machine.blocks import blocks
from penstock.machine.logic import TOO_LOW
from penstock.machine.machine import Machine
from penstock.machine.memories import Access, Memory
from penstock.machine.resources import MemoryCost, cost_of

TARGETS = {
    "streams": ("lutram",), "packets": ("lutram",), "state": ("lutram",),
    "next state": ("lutram",), "parameters": ("lutram",), "carry": ("lutram",),
    "capture": ("lutram",), "accumulators": ("lutram",), "sums": ("lutram",),
    "activations": ("lutram", "uram"), "weights": ("uram", "bram"), "frames": ("uram", "bram"),
}  # fmt: skip
"""Where memories of each kind may move. UltraRAM is read a cycle later than block RAM, so nothing
goes there whose sums come back: accumulators would need a longer hazard distance."""
SCARCE = ("bram18", "uram")
"""What memories move out of."""
ORDER = ("bram", "uram", "lutram")


@dataclass(frozen=True)
class Piece:
    """A part of a memory that moves as a whole: of the activations, the copies of one group."""

    memory: int
    count: int
    impl: str


def fitted(machine: Machine) -> Machine:
    """The machine with memories moved, where that makes it fit its device."""
    memories = machine.memories
    budget = Budget(machine)
    pieces = [piece for number in range(len(memories)) for piece in _pieces(machine, number)]
    while over := budget.over(memories, pieces):
        best = min(budget.moves(memories, pieces, over[0]), default=None)
        if best is None:
            return machine
        _, index, impl = best
        pieces[index] = replace(pieces[index], impl=impl)
    moved = (one for n, memory in enumerate(memories) for one in _parts(memory, n, pieces))
    return replace(machine, memories=tuple(moved))


def _pieces(machine: Machine, number: int) -> list[Piece]:
    memory = machine.memories[number]
    is_split = memory.kind == "activations" and not machine.hardware.is_broadcast
    parts = machine.groups.groups if is_split else 1
    return [Piece(number, memory.count // parts, memory.impl)] * parts


def _parts(memory: Memory, number: int, pieces: list[Piece]) -> Iterator[Memory]:
    """The memory as it is, moved as a whole, or in parts by what they stand in."""
    own = [piece for piece in pieces if piece.memory == number]
    for impl in dict.fromkeys((memory.impl, *ORDER)):
        count = sum(piece.count for piece in own if piece.impl == impl)
        if count:
            yield replace(memory, count=count, impl=impl, is_moved=impl != memory.impl)


class Budget:
    """How much of each resource may be taken by memories: the planned share, less the logic."""

    def __init__(self, machine: Machine) -> None:
        die, logic = machine.hardware.device.die, [block.all for block in blocks(machine)]
        self.limits = {
            "bram18": _planned(die, "bram18"), "uram": _planned(die, "uram"),
            "lut": _planned(die, "lut") - _most(sum(part.lut for part in logic)),
            "lut_memory": _planned(die, "lut_memory")
            - _most(sum(part.lut_memory for part in logic)),
        }  # fmt: skip
        self.cost: dict[tuple[Memory, int, str], MemoryCost] = {}

    def _cost(self, memories: tuple[Memory, ...], piece: Piece, impl: str) -> MemoryCost:
        memory = memories[piece.memory]
        key = (memory, piece.count, impl)
        if key not in self.cost:
            self.cost[key] = cost_of(replace(memory, count=piece.count, impl=impl))
        return self.cost[key]

    def _used(self, memories: tuple[Memory, ...], pieces: list[Piece], resource: str) -> int:
        return sum(getattr(self._cost(memories, piece, piece.impl), resource) for piece in pieces)

    def over(self, memories: tuple[Memory, ...], pieces: list[Piece]) -> list[str]:
        """That of which the memories take more than should be planned for."""
        return [n for n in SCARCE if self._used(memories, pieces, n) > self.limits[n]]

    def moves(
        self, memories: tuple[Memory, ...], pieces: list[Piece], scarce: str
    ) -> Iterator[tuple[float, int, str]]:
        """(price of what is freed, piece, where it goes) of every move out of what is scarce for
        which there is room.

        The price is the share of what is left, of the scarcest that it takes.
        """
        left = {
            name: limit - self._used(memories, pieces, name)
            for name, limit in self.limits.items() if name != scarce
        }  # fmt: skip
        for index, piece in enumerate(pieces):
            memory, now = memories[piece.memory], self._cost(memories, piece, piece.impl)
            is_movable = memory.access is Access.ONE_WRITE_ONE_READ
            for impl in TARGETS.get(memory.kind, ()) if is_movable else ():
                there = self._cost(memories, piece, impl)
                freed = getattr(now, scarce) - getattr(there, scarce)
                taken = {name: getattr(there, name) - getattr(now, name) for name in left}
                if freed > 0 and all(taken[name] <= left[name] for name in left if taken[name] > 0):
                    share = max(taken[name] / left[name] for name in left if taken[name] > 0)
                    yield share / freed, index, impl


def _planned(die: Die, resource: str) -> int:
    return int(die.total(resource) * PLANNED_SHARE[resource])


def _most(luts: int) -> int:
    """So many LUTs of logic may be that many."""
    return round(luts * (1 + TOO_LOW["lut"]))
