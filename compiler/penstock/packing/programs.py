"""The proof of the bank dataflow's programs, from the manifest and the packed words alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from penstock.fixed import BoolArray, IntArray
from penstock.formats import Bank, PhaseCode
from penstock.packing.manifest import Manifest, unpack_phase
from penstock.packing.schema import ProgramFields

NEVER = -1


def prove_programs(manifest: Manifest, files: list[bytes]) -> None:
    """Prove that each word is multiplied once and in order, that units take each turn's sums before
    the next one's are there, and that no word reads an activation, and no unit an element of an
    array, sooner than the kernel promises.

    Raises AssertionError.
    """
    by_sweep: dict[int, list[int]] = {}
    for index, phase in enumerate(manifest.phases):
        by_sweep.setdefault(phase.sweep, []).append(index)
    programs = manifest.kernel.programs
    _demand(set(by_sweep) <= set(range(len(programs))), "a sweep has no program")
    for sweep, program in enumerate(programs):
        mine = by_sweep.get(sweep, [])
        _lengths(program)
        _prove_words(manifest, program, mine)
        _prove_units(manifest, program)
        for index in mine:
            _prove_reads(manifest, files, program, index)
        _prove_arrays(program)


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _lengths(program: ProgramFields) -> None:
    columns = (program.phase, program.begins, program.ends, program.slot, program.acting,
               program.part, program.move, program.index, program.word_sequence, program.sequence,
               program.at)  # fmt: skip
    _demand(len({len(column) for column in columns}) == 1, "a program's columns differ in length")


def _prove_words(manifest: Manifest, program: ProgramFields, mine: list[int]) -> None:
    """Each phase's words follow one another, once for each sequence that takes turns, and a turn
    ends where its format says."""
    phase, ends, sequence = (
        np.array(column) for column in (program.phase, program.ends, program.word_sequence)
    )
    turns = manifest.interface.interleave
    _demand(set(phase[phase > 0].tolist()) == {index + 1 for index in mine},
            "a program has words of another sweep")  # fmt: skip
    _demand(not ends[phase == 0].any(), "a turn ends without a word")
    order = _in_order((phase * turns + sequence)[phase > 0])
    expected = [(index + 1) * turns + turn for index in mine for turn in range(turns)]
    _demand(sorted(order) == expected, "the words of a phase do not follow one another")
    for index in mine:
        name, form = manifest.phases[index].name, manifest.phases[index].format
        assert isinstance(form, Bank)
        at_once, _ = _units_of(manifest, index)
        ended = 1 + np.arange(len(form.lengths)) % at_once
        for own in range(turns):
            cycle = np.flatnonzero((phase == index + 1) & (sequence == own))
            word = _words_of(manifest, program, index)[cycle]
            each_once = np.array_equal(np.sort(word), np.arange(sum(form.lengths)))
            is_free = has_slots(program)
            _demand(each_once and (is_free or bool((np.diff(word) == 1).all())),
                    f"phase {name}: its words lie elsewhere")  # fmt: skip
            turn = _turn_of(form, word)
            last = np.zeros(len(word), dtype=np.int64)
            last[_last_of_each(turn)] = ended[turn[_last_of_each(turn)]]
            _demand(np.array_equal(ends[cycle], last), f"phase {name}: its turns end elsewhere")
    if has_slots(program):
        _prove_slots(manifest, program)


def has_slots(program: ProgramFields) -> bool:
    """True if the words of a turn need not follow one another."""
    return any(program.begins)


def _prove_slots(manifest: Manifest, program: ProgramFields) -> None:
    """What a turn has summed stays in its slot from its first word to its last, and is never read
    sooner than promised after it was written."""
    phase, begins, slot = (
        np.array(column) for column in (program.phase, program.begins, program.slot)
    )
    every = len(phase) + 1
    turn = np.full(len(phase), NEVER)
    for index in set((phase[phase > 0] - 1).tolist()):
        own = phase == index + 1
        form = manifest.phases[index].format
        assert isinstance(form, Bank)
        turn[own] = index * every + _turn_of(form, _words_of(manifest, program, index)[own])
    cycle = np.flatnonzero(phase > 0)
    first = np.full(len(cycle), False)
    first[len(cycle) - 1 - _last_of_each(turn[cycle][::-1])] = True
    _demand(np.array_equal(begins[cycle] != 0, first) and not begins[phase == 0].any(),
            "a turn begins elsewhere")  # fmt: skip
    cycle = cycle[np.argsort(slot[cycle], kind="stable")]
    _demand(len(_in_order(turn[cycle])) == len(set(turn[cycle].tolist())),
            "two turns share a slot")  # fmt: skip
    again = turn[cycle][1:] == turn[cycle][:-1]
    closest = int(np.diff(cycle)[again].min(initial=every))
    _demand(closest >= program.promises.get("so_far", every), "a sum is read too soon")


def _words_of(manifest: Manifest, program: ProgramFields, index: int) -> IntArray:
    """Of each cycle, the number of its word in a phase; without sense in cycles of others."""
    if manifest.interface.interleave > 1 or has_slots(program):
        return np.array(program.at) - _first_word(manifest, index)
    return np.cumsum(np.array(program.phase) == index + 1) - 1


def _turn_of(form: Bank, word: IntArray) -> IntArray:
    return np.searchsorted(np.cumsum(form.lengths), word, side="right")


def _last_of_each(values: IntArray) -> IntArray:
    """Where each of the values is for the last time."""
    _, last = np.unique(values[::-1], return_index=True)
    return len(values) - 1 - last


def _units_of(manifest: Manifest, index: int) -> tuple[int, int]:
    """Turns of a phase that its unit takes at once, and the parts that it takes of each."""
    code, units = manifest.phases[index], manifest.kernel.elements_per_cycle
    of_turn = code.format.owners(code, manifest.pes)
    return max(units // of_turn, 1), max(of_turn // units, 1)


def _first_word(manifest: Manifest, index: int) -> int:
    """Where a phase's words begin, in the order of the weight files."""
    before = 0
    for run in manifest.runs:
        if run.phase == index:
            return before
        before += run.words
    raise AssertionError("a phase has no words")


def _prove_units(manifest: Manifest, program: ProgramFields) -> None:
    """A unit that takes sums finds those of its turn: no other turn has ended meanwhile."""
    acting, index, sequence = (
        np.array(column) for column in (program.acting, program.index, program.sequence)
    )
    turns = manifest.interface.interleave
    _demand(len(program.sums) == len(program.units), "some units have no sums, nor none")
    known = set(range(len(program.sums) + 1))
    _demand(set(acting.tolist()) <= known, "a unit acts that there is not")
    _demand(bool((sequence < turns).all()), "a unit acts for a sequence that there is not")
    for unit, number in enumerate(program.sums, 1):
        for turn in range(turns):
            at = np.flatnonzero((acting == unit) & (sequence == turn))
            done = np.sort(index[at]) if has_slots(program) else index[at]
            _demand(np.array_equal(done, np.arange(len(at))), "a unit skips elements")
            if number:
                _prove_sums(manifest, program, at, number, turn)
    mine = {number for number in program.sums if number}
    _demand(mine == set(program.phase) - {0}, "the sums of a phase are taken by no unit")


def _prove_sums(
    manifest: Manifest, program: ProgramFields, at: IntArray, number: int, sequence: int
) -> None:
    """The unit that acts in these cycles takes the sums of one phase and sequence, each once.

    number: 1 + the phase's.
    """
    phase, part, index, words_of = (
        np.array(column)
        for column in (program.phase, program.part, program.index, program.word_sequence)
    )
    code = manifest.phases[number - 1]
    at_once, parts = _units_of(manifest, number - 1)
    _demand(len(at) * at_once == code.rows_per_pe * parts, "a unit takes too few sums, or too many")
    ended = np.flatnonzero(program.ends)
    before = np.searchsorted(ended, at, side="right") - 1
    is_own = (
        (before >= 0).all() and (phase[ended[before]] == number).all()
        and (words_of[ended[before]] == sequence).all()
    )  # fmt: skip
    _demand(bool(is_own), "a unit takes the sums of another phase")
    form = code.format
    assert isinstance(form, Bank)
    turn = _turn_of(form, _words_of(manifest, program, number - 1)[ended])
    for one in range(at_once):  # of those that it takes together, from the last on
        expected = index[at] // parts * at_once + at_once - 1 - one
        is_right = (before >= one).all() and np.array_equal(turn[before - one], expected)
        _demand(bool(is_right), "a unit takes the sums of another turn")
    _demand(np.array_equal(part[at], index[at] % parts), "a unit takes another part of a turn")


def _prove_reads(
    manifest: Manifest, files: list[bytes], program: ProgramFields, number: int
) -> None:
    """No word of the phase gathers what was written less than the promised distance before it."""
    code, kernel = manifest.phases[number], manifest.kernel
    form = code.format
    assert isinstance(form, Bank)
    segments = {_segment(kernel.regions, name) for own in (*program.units, *program.moves)
                for name in own.segments}  # fmt: skip
    entries = unpack_phase(manifest, files, number)
    word, pe = np.nonzero(entries["weight"])
    local = entries["index"][word, pe].astype(np.int64)
    region, address = _addresses(manifest, code, number, local, form)
    if region not in segments:
        return
    position = address * form.banks + pe % form.banks
    least = int(position.max(initial=0)) + 1
    closest = 1 << 30
    has_images = region in images_of(manifest)
    for sequence in range(manifest.interface.interleave):
        is_own = np.array(program.word_sequence) == sequence
        mine = np.flatnonzero((np.array(program.phase) == number + 1) & is_own)
        cycle = mine[np.argsort(_words_of(manifest, program, number)[mine])][word]
        at, is_later = (
            own[position] for own in _write_cycles(manifest, program, region, least, sequence)
        )
        is_before = is_later | (cycle <= at)  # of the step before
        distance = cycle - at + len(program.phase) * is_before
        in_time = not has_images or bool((is_later | (cycle > at) | (at == NEVER)).all())
        _demand(in_time, f"phase {code.name} reads from an image what is not yet there")
        closest = min(closest, int(distance[at != NEVER].min(initial=closest)))
    promised = [value for name, value in program.promises.items() if _is_of(name, region)]
    _demand(bool(promised), f"phase {code.name}: nothing is promised of what it reads")
    _demand(closest >= max(promised), f"phase {code.name} reads an activation too soon")


def _prove_arrays(program: ProgramFields) -> None:
    """No unit or move reads an element of an array less than the promised distance behind a write
    of it, in this step or in the one before."""
    index, sequence = np.array(program.index), np.array(program.sequence)
    places = index + (int(index.max()) + 1) * sequence
    for name, distance in program.promises.items():
        for written_at in _cycles_of(program, name, "writes"):
            written = np.full(int(places.max()) + 1, NEVER)
            written[places[written_at]] = written_at
            for read_at in _cycles_of(program, name, "reads"):
                last = written[places[read_at]]
                apart = (read_at - last - 1) % len(index) + 1
                closest = int(apart[last != NEVER].min(initial=distance))
                _demand(closest >= distance, f"{name} is read too soon")


def images_of(manifest: Manifest) -> set[int]:
    """The regions that have two images: something is written there for the next step."""
    regions = manifest.kernel.regions
    return {
        _segment(regions, name)
        for program in manifest.kernel.programs
        for work in (*program.units, *program.moves) for name in work.later
    }  # fmt: skip


def _cycles_of(program: ProgramFields, array: str, use: str) -> Iterator[IntArray]:
    """The cycles in which each unit and each move that uses an array works."""
    for column, workers in ((program.acting, program.units), (program.move, program.moves)):
        for number, work in enumerate(workers, 1):
            if array in getattr(work, use):
                yield np.flatnonzero(np.array(column) == number)


def _addresses(
    manifest: Manifest, code: PhaseCode, number: int, local: IntArray, form: Bank
) -> tuple[int, IntArray]:
    """The region that a phase reads, and the address of each column of a bank there."""
    ends = np.cumsum([-(-columns // form.banks) for _, columns in code.operands])
    bases = np.array(manifest.kernel.operand_bases[number])
    operand = np.minimum(np.searchsorted(ends, local, side="right"), len(bases) - 1)
    return manifest.kernel.reads[number], bases[operand] + local


def _segment(regions: tuple[tuple[str, ...], ...], name: str) -> int:
    return next((n for n, own in enumerate(regions) if name in own), NEVER)


def _is_of(name: str, region: int) -> bool:
    """True for the arrays of a region: ``vector_1``, or ``vector_1_0`` where it has several."""
    return name == f"vector_{region}" or name.startswith(f"vector_{region}_")


def _write_cycles(
    manifest: Manifest, program: ProgramFields, region: int, least: int, sequence: int
) -> tuple[IntArray, BoolArray]:
    """The cycle in which each position of a region is written, NEVER if in none; whether for the
    next step."""
    kernel, units = manifest.kernel, manifest.kernel.elements_per_cycle
    index, is_own = np.array(program.index), np.array(program.sequence) == sequence
    end = max(least, len(index) * units + max(kernel.segments.values()))
    found, is_later = np.full(end, NEVER), np.full(end, False)
    for column, works in ((program.acting, program.units), (program.move, program.moves)):
        for number, work in enumerate(works, 1):
            at = np.flatnonzero((np.array(column) == number) & is_own)
            for name in set(work.segments) & set(kernel.regions[region]):
                for unit in range(units):
                    place = kernel.segments[name] + index[at] * units + unit
                    found[place], is_later[place] = at, name in work.later
    return found, is_later


def _in_order(values: IntArray) -> list[int]:
    """Of equal values in a row, each once."""
    found: list[int] = values[np.flatnonzero(np.diff(values, prepend=-1))].tolist()
    return found
