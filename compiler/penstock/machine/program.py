"""The program of the bank dataflow: what the one pipeline does in every cycle of a step.

Products and element-wise units share a pipeline that takes a step of its loop in every cycle. What
happens in a cycle is decided here, once for all steps of a sweep: which word is multiplied, which
unit takes sums, which frame comes in. Where a vector is read before it can be there, the program
waits. So a step takes as many cycles as its program has, and nothing is decided while it runs.
A frame comes in during the step before, where its place is free by then.

The words of a turn follow one another, unless each reads one class of addresses alone (see
``formats.bank``) and the step is shorter for it: then turns work in passes, each with the words of
one class, and what they have summed stays in a memory. Turns that write the first class come first,
so that another phase, or the next step, goes through its first pass while the last class is still
on its way.
Where sequences take turns, a step is one of each of them, and the others fill such waits.

Pipeline depths are estimates (``depths``). They are what the program waits for, and what the kernel
promises the synthesis tool as the distance between a write and the reads of it; a tool that needs
more says so, for then a cycle of the loop takes more than one of the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

from penstock.bounds import MOST_PARTITIONS
from penstock.errors import PenstockError
from penstock.formats import Bank
from penstock.ir import Direction
from penstock.machine.arrays import Array, Role
from penstock.machine.depths import MOVE_DEPTH, PASS_DEPTH, PASS_DISTANCE, PROGRAM_DEPTH
from penstock.machine.phases import Load, Phase, block_depth
from penstock.machine.states import State
from penstock.machine.storage import Storage
from penstock.machine.units import Action, Need


class Cycle(NamedTuple):
    """One cycle. 0: nothing.

    phase: of the word that is multiplied, 1 + its number among all products; first: 1 if its turn
    begins with it; last: if its turn ends with it, 1 + the turn's number among those that a unit
    takes at once; slot: where passes keep the sums of its turn. unit: 1 + the number of
    the phase in its sweep whose unit takes sums; part: which of the turn's, as many as there are
    units. move: 1 + the number of what is loaded or takes effect. elements: which of them unit or
    move take, as many as there are units. word_sequence, sequence: of those that take turns, the
    one whose activations are multiplied, and the one of unit or move; word: with them, the address
    of the word among all that are kept, as with passes.
    """

    phase: int = 0
    first: int = 0
    last: int = 0
    slot: int = 0
    unit: int = 0
    part: int = 0
    move: int = 0
    elements: int = 0
    word_sequence: int = 0
    sequence: int = 0
    word: int = 0


class Touched(NamedTuple):
    """The arrays that a unit or a move reads, and those that it writes, element by element; the
    segments that it writes for the next step."""

    reads: tuple[Array, ...]
    writes: tuple[Array, ...]
    later: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A sweep's program. moves: loads, then states that take effect; cycles: of one step.

    held: turns of rows whose sums a unit takes at the same time, at the most. slots: turns whose
    sums passes keep, at the most; 0: there are none. depth: cycles from
    the last one of the last step to the end of the pipeline. arrays: all that it works with;
    by_units, by_moves: those of each. distances, array_distances: of each region and of each array
    that is written and read, cycles between a write and the first read of it, at the least.
    """

    sweep: int
    phases: tuple[Phase, ...]
    moves: tuple[Load | State, ...]
    cycles: tuple[Cycle, ...]
    held: int
    slots: int
    depth: int
    distances: dict[int, int]
    arrays: tuple[Array, ...]
    by_units: tuple[Touched, ...]
    by_moves: tuple[Touched, ...]
    array_distances: dict[Array, int]

    @property
    def segments_of_moves(self) -> list[tuple[str, ...]]:
        """The segment that each move writes, if any."""
        own = [move.to_segment if isinstance(move, Load) else move.segment for move in self.moves]
        return [(segment,) if segment else () for segment in own]

    @property
    def ahead(self) -> tuple[Load, ...]:
        """The frames that come in during the step before."""
        return tuple(move for move in self.moves if isinstance(move, Load) and move.is_ahead)

    @property
    def words(self) -> int:
        """Words of all products of a step."""
        return sum(cycle.phase > 0 for cycle in self.cycles)


Key = str | Array
"""What is read and written: a region's segment, or an array."""


class Part(NamedTuple):
    """The positions of a segment whose addresses are of one class."""

    segment: str
    number: int


Place = tuple[Key | Part, int]
"""The part of it that belongs to one of the sequences that take turns."""


@dataclass(frozen=True)
class _Item:
    """One thing to place. turns: words of each turn, if it has products; ops: cycles in which the
    unit or the move works, ``parts`` for each turn, or one for ``at_once`` of them. gathered: what
    the words of each class read; read, written: what the unit does. first_word: of the words, its
    address. later: what of the written the next step reads, from an image of its own. depth: cycles
    from an op's word until what it writes can be read. is_ahead: it is done for the next step.
    chunks: turns that go through their passes together; none: no turn begins before the last ends.
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


@dataclass
class _Known:
    """What is known of a vector as the program is written."""

    ready: int = 0  # the first cycle that may read it
    first_read: int | None = None
    last_read: int = -1
    last_write: int | None = None
    depth: int = 0


@dataclass(frozen=True)
class _Classes:
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


@dataclass
class _Writer:
    has_addresses: bool
    classes: _Classes
    known: dict[Place, _Known] = field(default_factory=dict)
    cycles: dict[int, dict[str, int]] = field(default_factory=dict)
    next_word: int = 0
    next_op: int = 0
    taken: int = -1  # the cycle in which the last sums have been

    def of(self, key: Key | Part, sequence: int) -> _Known:
        return self.known.setdefault((key, sequence), _Known())

    def parts(self, keys: Iterable[Key], sequence: int) -> list[_Known]:
        return [self.of(key, sequence) for key in self.classes.parts(keys)]

    def put(self, cycle: int, **fields: int) -> None:
        self.cycles.setdefault(cycle, {}).update(fields)


WORTH_PASSES = 0.02
"""Share of a step that they must save."""
MOST_SLOTS = 128
"""Turns that go through their passes together."""
SHARES = (7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4)
"""Of the turns of a phase, that are tried as the first chunk, if not all are."""
MOST_TRIED = 1 << 14
"""Words of a step up to which others are tried."""


def programs(
    kept: Storage, phases: tuple[Phase, ...], loads: tuple[Load, ...], on_chip: bool
) -> dict[int, Program]:
    """The program of every sweep, in passes if that is worth it and weights that stay on chip can
    be read in any order. Raises PenstockError for a unit that writes a memory twice.
    """
    for phase in phases:
        written = [kept.activations.region_of(segment) for segment in phase.unit.segments]
        if len(set(written)) < len(written):
            raise PenstockError(
                f"{phase.name} writes two vectors that are gathered together",
                "the bank dataflow",
                "choose --dataflow gather",
            )
    sweeps, hardware = range(len(kept.graph.sweeps)), kept.plan.hardware
    found = {sweep: _program(kept, phases, loads, sweep) for sweep in sweeps}
    is_fixed = not on_chip or hardware.interleave > 1 or hardware.shape[0] > MOST_PARTITIONS
    if is_fixed or all(_classes_of(phase) == 1 for phase in phases):
        return found
    in_passes = {sweep: _in_passes(kept, phases, loads, sweep) for sweep in sweeps}
    steps = [_of_a_step(kept, own) for own in (found, in_passes)]
    return in_passes if steps[1] <= (1 - WORTH_PASSES) * steps[0] else found


def _of_a_step(kept: Storage, found: dict[int, Program]) -> int:
    """Cycles of all sweeps that go through the steps."""
    is_once = [sweep is Direction.ONCE for sweep in kept.graph.sweeps]
    return sum(len(own.cycles) for sweep, own in found.items() if not is_once[sweep])


def _in_passes(
    kept: Storage, phases: tuple[Phase, ...], loads: tuple[Load, ...], sweep: int
) -> Program:
    """The shortest one of those tried."""
    mine = [phase for phase in phases if phase.sweep == sweep and phase.product is not None]
    first = {phase.name: len(_lengths_of(phase)) for phase in mine}
    best = _program(kept, phases, loads, sweep, first)
    if sum(phase.words for phase in mine) > MOST_TRIED:
        return best
    for phase in mine:
        for share in SHARES if _classes_of(phase) > 1 else ():
            other = first | {phase.name: int(share * len(_lengths_of(phase)))}
            tried = _program(kept, phases, loads, sweep, other)
            if len(tried.cycles) < len(best.cycles):
                best, first = tried, other
    return best


def _format_of(phase: Phase) -> Bank | None:
    form = phase.product.code.format if phase.product is not None else None
    assert form is None or isinstance(form, Bank)
    return form


def _classes_of(phase: Phase) -> int:
    form = _format_of(phase)
    return form.classes if form is not None else 1


def _lengths_of(phase: Phase) -> tuple[int, ...]:
    form = _format_of(phase)
    return form.lengths if form is not None else ()


def _program(
    kept: Storage, phases: tuple[Phase, ...], loads: tuple[Load, ...], sweep: int,
    first: dict[str, int] | None = None,
) -> Program:  # fmt: skip
    """Of one sweep. first: of each phase, turns of its first chunk, if they work in passes."""
    mine = tuple(phase for phase in phases if phase.sweep == sweep)
    moves: list[Load | State] = [load for load in loads if load.sweep == sweep]
    commits = [s for s in kept.states if s.is_deferred and kept.graph[s.read].sweep == sweep]
    numbers = {phase.name: n for n, phase in enumerate(p for p in phases if p.product is not None)}
    items = [_of_move(kept, n, load) for n, load in enumerate(moves)]
    first_words, classes = _first_words(phases), _classes(kept, mine if first is not None else ())
    for n, phase in enumerate(mine):
        number = numbers.get(phase.name, -1) + 1
        item = _of_phase(kept, n, phase, number, first_words.get(phase.name, 0), classes)
        if first is not None:
            depth = item.depth + PASS_DEPTH * (phase.product is not None)
            chunks = _chunks(phase, item, classes, first.get(phase.name, 0))
            item = replace(item, depth=depth, chunks=chunks)
        items.append(item)
    items += [_of_move(kept, n, state) for n, state in enumerate(commits, len(moves))]
    items = _with_common_depths(kept, items)
    blocks = block_depth(kept.plan.hardware)
    sequences = range(kept.plan.hardware.interleave)
    writer = _Writer(len(sequences) > 1 or first is not None, classes)
    for item in items:
        for sequence in sequences if not item.is_ahead else ():
            _place(writer, item, sequence)
    _place_ahead(writer, [item for item in items if item.is_ahead], sequences)
    length = max(writer.next_word, writer.next_op, *_wraps(writer, items), 1)
    found = tuple(Cycle(**writer.cycles.get(cycle, {})) for cycle in range(length))
    depth = PROGRAM_DEPTH + blocks + max((item.depth for item in items), default=0)
    distances: dict[int, int] = {}
    array_distances: dict[Array, int] = {}
    for item in items:
        for key in item.written:
            if isinstance(key, Array):
                array_distances[key] = max(array_distances.get(key, 0), item.depth)
            else:
                region = kept.activations.region_of(key)
                distances[region] = max(distances.get(region, 0), item.depth)
    read = {key for item in items for key in item.read}
    arrays = dict.fromkeys(
        key for item in items for key in sorted(item.read | item.written, key=str)
        if isinstance(key, Array)
    )  # fmt: skip
    return Program(
        sweep, mine, (*moves, *commits), found, max((item.at_once for item in items), default=1),
        max((len(chunk) for item in items for chunk in item.chunks), default=0),
        depth, distances, tuple(arrays),
        tuple(_touched(item) for item in items if not item.is_move),
        tuple(_touched(item) for item in items if item.is_move),
        {array: array_distances[array] for array in arrays
         if array in array_distances and array in read},
    )  # fmt: skip


def _touched(item: _Item) -> Touched:
    reads, writes = (
        tuple(key for key in sorted(keys, key=str) if isinstance(key, Array))
        for keys in (item.read, item.written)
    )
    return Touched(reads, writes, tuple(sorted(map(str, item.later))))


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


def _of_move(kept: Storage, number: int, move: Load | State) -> _Item:
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
    return _Item(
        number, True, (), move.positions // units, 1, 1, (), frozenset(read),
        frozenset(written), frozenset(later), MOVE_DEPTH + block_depth(kept.plan.hardware),
        is_ahead=is_ahead,
    )  # fmt: skip


def _has_images(kept: Storage, key: Key) -> bool:
    """True for what has a place for this step and one for the next."""
    return isinstance(key, str) and kept.images_of(kept.activations.region_of(key)) > 1


def _first_words(phases: tuple[Phase, ...]) -> dict[str, int]:
    """Of each phase, the address of its first word in the memory of all that are kept."""
    found, address = {}, 0
    for phase in phases:
        if phase.product is not None:
            found[phase.name] = address
            address += phase.product.code.words
    return found


def _classes(kept: Storage, phases: tuple[Phase, ...]) -> _Classes:
    """What falls into as many classes for all of these phases that gather it."""
    found: dict[str, set[int]] = {}
    for phase in phases:
        for source in phase.nodes.operands if phase.product is not None else ():
            segment = kept.segment(phase.sweep, source)
            if segment is not None:
                found.setdefault(segment, set()).add(_classes_of(phase))
    hardware = kept.plan.hardware
    same = {segment: max(counts) for segment, counts in found.items() if len(counts) == 1}
    return _Classes(same, hardware.cell_units, hardware.shape[1])


def _chunks(
    phase: Phase, item: _Item, classes: _Classes, first: int
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


def _of_phase(
    kept: Storage, number: int, phase: Phase, product: int, first_word: int, classes: _Classes
) -> _Item:
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
    segments, turns, count = [s for s in sources if s], _lengths_of(phase), _classes_of(phase)
    ops = phase.positions // kept.plan.hardware.cell_units
    parts = max(ops // len(turns), 1) if turns else 1
    at_once = max(len(turns) // ops, 1)
    return _Item(
        number, False, turns, ops, parts, at_once,
        tuple(classes.gathered(segments, n, count) for n in range(count)), frozenset(read),
        frozenset(written), frozenset(written & kept.doubled), phase.depth,
        product, first_word,
    )  # fmt: skip


def _with_common_depths(kept: Storage, items: list[_Item]) -> list[_Item]:
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


def _place(writer: _Writer, item: _Item, sequence: int) -> None:
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


def _place_words(
    writer: _Writer, item: _Item, sequence: int, soonest: int
) -> list[tuple[int, int]]:
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


def _place_ahead(writer: _Writer, items: list[_Item], sequences: range) -> None:
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


def _write(writer: _Writer, item: _Item, sequence: int, ops: list[tuple[int, int]]) -> None:
    for key in item.written:
        for part, last in writer.classes.last_writes(key, ops).items():
            known = writer.of(part, sequence)
            known.last_write, known.depth = last, item.depth
            known.ready = 0 if key in item.later else last + item.depth


def _read(writer: _Writer, keys: Iterable[Key], sequence: int, first: int, last: int) -> None:
    _note_reads(writer, writer.classes.parts(keys), sequence, first, last)


def _note_reads(
    writer: _Writer, parts: Iterable[Key | Part], sequence: int, first: int, last: int
) -> None:
    for part in parts:
        known = writer.of(part, sequence)
        known.first_read = first if known.first_read is None else min(known.first_read, first)
        known.last_read = max(known.last_read, last)


def _wraps(writer: _Writer, items: list[_Item]) -> Iterator[int]:
    """Cycles that a step must have, for what it writes is read early in the next."""
    for known in writer.known.values():
        if known.last_write is not None and known.first_read is not None:
            yield known.last_write + known.depth - known.first_read
    for item in items:  # what a unit itself reads again a step later, element by element
        if any(isinstance(key, Array) for key in item.written):
            yield item.depth
