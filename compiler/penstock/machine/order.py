"""The issue order: what the compute process does in a step, one thing after the other, in cycles.

Trip counts are exact. Pipeline depths are estimates made from the operations' latencies: only
synthesis can confirm them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from penstock.ir import Direction, Graph
from penstock.machine.depths import CALL_CYCLES, COPY_DEPTH, LOOP_CYCLES, SPMV_DEPTH
from penstock.machine.phases import Load, Phase
from penstock.machine.states import State

class Work(StrEnum):
    """What is issued."""

    LOAD = "load"  # a frame into the activation memory
    SPMV = "spmv"  # a phase's words through the PE array
    CELLS = "cells"  # the element-wise unit over a phase's rows
    COMMIT = "commit"  # a deferred state's new value takes effect


@dataclass(frozen=True)
class Issue:
    """One thing that is issued: ``cycles`` from ``start`` on; one step of every sweep in a row.

    name: of the loaded vector, the phase, or the state. bound: cycles that no schedule could avoid.
    """

    work: Work
    name: str
    sweep: int
    start: int
    cycles: int
    bound: int = 0


@dataclass(frozen=True)
class Order:
    """All that is issued, in order, and its sums. once: sweeps that run once a sequence."""

    issues: tuple[Issue, ...]
    once: frozenset[int]

    def of_sweep(self, sweep: int) -> list[Issue]:
        """What one step of a sweep issues."""
        return [issue for issue in self.issues if issue.sweep == sweep]

    @property
    def of_step(self) -> list[Issue]:
        """What every step issues, through all sweeps."""
        return [issue for issue in self.issues if issue.sweep not in self.once]

    @property
    def step_cycles(self) -> int:
        """Cycles of one step."""
        return sum(issue.cycles for issue in self.of_step)

    @property
    def idle_cycles(self) -> int:
        """Cycles from the last product of a step to the first one of the next."""
        busy = [index for index, one in enumerate(self.of_step) if one.work is Work.SPMV]
        if not busy:
            return 0
        around = [*self.of_step[busy[-1] + 1 :], *self.of_step[: busy[0]]]
        return sum(issue.cycles for issue in around)

    @property
    def bound_cycles(self) -> int:
        """ceil(non-zeros / PEs) of the same phases: no schedule on these PEs can do with fewer."""
        return sum(issue.bound for issue in self.of_step)

    @property
    def once_cycles(self) -> int:
        """Cycles that come once a sequence."""
        return sum(issue.cycles for issue in self.issues) - self.step_cycles


def issue_order(
    graph: Graph, loads: Iterable[Load], phases: Iterable[Phase], states: Iterable[State],
    per_cycle: int,
) -> Order:  # fmt: skip
    """Sweep after sweep: its loads, its phases, the states that were deferred."""
    issues: list[Issue] = []

    def issue(work: Work, name: str, sweep: int, cycles: int, bound: int = 0) -> None:
        start = issues[-1].start + issues[-1].cycles if issues else 0
        issues.append(Issue(work, name, sweep, start, cycles + LOOP_CYCLES, bound))

    for sweep in range(len(graph.sweeps)):
        for load in loads:
            if load.sweep == sweep:
                issue(Work.LOAD, load.vector, sweep, load.positions // per_cycle + COPY_DEPTH)
        for phase in phases:
            if phase.sweep == sweep:
                if phase.product is not None:
                    words, bound = phase.product.code.words, phase.product.bound
                    issue(Work.SPMV, phase.name, sweep, words + SPMV_DEPTH + CALL_CYCLES, bound)
                cells = phase.positions // per_cycle + phase.depth + CALL_CYCLES
                issue(Work.CELLS, phase.name, sweep, cells)
        for state in states:
            if state.is_deferred and graph[state.read].sweep == sweep:
                cycles = state.positions // per_cycle + COPY_DEPTH
                issue(Work.COMMIT, state.name, sweep, cycles)
    once = {index for index, way in enumerate(graph.sweeps) if way is Direction.ONCE}
    return Order(tuple(issues), frozenset(once))
