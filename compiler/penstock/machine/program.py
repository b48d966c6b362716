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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from penstock.bounds import MOST_PARTITIONS
from penstock.errors import PenstockError
from penstock.ir import Direction
from penstock.machine.arrays import Array
from penstock.machine.depths import PASS_DEPTH, PROGRAM_DEPTH
from penstock.machine.phases import Load, Phase, block_depth
from penstock.machine.placing import Writer, place, place_ahead, wraps
from penstock.machine.states import State
from penstock.machine.storage import Storage
from penstock.machine.work import (
    Item,
    chunks_of,
    classes_of,
    classes_of_segments,
    first_words,
    lengths_of,
    of_move,
    of_phase,
    with_common_depths,
)


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


WORTH_PASSES = 0.02
"""Share of a step that they must save."""
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
    if is_fixed or all(classes_of(phase) == 1 for phase in phases):
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
    first = {phase.name: len(lengths_of(phase)) for phase in mine}
    best = _program(kept, phases, loads, sweep, first)
    if sum(phase.words for phase in mine) > MOST_TRIED:
        return best
    for phase in mine:
        for share in SHARES if classes_of(phase) > 1 else ():
            other = first | {phase.name: int(share * len(lengths_of(phase)))}
            tried = _program(kept, phases, loads, sweep, other)
            if len(tried.cycles) < len(best.cycles):
                best, first = tried, other
    return best


def _program(
    kept: Storage, phases: tuple[Phase, ...], loads: tuple[Load, ...], sweep: int,
    first: dict[str, int] | None = None,
) -> Program:  # fmt: skip
    """Of one sweep. first: of each phase, turns of its first chunk, if they work in passes."""
    mine = tuple(phase for phase in phases if phase.sweep == sweep)
    moves: list[Load | State] = [load for load in loads if load.sweep == sweep]
    commits = [s for s in kept.states if s.is_deferred and kept.graph[s.read].sweep == sweep]
    numbers = {phase.name: n for n, phase in enumerate(p for p in phases if p.product is not None)}
    items = [of_move(kept, n, load) for n, load in enumerate(moves)]
    addresses, classes = (
        first_words(phases),
        classes_of_segments(kept, mine if first is not None else ()),
    )
    for n, phase in enumerate(mine):
        number = numbers.get(phase.name, -1) + 1
        item = of_phase(kept, n, phase, number, addresses.get(phase.name, 0), classes)
        if first is not None:
            depth = item.depth + PASS_DEPTH * (phase.product is not None)
            chunks = chunks_of(phase, item, classes, first.get(phase.name, 0))
            item = replace(item, depth=depth, chunks=chunks)
        items.append(item)
    items += [of_move(kept, n, state) for n, state in enumerate(commits, len(moves))]
    items = with_common_depths(kept, items)
    blocks = block_depth(kept.plan.hardware)
    sequences = range(kept.plan.hardware.interleave)
    writer = Writer(len(sequences) > 1 or first is not None, classes)
    for item, sequence in _in_turn([item for item in items if not item.is_ahead], sequences):
        place(writer, item, sequence)
    place_ahead(writer, [item for item in items if item.is_ahead], sequences)
    length = max(writer.next_word, writer.next_op, *wraps(writer, items), 1)
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


def _in_turn(items: list[Item], sequences: range) -> Iterator[tuple[Item, int]]:
    """Each for one sequence after the other; but all results of one leave before the next one's."""
    with_results = [n for n, item in enumerate(items) if item.has_results]
    first = with_results[0] if len(with_results) > 1 else len(items)
    yield from product(items[:first], sequences)
    yield from ((item, sequence) for sequence in sequences for item in items[first:])


def _touched(item: Item) -> Touched:
    reads, writes = (
        tuple(key for key in sorted(keys, key=str) if isinstance(key, Array))
        for keys in (item.read, item.written)
    )
    return Touched(reads, writes, tuple(sorted(map(str, item.later))))
