"""The issue order: what the compute process does in a step, and when, in cycles.

Iterations are exact. Pipeline depths are estimates, see ``depths``, which only synthesis can
confirm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from penstock.ir import Direction, Graph
from penstock.machine.depths import CALL_CYCLES, COPY_DEPTH, DRAIN_DEPTH, LOOP_CYCLES
from penstock.machine.phases import Load, Phase
from penstock.machine.program import Program
from penstock.machine.runs import Run, SweepRuns
from penstock.machine.states import State


class Work(StrEnum):
    """What is issued."""

    LOAD = "load"  # a frame into the activation memory
    SPMV = "spmv"  # a run of a phase's words through the PE array
    PARTS = "parts"  # of shared rows, added up over all PEs
    DRAIN = "drain"  # a phase's sums out of the accumulators
    CELLS = "cells"  # the element-wise unit over a phase's rows
    COMMIT = "commit"  # a deferred state's new value takes effect
    CLEAR = "clear"  # the accumulators
    PROGRAM = "program"  # a step of a sweep in one pipeline
    FLUSH = "flush"  # of that pipeline, behind the last step


@dataclass(frozen=True)
class Issue:
    """One thing that is issued: ``cycles`` from ``start`` on; one step of every sweep in a row.

    name: of the loaded vector, the phase, or the state. bound: cycles that no schedule could avoid.
    run: of SPMV. is_beside: it begins together with the issue before it, with which it shares no
    memory. is_first: it comes once, before the first step of its sweep.
    """

    work: Work
    name: str
    sweep: int
    start: int
    cycles: int
    bound: int = 0
    run: Run | None = None
    is_beside: bool = False
    is_first: bool = False

    @property
    def end(self) -> int:
        """The cycle behind its last one."""
        return self.start + self.cycles


@dataclass(frozen=True)
class Order:
    """All that is issued, in order, and its sums. once: sweeps that run once a sequence."""

    issues: tuple[Issue, ...]
    once: frozenset[int]

    def of_sweep(self, sweep: int) -> list[Issue]:
        """What a sweep issues: before its first step, and in every step."""
        return [issue for issue in self.issues if issue.sweep == sweep]

    @property
    def of_step(self) -> list[Issue]:
        """What every step issues, through all sweeps."""
        return [
            issue for issue in self.issues if issue.sweep not in self.once and not issue.is_first
        ]

    @property
    def step_cycles(self) -> int:
        """Cycles of one step."""
        return _length(self.of_step)

    @property
    def idle_cycles(self) -> int:
        """Cycles of a step behind its last product and before its first one."""
        spans = self.of_step
        busy = [n for n, one in enumerate(spans) if one.work in (Work.SPMV, Work.PROGRAM)]
        if not busy:
            return 0
        return max(_length(spans[: busy[0]]) + _length(spans) - _length(spans[: busy[-1] + 1]), 0)

    @property
    def bound_cycles(self) -> int:
        """ceil(non-zeros / PEs) of the same phases: no schedule on these PEs can do with fewer."""
        return sum(issue.bound for issue in self.of_step)

    @property
    def once_cycles(self) -> int:
        """Cycles that come once a sequence."""
        return _length(self.issues) - self.step_cycles


def _length(issues: Iterable[Issue]) -> int:
    """Cycles from the first to the last; what runs beside something counts where it is longer."""
    total = longest = 0
    for issue in issues:
        if issue.is_beside:
            longest = max(longest, issue.cycles)
        else:
            total, longest = total + longest, issue.cycles
    return total + longest


class _Writer:
    """Takes what is issued, and knows where the next begins."""

    def __init__(self, run_cycles: int) -> None:
        self.run_cycles = run_cycles
        self.issues: list[Issue] = []
        self.begin = self.end = 0

    def issue(
        self, work: Work, name: str, sweep: int, cycles: int, bound: int = 0,
        run: Run | None = None, beside: bool = False, first: bool = False,
    ) -> None:  # fmt: skip
        start = self.begin if beside else self.end
        self.issues.append(Issue(work, name, sweep, start, cycles, bound, run, beside, first))
        self.begin, self.end = start, max(self.end, start + cycles)

    def load(self, load: Load, per_cycle: int, beside: bool = False, first: bool = False) -> None:
        call = CALL_CYCLES if load.is_ahead else 0
        cycles = load.positions // per_cycle + COPY_DEPTH + LOOP_CYCLES + call
        self.issue(Work.LOAD, load.vector, load.sweep, cycles, beside=beside, first=first)

    def run(self, run: Run, bound: int = 0, beside: bool = False, first: bool = False) -> None:
        name = run.phase or run.segment
        self.issue(
            Work.SPMV, name, run.sweep, run.iterations + self.run_cycles, bound, run, beside, first
        )


def issue_order(
    graph: Graph, loads: list[Load], phases: list[Phase], states: Iterable[State],
    runs: dict[int, SweepRuns], overlaps: bool, clear_cycles: int, per_cycle: int, run_cycles: int,
) -> Order:  # fmt: skip
    """Sweep after sweep: what comes before its steps; its loads, its phases, deferred states.

    run_cycles: what each run takes beside its words.
    """
    writer = _Writer(run_cycles)
    for sweep, own in runs.items():
        mine = [phase for phase in phases if phase.sweep == sweep]
        frames = [load for load in loads if load.sweep == sweep]
        if overlaps:
            _before(writer, sweep, own, frames, clear_cycles, per_cycle)
        for load in frames:
            if not load.is_ahead:
                writer.load(load, per_cycle)
        for phase in mine:
            _phase(writer, phase, own, frames, overlaps)
        for state in states:
            if state.is_deferred and graph[state.read].sweep == sweep:
                cycles = state.positions // per_cycle + COPY_DEPTH + LOOP_CYCLES
                writer.issue(Work.COMMIT, state.name, sweep, cycles)
    once = {index for index, way in enumerate(graph.sweeps) if way is Direction.ONCE}
    return Order(tuple(writer.issues), frozenset(once))


def program_order(
    graph: Graph, programs: dict[int, Program], phases: Iterable[Phase], per_cycle: int, turns: int
) -> Order:
    """Sweep after sweep: the first frames, its program in every step, then what is left in the
    pipeline. per_cycle: elements of a frame; turns: sequences that take turns.
    """
    writer = _Writer(0)
    for sweep, program in programs.items():
        mine = [phase.product for phase in phases if phase.sweep == sweep]
        bound = turns * sum(product.bound for product in mine if product is not None)
        for load in program.ahead:
            cycles = turns * (load.positions // per_cycle + COPY_DEPTH + LOOP_CYCLES)
            writer.issue(Work.LOAD, load.vector, sweep, cycles, first=True)
        ends = program.depth + LOOP_CYCLES + CALL_CYCLES
        writer.issue(Work.FLUSH, f"sweep {sweep}", sweep, ends, first=True)
        writer.issue(Work.PROGRAM, f"sweep {sweep}", sweep, len(program.cycles), bound)
    once = {index for index, way in enumerate(graph.sweeps) if way is Direction.ONCE}
    return Order(tuple(writer.issues), frozenset(once))


def _before(
    writer: _Writer, sweep: int, own: SweepRuns, frames: list[Load], clear_cycles: int, units: int
) -> None:
    writer.issue(Work.CLEAR, "accumulators", sweep, clear_cycles, first=True)
    for load in frames:
        if load.is_ahead:
            writer.load(load, units, first=True)
    for run in own.ahead:
        writer.run(run, first=True)


def _phase(
    writer: _Writer, phase: Phase, own: SweepRuns, frames: list[Load], overlaps: bool
) -> None:
    """The products, then the unit, with what runs beside it."""
    for run in own.before.get(phase.name, ()):
        writer.run(run)
    elsewhere = sum(run.words for run in own.beside.values() if run.phase == phase.name)
    if phase.product is not None:
        bound = phase.product.bound
        if phase.name in own.own:
            writer.run(own.own[phase.name], max(bound - elsewhere, 0))
        if phase.shared:
            writer.issue(Work.PARTS, phase.name, phase.sweep, phase.parts_cycles)
        if overlaps:
            cycles = phase.unit.rows_per_pe + DRAIN_DEPTH + LOOP_CYCLES + CALL_CYCLES
            writer.issue(Work.DRAIN, phase.name, phase.sweep, cycles)
        for load in frames:
            if load.is_ahead and load.vector in phase.nodes.operands:
                writer.load(load, phase.per_cycle, beside=overlaps)
    for run in own.between.get(phase.name, ()):
        writer.run(run)
    writer.issue(Work.CELLS, phase.name, phase.sweep, phase.unit_cycles)
    if phase.name in own.beside:
        run = own.beside[phase.name]
        writer.run(run, run.words, beside=True)
