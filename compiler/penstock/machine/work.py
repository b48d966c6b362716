"""What the program of a sweep has to place: words and unit of each phase, frames, states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from penstock.formats import Bank
from penstock.machine.arrays import Array, Role
from penstock.machine.depths import MOVE_DEPTH
from penstock.machine.phases import Load, Phase, block_depth
from penstock.machine.states import State
from penstock.machine.storage import Storage
from penstock.machine.units import Action, Need

Key = str | Array
"""What is read and written: a region's segment, or an array."""


class Part(NamedTuple):
    """The positions of a segment whose addresses are of one class."""

    segment: str
    number: int


@dataclass(frozen=True)
class Item:
    """One thing to place. turns: words of each turn, if it has products; ops: cycles in which the
    unit or the move works, ``parts`` for each turn, or one for ``at_once`` of them. gathered: what
    the words of each class read; read, written: what the unit does. first_word: of the words, its
    address. later: what of the written the next step reads, from an image of its own. depth: cycles
    from an op's word until what it writes can be read. is_ahead: it is done for the next step.
    chunks: turns that go through their passes together; none: no turn begins before the last ends.
    has_results: what it does leaves the kernel.
    """

    number: int
    is_move: bool
    turns: tuple[int, ...]
    ops: int
    parts: int
    at_once: int
    gathered: tuple[frozenset[Key | Part], ...]
    read: frozenset[Key]
    written: frozenset[Key]
    later: frozenset[Key]
    depth: int
    phase: int = 0
    first_word: int = 0
    is_ahead: bool = False
    chunks: tuple[tuple[int, ...], ...] = ()
    has_results: bool = False

    def in_order(self) -> Iterator[tuple[int, int, int]]:
        """Turn, number in the turn and slot of every word, in their order."""
        if not self.chunks:
            for turn, count in enumerate(self.turns):
                yield from ((turn, number, 0) for number in range(count))
        for chunk in self.chunks:
            found = [
                (self._when(chunk, slot, number), turn, number, slot)
                for slot, turn in enumerate(chunk) for number in range(self.turns[turn])
            ]  # fmt: skip
            yield from ((turn, number, slot) for _, turn, number, slot in sorted(found))

    def _when(self, chunk: tuple[int, ...], slot: int, number: int) -> tuple[int, int, int]:
        """Where in a chunk a word comes: in passes over its turns; but where a unit takes several
        cycles for a turn, the words of the last class so that turns end some cycles apart. All end
        in their order.
        """
        count, most = self.turns[chunk[slot]], max(self.turns[turn] for turn in chunk)
        share = count // len(self.gathered)
        rank = number - (count - share)  # among those of the last class
        if self.parts == 1 or rank < 0 or any(self.turns[turn] != count for turn in chunk):
            return 0, number + most - count, slot
        return 1, share * slot + (share + 1) * rank, slot


@dataclass(frozen=True)
class Classes:
    """Segments of which whoever gathers them reads one class of addresses at a time. of: segment ->
    how many classes; units: neighbours that are written together."""

    of: dict[str, int]
    units: int
    banks: int

    def parts(self, keys: Iterable[Key]) -> list[Key | Part]:
        """All that they consist of."""
        found: list[Key | Part] = []
        for key in keys:
            count = self.of.get(key, 1) if isinstance(key, str) else 1
            found += [key] if count == 1 else [Part(str(key), n) for n in range(count)]
        return found

    def gathered(self, segments: list[str], number: int, classes: int) -> frozenset[Key | Part]:
        """What the words of a class read, of so many."""
        found: set[Key | Part] = set()
        for segment in segments:
            is_split = classes > 1 and self.of.get(segment, 1) == classes
            found |= {Part(segment, number)} if is_split else {*self.parts([segment])}
        return frozenset(found)

    def class_of(self, elements: int, count: int) -> int:
        """Of the elements of a cycle, in a vector with so many classes."""
        return elements * self.units // self.banks % count

    def last_writes(self, key: Key, ops: list[tuple[int, int]]) -> dict[Key | Part, int]:
        """Part -> the last cycle in which something of it is written. ops: cycles, elements."""
        count = self.of.get(key, 1) if isinstance(key, str) else 1
        if count == 1:
            return {key: ops[-1][0]}
        return {Part(str(key), self.class_of(elements, count)): cycle for cycle, elements in ops}


MOST_SLOTS = 128
"""Turns that go through their passes together."""


def _format_of(phase: Phase) -> Bank | None:
    form = phase.product.code.format if phase.product is not None else None
    assert form is None or isinstance(form, Bank)
    return form


def classes_of(phase: Phase) -> int:
    """Into which a turn's words fall, by the addresses that they read; 1 without products."""
    form = _format_of(phase)
    return form.classes if form is not None else 1


def lengths_of(phase: Phase) -> tuple[int, ...]:
    """Words of each of its turns."""
    form = _format_of(phase)
    return form.lengths if form is not None else ()


def _updated(kept: Storage, written: set[Key]) -> set[Key]:
    """Of what is written, arrays of which some elements or lanes keep what they have, or that are
    compared or summed: they are read, too."""
    has_lanes = kept.plan.hardware.lanes_at_once > 1
    return {
        key
        for key in written
        if isinstance(key, Array)
        and (
            key.role is Role.CAPTURE
            or (key.role is Role.STATE and (has_lanes or key.name in kept.doubled))
        )
    }


def of_move(kept: Storage, number: int, move: Load | State) -> Item:
    """A frame that comes in, or a state that takes effect."""
    units = kept.plan.hardware.cell_units
    read: set[Key] = set()
    written: set[Key] = set()
    if isinstance(move, Load):
        read |= {move.source} if move.source is not None else set()
        written |= {a for a in (move.to_frames, move.to_carry, move.to_segment) if a is not None}
    else:
        read |= {kept.next_of(move)}
        written |= {kept.array_of(move)} | ({move.segment} if move.segment else set())
    read |= _updated(kept, written)
    is_ahead = isinstance(move, Load) and move.is_ahead
    later = {key for key in written if is_ahead and _has_images(kept, key)}
    return Item(
        number, True, (), move.positions // units, 1, 1, (), frozenset(read),
        frozenset(written), frozenset(later), MOVE_DEPTH + block_depth(kept.plan.hardware),
        is_ahead=is_ahead,
        has_results=isinstance(move, Load) and move.to_results,
    )  # fmt: skip


def _has_images(kept: Storage, key: Key) -> bool:
    """True for what has a place for this step and one for the next."""
    return isinstance(key, str) and kept.images_of(kept.activations.region_of(key)) > 1


def first_words(phases: tuple[Phase, ...]) -> dict[str, int]:
    """Of each phase, the address of its first word in the memory of all that are kept."""
    found, address = {}, 0
    for phase in phases:
        if phase.product is not None:
            found[phase.name] = address
            address += phase.product.code.words
    return found


def classes_of_segments(kept: Storage, phases: tuple[Phase, ...]) -> Classes:
    """What falls into as many classes for all of these phases that gather it."""
    found: dict[str, set[int]] = {}
    for phase in phases:
        for source in phase.nodes.operands if phase.product is not None else ():
            segment = kept.segment(phase.sweep, source)
            if segment is not None:
                found.setdefault(segment, set()).add(classes_of(phase))
    hardware = kept.plan.hardware
    same = {segment: max(counts) for segment, counts in found.items() if len(counts) == 1}
    return Classes(same, hardware.cell_units, hardware.shape[1])


def chunks_of(
    phase: Phase, item: Item, classes: Classes, first: int
) -> tuple[tuple[int, ...], ...]:
    """Turns that go through their passes together, those first that write the first class; in
    their own order where results leave in it.
    """
    groups = [
        range(start, start + item.at_once) for start in range(0, len(item.turns), item.at_once)
    ]
    counts = {classes.of.get(segment, 1) for segment in phase.unit.segments}
    if Need.RESULTS not in phase.unit.uses and counts:
        groups.sort(key=lambda own: classes.class_of(
            own[0] // item.at_once * item.parts, max(counts)))  # fmt: skip
    found: list[tuple[int, ...]] = []
    most = first // item.at_once
    while groups:
        size = max(min(most, MOST_SLOTS // item.at_once, len(groups)), 1)
        found.append(tuple(turn for own in groups[:size] for turn in own))
        groups, most = groups[size:], len(groups)
    return tuple(found)


def of_phase(
    kept: Storage, number: int, phase: Phase, product: int, first_word: int, classes: Classes
) -> Item:
    """A phase's words, if it has products, and its unit. product: 1 + its number among those that
    have; first_word: address of the first.
    """
    lines = phase.unit.lines
    read: set[Key] = {
        line.array for line in lines if line.array is not None and line.action is Action.READ
    }
    written: set[Key] = {
        line.array for line in lines if line.array is not None and line.action is not Action.READ
    }
    written |= phase.unit.segments
    read |= _updated(kept, written)
    sources = [kept.segment(phase.sweep, source) for source in phase.nodes.operands]
    segments, turns, count = [s for s in sources if s], lengths_of(phase), classes_of(phase)
    ops = phase.positions // kept.plan.hardware.cell_units
    parts = max(ops // len(turns), 1) if turns else 1
    at_once = max(len(turns) // ops, 1)
    return Item(
        number, False, turns, ops, parts, at_once,
        tuple(classes.gathered(segments, n, count) for n in range(count)), frozenset(read),
        frozenset(written), frozenset(written & kept.doubled), phase.depth,
        product, first_word,
        has_results=Need.RESULTS in phase.unit.uses,
    )  # fmt: skip


def with_common_depths(kept: Storage, items: list[Item]) -> list[Item]:
    """The memories of a region have one write port: all that is written comes as late as the last
    of what may be.
    """
    deepest: dict[Key, int] = {}
    region_of = {segment: n for n, own in enumerate(kept.activations.regions) for segment in own}
    for item in items:
        for key in item.written:
            if isinstance(key, str) and key in region_of:
                same = region_of[key]
                for other, number in region_of.items():
                    if number == same:
                        deepest[other] = max(deepest.get(other, 0), item.depth)
    found = []
    for item in items:
        depth = max([item.depth, *(deepest.get(key, 0) for key in item.written)])
        found.append(replace(item, depth=depth))
    return found
