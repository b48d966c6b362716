"""The program of the bank dataflow: what the one pipeline does in every cycle of a step.

Products and element-wise units share a pipeline that takes a step of its loop in every cycle. What
happens in a cycle is decided here, once for all steps of a sweep: which word is multiplied, which
unit takes sums, which frame comes in. Where a vector is read before it can be there, the program
waits. So a step takes as many cycles as its program has, and nothing is decided while it runs.
A frame comes in during the step before, where its place is free by then.
Where sequences take turns, a step is one of each of them, and the others fill such waits.

Pipeline depths are estimates (``depths``). They are what the program waits for, and what the kernel
promises the synthesis tool as the distance between a write and the reads of it; a tool that needs
more says so, for then a cycle of the loop takes more than one of the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from penstock.errors import PenstockError
from penstock.formats import Bank
from penstock.machine.arrays import Array, Role
from penstock.machine.depths import MOVE_DEPTH, PROGRAM_DEPTH
from penstock.machine.phases import Load, Phase, block_depth
from penstock.machine.states import State
from penstock.machine.storage import Storage
from penstock.machine.units import Action


class Cycle(NamedTuple):
    """One cycle. 0: nothing.

    phase: of the word that is multiplied, 1 + its number among all products; last: if its turn ends
    with it, 1 + the turn's number among those that a unit takes at once. unit: 1 + the number of
    the phase in its sweep whose unit takes sums; part: which of the turn's, as many as there are
    units. move: 1 + the number of what is loaded or takes effect. elements: which of them unit or
    move take, as many as there are units. word_sequence, sequence: of those that take turns, the
    one whose activations are multiplied, and the one of unit or move; word: with them, the address
    of the word among all that are kept.
    """

    phase: int = 0
    last: int = 0
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

    held: turns of rows whose sums a unit takes at the same time, at the most. depth: cycles from
    the last one of the last step to the end of the pipeline. arrays: all that it works with;
    by_units, by_moves: those of each. distances, array_distances: of each region and of each array
    that is written and read, cycles between a write and the first read of it, at the least.
    """

    sweep: int
    phases: tuple[Phase, ...]
    moves: tuple[Load | State, ...]
    cycles: tuple[Cycle, ...]
    held: int
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
Place = tuple[Key, int]
"""The part of it that belongs to one of the sequences that take turns."""


@dataclass(frozen=True)
class _Item:
    """One thing to place. turns: words of each turn, if it has products; ops: cycles in which the
    unit or the move works, ``parts`` for each turn, or one for ``at_once`` of them. gathered: what
    the words read; read, written: what the unit does. first_word: of the words, its address.
    later: what of the written the next step reads, from an image of its own. depth: cycles from an
    op's word until what it writes can be read. is_ahead: it is done for the next step.
    """

    number: int
    is_move: bool
    turns: tuple[int, ...]
    ops: int
    parts: int
    at_once: int
    gathered: frozenset[Key]
    read: frozenset[Key]
    written: frozenset[Key]
    later: frozenset[Key]
    depth: int
    phase: int = 0
    first_word: int = 0
    is_ahead: bool = False


@dataclass
class _Known:
    """What is known of a vector as the program is written."""

    ready: int = 0  # the first cycle that may read it
    first_read: int | None = None
    last_read: int = -1
    last_write: int | None = None
    depth: int = 0


@dataclass
class _Writer:
    takes_turns: bool
    known: dict[Place, _Known] = field(default_factory=dict)
    cycles: dict[int, dict[str, int]] = field(default_factory=dict)
    next_word: int = 0
    next_op: int = 0
    taken: int = -1  # the cycle in which the last sums have been

    def of(self, key: Key, sequence: int) -> _Known:
        return self.known.setdefault((key, sequence), _Known())

    def put(self, cycle: int, **fields: int) -> None:
        self.cycles.setdefault(cycle, {}).update(fields)


def programs(
    kept: Storage, phases: tuple[Phase, ...], loads: tuple[Load, ...]
) -> dict[int, Program]:
    """The program of every sweep. Raises PenstockError for a unit that writes a memory twice."""
    for phase in phases:
        written = [kept.activations.region_of(segment) for segment in phase.unit.segments]
        if len(set(written)) < len(written):
            raise PenstockError(
                f"{phase.name} writes two vectors that are gathered together",
                "the bank dataflow",
                "choose --dataflow gather",
            )
    return {sweep: _program(kept, phases, loads, sweep) for sweep in range(len(kept.graph.sweeps))}


def _program(
    kept: Storage, phases: tuple[Phase, ...], loads: tuple[Load, ...], sweep: int
) -> Program:
    mine = tuple(phase for phase in phases if phase.sweep == sweep)
    moves: list[Load | State] = [load for load in loads if load.sweep == sweep]
    commits = [s for s in kept.states if s.is_deferred and kept.graph[s.read].sweep == sweep]
    numbers = {phase.name: n for n, phase in enumerate(p for p in phases if p.product is not None)}
    items = [_of_move(kept, n, load) for n, load in enumerate(moves)]
    first_words = _first_words(phases)
    items += [
        _of_phase(kept, n, phase, numbers.get(phase.name, -1) + 1, first_words.get(phase.name, 0))
        for n, phase in enumerate(mine)
    ]
    items += [_of_move(kept, n, state) for n, state in enumerate(commits, len(moves))]
    items = _with_common_depths(kept, items)
    blocks = block_depth(kept.plan.hardware)
    sequences = range(kept.plan.hardware.interleave)
    writer = _Writer(len(sequences) > 1)
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
        number, True, (), move.positions // units, 1, 1, frozenset(), frozenset(read),
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


def _of_phase(kept: Storage, number: int, phase: Phase, product: int, first_word: int) -> _Item:
    lines = phase.unit.lines
    read: set[Key] = {
        line.array for line in lines if line.array is not None and line.action is Action.READ
    }
    written: set[Key] = {
        line.array for line in lines if line.array is not None and line.action is not Action.READ
    }
    written |= phase.unit.segments
    read |= _updated(kept, written)
    gathered = {kept.segment(phase.sweep, source) for source in phase.nodes.operands}
    turns: tuple[int, ...] = ()
    if phase.product is not None:
        form = phase.product.code.format
        assert isinstance(form, Bank)
        turns = form.lengths
    ops = phase.positions // kept.plan.hardware.cell_units
    parts = max(ops // len(turns), 1) if turns else 1
    at_once = max(len(turns) // ops, 1)
    return _Item(
        number, False, turns, ops, parts, at_once, frozenset(s for s in gathered if s),
        frozenset(read), frozenset(written), frozenset(written & kept.doubled), phase.depth,
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
    assert not item.gathered & (item.written - item.later)  # such states are deferred
    soonest = max(
        [writer.next_op, *(writer.of(key, sequence).ready for key in item.read),
         *(writer.of(key, sequence).last_read + 1 for key in item.written - item.later)]
    )  # fmt: skip
    ops: list[int] = []
    if item.turns:
        start = max([writer.next_word, *(writer.of(key, sequence).ready for key in item.gathered)])
        cycle, address = start, item.first_word
        for turn, words in enumerate(item.turns):
            for word in range(words):
                if word == words - 1:  # the units must have taken the sums before these
                    cycle = max(cycle, writer.taken + 1)
                writer.put(
                    cycle, phase=item.phase, word_sequence=sequence,
                    word=address if writer.takes_turns else 0,
                )  # fmt: skip
                cycle, address = cycle + 1, address + 1
            writer.put(cycle - 1, last=1 + turn % item.at_once)
            if (turn + 1) % item.at_once == 0:
                first = max(soonest, cycle - 1)
                ops += [first + part for part in range(item.parts)]
                writer.taken = ops[-1]
        _read(writer, item.gathered, sequence, start, cycle - 1)
        writer.next_word = cycle
    else:
        ops = [soonest + n for n in range(item.ops)]
    for index, cycle in enumerate(ops):
        number = {"move" if item.is_move else "unit": item.number + 1}
        writer.put(cycle, part=index % item.parts, elements=index, sequence=sequence, **number)
    _read(writer, item.read - item.written, sequence, ops[0], ops[-1])
    _write(writer, item, sequence, ops[-1])
    writer.next_op = ops[-1] + 1


def _place_ahead(writer: _Writer, items: list[_Item], sequences: range) -> None:
    """Frames of the next step, in the cycles in which no unit works once nothing more is read of
    those before.
    """
    cycle = 0
    for item in items:
        for sequence in sequences:
            reads = [writer.of(key, sequence).last_read for key in item.written - item.later]
            cycle = max([cycle, *(last + 1 for last in reads)])
            for index in range(item.ops):
                while {"unit", "move"} & writer.cycles.get(cycle, {}).keys():
                    cycle += 1
                writer.put(cycle, move=item.number + 1, elements=index, sequence=sequence)
                cycle += 1
            _read(writer, item.read, sequence, cycle - item.ops, cycle - 1)
            _write(writer, item, sequence, cycle - 1)
            writer.next_op = max(writer.next_op, cycle)


def _write(writer: _Writer, item: _Item, sequence: int, last: int) -> None:
    for key in item.written:
        known = writer.of(key, sequence)
        known.last_write, known.depth = last, item.depth
        known.ready = 0 if key in item.later else last + item.depth


def _read(writer: _Writer, keys: Iterable[Key], sequence: int, first: int, last: int) -> None:
    for key in keys:
        known = writer.of(key, sequence)
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
