"""Where in a step each word, unit and frame of a program comes: as early as can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from penstock.machine.arrays import Array
from penstock.machine.depths import PASS_DISTANCE
from penstock.machine.work import Classes, Item, Key, Part

Place = tuple[Key | Part, int]
"""The part of it that belongs to one of the sequences that take turns."""


@dataclass
class Known:
    """What is known of a vector as the program is written."""

    ready: int = 0  # the first cycle that may read it
    first_read: int | None = None
    last_read: int = -1
    last_write: int | None = None
    depth: int = 0


@dataclass
class Writer:
    """What is placed so far. has_addresses: of each word it is said where it is kept; known: of all
    that is read and written; cycles: fields of ``Cycle``, of those that are not empty; next_word,
    next_op: where words and units may go on.
    """

    has_addresses: bool
    classes: Classes
    known: dict[Place, Known] = field(default_factory=dict)
    cycles: dict[int, dict[str, int]] = field(default_factory=dict)
    next_word: int = 0
    next_op: int = 0
    taken: int = -1  # the cycle in which the last sums have been

    def of(self, key: Key | Part, sequence: int) -> Known:
        """What is known of one of them."""
        return self.known.setdefault((key, sequence), Known())

    def parts(self, keys: Iterable[Key], sequence: int) -> list[Known]:
        """What is known of all parts."""
        return [self.of(key, sequence) for key in self.classes.parts(keys)]

    def put(self, cycle: int, **fields: int) -> None:
        """Something happens in a cycle."""
        self.cycles.setdefault(cycle, {}).update(fields)


def place(writer: Writer, item: Item, sequence: int) -> None:
    """As early as what it reads is there, and what it overwrites is no longer read."""
    soonest = max([
        writer.next_op, *(known.ready for known in writer.parts(item.read, sequence)),
        *(known.last_read + 1 for known in writer.parts(item.written - item.later, sequence)),
    ])  # fmt: skip
    if item.turns:
        ops = _place_words(writer, item, sequence, soonest)
    else:
        ops = [(soonest + n, n) for n in range(item.ops)]
    for cycle, elements in ops:
        number = {"move" if item.is_move else "unit": item.number + 1}
        part = elements % item.parts
        writer.put(cycle, part=part, elements=elements, sequence=sequence, **number)
    _read(writer, item.read - item.written, sequence, ops[0][0], ops[-1][0])
    _write(writer, item, sequence, ops)
    writer.next_op = ops[-1][0] + 1


def _place_words(writer: Writer, item: Item, sequence: int, soonest: int) -> list[tuple[int, int]]:
    """The words of a phase; cycles and elements of its unit, which begins ``soonest`` then."""
    ready = [max((writer.of(key, sequence).ready for key in own), default=0)
             for own in item.gathered]  # fmt: skip
    addresses = [item.first_word, *(item.first_word + n for n in accumulate(item.turns))]
    classes, ops = len(item.gathered), []
    before: dict[int, int] = {}
    reads: dict[int, list[int]] = {}
    cycle = writer.next_word
    for turn, word, slot in item.in_order():
        of_class = word * classes // item.turns[turn]
        is_last = word == item.turns[turn] - 1
        cycle = max(cycle, ready[of_class])
        if item.chunks and word:
            cycle = max(cycle, before[turn] + PASS_DISTANCE)
        if is_last:  # the units must have taken the sums before these
            cycle = max(cycle, writer.taken + 1)
        writer.put(
            cycle, phase=item.phase, word_sequence=sequence, slot=slot,
            word=addresses[turn] + word if writer.has_addresses else 0,
            first=int(bool(item.chunks) and word == 0),
            last=1 + turn % item.at_once if is_last else 0,
        )  # fmt: skip
        if is_last and (turn + 1) % item.at_once == 0:
            first, elements = max(soonest, cycle), turn // item.at_once * item.parts
            ops += [(first + part, elements + part) for part in range(item.parts)]
            writer.taken = ops[-1][0]
        before[turn] = cycle
        reads.setdefault(of_class, [cycle, cycle])[1] = cycle
        cycle += 1
    for of_class, (first, last) in reads.items():
        _note_reads(writer, item.gathered[of_class], sequence, first, last)
    writer.next_word = cycle
    return ops


def place_ahead(writer: Writer, items: list[Item], sequences: range) -> None:
    """Frames of the next step, in the cycles in which no unit works once nothing more is read of
    those before.
    """
    cycle = 0
    for item in items:
        for sequence in sequences:
            known = writer.parts(item.written - item.later, sequence)
            cycle = max([cycle, *(one.last_read + 1 for one in known)])
            ops = []
            for index in range(item.ops):
                while {"unit", "move"} & writer.cycles.get(cycle, {}).keys():
                    cycle += 1
                writer.put(cycle, move=item.number + 1, elements=index, sequence=sequence)
                ops.append((cycle, index))
                cycle += 1
            _read(writer, item.read, sequence, cycle - item.ops, cycle - 1)
            _write(writer, item, sequence, ops)
            writer.next_op = max(writer.next_op, cycle)


def _write(writer: Writer, item: Item, sequence: int, ops: list[tuple[int, int]]) -> None:
    for key in item.written:
        for part, last in writer.classes.last_writes(key, ops).items():
            known = writer.of(part, sequence)
            known.last_write, known.depth = last, item.depth
            known.ready = 0 if key in item.later else last + item.depth


def _read(writer: Writer, keys: Iterable[Key], sequence: int, first: int, last: int) -> None:
    _note_reads(writer, writer.classes.parts(keys), sequence, first, last)


def _note_reads(
    writer: Writer, parts: Iterable[Key | Part], sequence: int, first: int, last: int
) -> None:
    for part in parts:
        known = writer.of(part, sequence)
        known.first_read = first if known.first_read is None else min(known.first_read, first)
        known.last_read = max(known.last_read, last)


def wraps(writer: Writer, items: list[Item]) -> Iterator[int]:
    """Cycles that a step must have, for what it writes is read early in the next."""
    for known in writer.known.values():
        if known.last_write is not None and known.first_read is not None:
            yield known.last_write + known.depth - known.first_read
    for item in items:  # what a unit itself reads again a step later, element by element
        if any(isinstance(key, Array) for key in item.written):
            yield item.depth
