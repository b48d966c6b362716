"""Every pipelined loop of the kernel: how often it goes round in a call, and in which process.

They start an iteration in every cycle, but for the sums of shared rows and for units that write
more vectors than a memory has ports. C simulation counts the iterations, and penstock check
compares them with these. The timeline is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from penstock.packing.schema import When
from penstock.packing.vectors import parameter_ports

if TYPE_CHECKING:
    from penstock.machine.machine import Machine
    from penstock.machine.runs import Run


class Process(StrEnum):
    """The processes of the kernel's dataflow region."""

    FETCH_FRAMES = "fetch_frames"
    UNPACK_FRAMES = "unpack_frames"
    FETCH_WORDS = "fetch_words"
    UNPACK_WORDS = "unpack_words"
    FETCH_PARAMETERS = "fetch_parameters"
    UNPACK_PARAMETERS = "unpack_parameters"
    FETCH_STATE = "fetch_state"
    UNPACK_STATE = "unpack_state"
    COMPUTE = "compute"
    PACK_STATE = "pack_state"
    STORE_STATE = "store_state"
    PACK_RESULTS = "pack_results"
    STORE_RESULTS = "store_results"


@dataclass(frozen=True)
class Loop:
    """One pipelined loop, as it runs for one ``when``.

    kind, subject: what it is called; the subject is a phase, a state or a vector. iterations: of
    all groups together, each of which has a copy of the loop; entries: how often a copy is entered.
    """

    kind: str
    subject: str
    process: Process
    when: When
    iterations: int
    entries: int = 1
    copies: int = 1

    @property
    def name(self) -> str:
        """Kind and subject."""
        return f"{self.kind} {self.subject}".rstrip()

    @property
    def of_one(self) -> int:
        """Iterations of one group's copy of the loop."""
        return self.iterations // self.copies


def loops(machine: Machine) -> tuple[Loop, ...]:
    """All of them, process after process."""
    return tuple(
        loop
        for part in (_frames, _words, _parameters, _state_in, _steps, _state_out, _results)
        for loop in part(machine)
        if loop.iterations
    )


def _chunk(machine: Machine) -> int:
    return math.gcd(machine.hardware.cell_units, machine.beats.per_beat)


def _frames(machine: Machine) -> Iterator[Loop]:
    positions = machine.plan.positions(machine.input.name)
    if not machine.streams_io:
        yield Loop("frame_beats", "", Process.FETCH_FRAMES, When.STEP, machine.port("x").beats)
    turns = machine.hardware.interleave
    yield Loop("chunks_of_frame", "", Process.UNPACK_FRAMES, When.STEP,
               turns * (positions // _chunk(machine)), turns)  # fmt: skip


def turns_of(machine: Machine, run: Run) -> int:
    """Turns of the loop that takes words out of beats: a word each, or a beat if that is less."""
    product = machine.phase(run.phase).product
    assert product is not None
    word_bits = machine.groups.group_pes * product.code.entry_bits
    is_wide = word_bits > machine.hardware.beat_bits
    return run.end_beat - run.first_beat if is_wide else run.words


def _words(machine: Machine) -> Iterator[Loop]:
    groups = machine.groups.groups
    if machine.on_chip:
        runs, beats = machine.stored_runs, machine.weight_beats * groups
        turns, words = (sum(turns_of(machine, run) for run in runs), sum(run.words for run in runs))
        yield Loop("fetch_words", "", Process.FETCH_WORDS, When.RELOAD, beats)
        yield Loop("unpack_words", "", Process.UNPACK_WORDS, When.RELOAD, turns * groups,
                   len(runs) * groups)  # fmt: skip
        yield Loop("keep_words", "", Process.COMPUTE, When.RELOAD, words * groups)
        return
    for is_once, when in ((False, When.STEP), (True, When.CALL)):
        runs = [run for run in machine.stored_runs if machine.is_once(run.sweep) is is_once]
        if when is When.CALL:
            runs += [run for own in machine.runs.values() for run in own.ahead if run.words]
        beats = sum(run.end_beat - run.first_beat for run in runs)
        words = sum(turns_of(machine, run) for run in runs)
        sweeps = len({run.sweep for run in runs})
        yield Loop("fetch_words", "", Process.FETCH_WORDS, when, beats * groups, sweeps, groups)
        yield Loop("unpack_words", "", Process.UNPACK_WORDS, when, words * groups, len(runs),
                   groups)  # fmt: skip


def _parameters(machine: Machine) -> Iterator[Loop]:
    arrays = machine.kept.parameters
    if not arrays:
        return
    positions = sum(array.positions for array in arrays)
    chunk = math.gcd(
        machine.hardware.cell_units, parameter_ports(machine.hardware.beat_bits).per_beat
    )
    yield Loop("beats_of_parameters", "", Process.FETCH_PARAMETERS, When.RELOAD,
               machine.port("parameters").beats)  # fmt: skip
    yield Loop("chunks_of_parameter", "", Process.UNPACK_PARAMETERS, When.RELOAD,
               positions // chunk, len(arrays))  # fmt: skip
    yield Loop("parameter_packets", "", Process.COMPUTE, When.RELOAD,
               positions // machine.hardware.cell_units, len(arrays))  # fmt: skip


def _state_in(machine: Machine) -> Iterator[Loop]:
    if machine.hardware.dataflow != "bank" and not machine.hardware.overlaps:
        yield Loop("clear_slots", "", Process.COMPUTE, When.RELOAD, machine.rows.depth)
    states, units = machine.kept.states, machine.hardware.cell_units
    turns = machine.hardware.interleave
    positions = turns * sum(state.positions for state in states)
    yield Loop("state_beats_in", "", Process.FETCH_STATE, When.GIVEN, machine.state_beats)
    yield Loop("chunks_of_state_in", "", Process.UNPACK_STATE, When.GIVEN,
               positions // _chunk(machine), turns * len(states))  # fmt: skip
    for kind in (When.GIVEN, When.ZERO):
        for state in states:
            yield Loop(str(kind), state.name, Process.COMPUTE, kind,
                       turns * (state.positions // units), turns)  # fmt: skip


def _steps(machine: Machine) -> Iterator[Loop]:
    """What compute does between the state before and the state after."""
    units, kept, turns = machine.hardware.cell_units, machine.kept, machine.hardware.interleave
    for node in machine.graph.of_kind("capture"):
        if kept.find(kept.captures, node) or kept.segment(node.sweep, node.name):
            yield Loop("clear", node.name, Process.COMPUTE, When.CALL,
                       turns * (machine.plan.positions(node.name) // units), turns)  # fmt: skip

    def loop(kind: str, subject: str, sweep: int, iterations: int, copies: int = 1) -> Loop:
        when = When.CALL if machine.is_once(sweep) else When.STEP
        return Loop(kind, subject, Process.COMPUTE, when, iterations * copies, copies=copies)

    if machine.programs:
        for sweep, program in machine.programs.items():
            for load in program.ahead:
                yield Loop("ahead", f"{load.vector}@{sweep}", Process.COMPUTE, When.CALL,
                           turns * (load.positions // units), turns)  # fmt: skip
            yield loop("cycles", f"sweep {sweep}", sweep, len(program.cycles))
        return
    for load in machine.loads:
        yield loop("load", f"{load.vector}@{load.sweep}", load.sweep, load.positions // units)
    for sweep, runs in machine.runs.items():
        groups = machine.groups.groups
        for run in runs.in_step([phase for phase in machine.phases if phase.sweep == sweep]):
            yield loop("words", "", sweep, run.iterations, groups)
            if machine.hardware.is_broadcast:
                columns = machine.phase(run.phase).operand_ends[-1]
                yield loop("columns", "", sweep, columns)
                yield loop("entries", "", sweep, run.words, machine.hardware.pes)
        ahead = sum(run.iterations for run in runs.ahead) * groups
        yield Loop("words", "", Process.COMPUTE, When.CALL, ahead, len(runs.ahead), groups)
        if machine.hardware.overlaps:
            yield Loop("clear_slots", "", Process.COMPUTE, When.CALL, machine.rows.depth)
    for phase in machine.phases:
        yield loop("parts", "", phase.sweep, len(phase.shared))
    for phase in machine.phases:
        if machine.hardware.overlaps and phase.product is not None:
            ways = phase.product.code.ways
            yield loop("drain", f"{ways} ways", phase.sweep, phase.unit.rows_per_pe)
        yield loop("cells", phase.name, phase.sweep, phase.positions // units)
    for state in kept.states:
        if state.is_deferred:
            sweep = machine.graph[state.read].sweep
            yield loop("commit", state.name, sweep, state.positions // units)


def _state_out(machine: Machine) -> Iterator[Loop]:
    states, units = machine.kept.states, machine.hardware.cell_units
    turns = machine.hardware.interleave
    positions = turns * sum(state.positions for state in states)
    for state in states:
        yield Loop("store", state.name, Process.COMPUTE, When.STORE,
                   turns * (state.positions // units), turns)  # fmt: skip
    yield Loop("chunks_of_state_out", "", Process.PACK_STATE, When.STORE,
               positions // _chunk(machine), turns * len(states))  # fmt: skip
    yield Loop("state_beats_out", "", Process.STORE_STATE, When.STORE, machine.state_beats)


def _results(machine: Machine) -> Iterator[Loop]:
    when = When.CALL if machine.is_once(machine.output.sweep) else When.STEP
    units, outputs = machine.hardware.cell_units, machine.output.tensor.length
    turns = machine.hardware.interleave
    yield Loop("packets", "", Process.PACK_RESULTS, when,
               turns * (machine.result_positions // units), turns)  # fmt: skip
    if machine.is_argmax:
        yield Loop("argmax", "", Process.PACK_RESULTS, when,
                   turns * len(machine.output_order), turns)  # fmt: skip
    yield Loop("chunks_of_result", "", Process.PACK_RESULTS, when,
               turns * -(-outputs // machine.result_chunk), turns)  # fmt: skip
    if not machine.streams_io:
        yield Loop("result_beats", "", Process.STORE_RESULTS, when, machine.port("y").beats)
