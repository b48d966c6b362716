"""The plan beside what the vendor tool reports, and what of it is not as planned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from penstock.formats.rows import CHAIN_DISTANCE
from penstock.synthesis.cosim import Cosim, read_cosim, read_transactions
from penstock.synthesis.csynth import Csynth, Range, read_csynth
from penstock.synthesis.folders import SCHEDULE, Reports
from penstock.synthesis.loops import Matched, is_of, match_loops
from penstock.synthesis.plan import STEP_LOOP, STEPPING, Plan
from penstock.synthesis.schedule_report import Update, read_updates

LOOPS_OPEN = "the II of the loops, clock and resources: there is no csynth.xml"
HAZARD_OPEN = f"the distance from load to store of the accumulators: no {{}}*{SCHEDULE} shows it"
ACTIVATIONS = re.compile(r"vector(?:_|$)")
"""Where overlapping runs write packets while they gather."""
COSIM_OPEN = "cycles of a call: co-simulation was not run"
PERIODS = 1e-3
"""Nanoseconds: the tool rounds a period to as much."""


@dataclass(frozen=True)
class Comparison:
    """What was found. None, or nothing: there is no report of it.

    accumulators: as words add to them. activations: as words gather them while packets are written.
    step: cycles of a step by csynth. transactions: cycles of each simulated call. failures: a
    sentence for each thing that is not as planned. unchecked: what no report could show; the
    promises among it are failures, too.
    """

    plan: Plan
    reports: Reports
    csynth: Csynth | None
    loops: tuple[Matched, ...]
    accumulators: tuple[Update, ...]
    activations: tuple[Update, ...]
    step: Range | None
    cosim: Cosim | None
    transactions: tuple[int, ...]
    failures: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Every loop and every distance was reported, and is as planned."""
        return not self.failures


def compare(plan: Plan, reports: Reports) -> Comparison:
    """Read the reports. Raises PenstockError for one that is damaged."""
    csynth = read_csynth(reports.csynth, reports.functions) if reports.csynth else None
    loops = match_loops(plan.loops, csynth) if csynth else []
    updates = [
        update
        for function, path in reports.schedules.items()
        if is_of(function, plan.accumulating)
        for update in read_updates(path, function)
    ]
    activations = [update for update in updates if ACTIVATIONS.match(update.array)]
    accumulators = [update for update in updates if update not in activations]
    cosim = read_cosim(reports.cosim) if reports.cosim else None
    transactions = read_transactions(reports.transactions) if reports.transactions else []
    failures = [
        *(_design(plan, csynth) if csynth else [f"not checked: {LOOPS_OPEN}"]),
        *_loops(loops),
        *(_updates(plan.hazard_distance, accumulators) if accumulators
          else [f"not checked: {HAZARD_OPEN.format(plan.accumulating)}"]),
        *_updates(CHAIN_DISTANCE, activations),
        *([f"co-simulation in {cosim.language}: {cosim.status}"] if cosim and not cosim.passed
          else []),
    ]  # fmt: skip
    return Comparison(
        plan, reports, csynth, tuple(loops), tuple(accumulators), tuple(activations),
        _step(csynth), cosim, tuple(transactions), tuple(failures), () if cosim else (COSIM_OPEN,),
    )  # fmt: skip


def _design(plan: Plan, csynth: Csynth) -> Iterator[str]:
    """What belongs to the design as a whole."""
    if plan.top is not None and csynth.top != plan.top:
        yield f"the top function is {csynth.top}, not {plan.top}: is it of another project?"
    if csynth.part.lower() != plan.part.lower():
        yield f"the part is {csynth.part or 'unknown'}, not {plan.part}"
    target, estimated = csynth.target_ns, csynth.estimated_ns
    period = 1000 / plan.clock_mhz
    if target is None or abs(target - period) > max(PERIODS, 0.005):  # two digits are reported
        yield f"the clock's target is {target or 'unknown'} ns, not {period:.2f} ns"
    if target is None or estimated is None:
        yield "the estimated clock period is unknown"
    elif estimated > target - (csynth.uncertainty_ns or 0) + PERIODS:
        yield (
            f"the clock is missed: {estimated:.2f} ns estimated, {target:.2f} ns less "
            f"{csynth.uncertainty_ns or 0:.2f} ns of uncertainty wanted"
        )
    for name, used in csynth.used.items():
        available = csynth.available[name]
        if used is not None and available is not None and used > available:
            yield f"it does not fit: {used:,} {name.upper()} of {available:,}"


def _loops(loops: list[Matched]) -> Iterator[str]:
    for loop in loops:
        if not loop.found:
            yield f"{loop.name}: no such loop in the reports, II = {loop.ii} planned"
        for found in loop.found:
            if found.ii != loop.ii:
                achieved = "not pipelined" if found.ii is None else f"II = {found.ii}"
                yield f"{loop.name}: {achieved} in {found.module}, II = {loop.ii} planned"


def _updates(planned: int, updates: list[Update]) -> Iterator[str]:
    """A line for each function, and each distance in it: its memories of a kind are all alike."""
    alike: dict[tuple[str, int], list[str]] = {}
    for update in updates:
        if update.iterations > planned:
            alike.setdefault((update.function, update.iterations), []).append(update.array)
    for (function, words), arrays in alike.items():
        more = f" and {len(arrays) - 1} more" if len(arrays) > 1 else ""
        yield (
            f"{arrays[0]}{more} in {function}: {words} words from a load to the first that sees "
            f"its store, the proof used {planned}"
        )


def _step(csynth: Csynth | None) -> Range | None:
    """One step of every sweep that has loops of its own; phases at the longest trip count."""
    steps = [
        loop.iteration
        for loop in (csynth.loops if csynth else ())
        if STEP_LOOP.match(loop.name) and is_of(loop.module, STEPPING) and loop.iteration
    ]
    if not steps:
        return None
    return Range(sum(step.low for step in steps), sum(step.high for step in steps))
