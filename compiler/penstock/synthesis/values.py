"""A comparison as plain values, for JSON and for the terminal.

schema (1), passed; failures, unchecked [sentences]; solution (the folder); tool (its version), top,
part; clock {wanted_ns, target_ns, uncertainty_ns, estimated_ns}; resources [name, estimate,
synthesis, ratio, available], rules (what the estimate rests on); loops [name, planned_ii, copies
[module, loop, ii, trip_count, depth]]; accumulators {planned_distance, distance, updates [function,
array, load_stage, store_stage, ii, distance]}, activations (the same, of what is written while
words are taken); latency {step_planned, step {low, high}, call [best, average, worst], simulated
{language, status, call [min, mean, max], transactions, steps, step}}. What no report shows is null.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from penstock.formats.rows import CHAIN_DISTANCE
from penstock.synthesis.compare import Comparison
from penstock.synthesis.csynth import Loop, Range
from penstock.synthesis.loops import Matched
from penstock.synthesis.schedule_report import Update

SCHEMA = 1


def as_values(comparison: Comparison) -> dict[str, Any]:
    """See the module's text."""
    plan, csynth = comparison.plan, comparison.csynth
    return {
        "schema": SCHEMA,
        "passed": comparison.passed,
        "failures": list(comparison.failures),
        "unchecked": list(comparison.unchecked),
        "solution": str(comparison.reports.solution),
        "tool": csynth.version if csynth else None,
        "top": csynth.top if csynth else None,
        "part": csynth.part if csynth else None,
        "clock": {
            "wanted_ns": 1000 / plan.clock_mhz,
            "target_ns": csynth.target_ns if csynth else None,
            "uncertainty_ns": csynth.uncertainty_ns if csynth else None,
            "estimated_ns": csynth.estimated_ns if csynth else None,
        },
        "resources": _resources(comparison),
        "rules": plan.rules,
        "loops": [_loop(loop) for loop in comparison.loops],
        "accumulators": _distances(plan.hazard_distance, comparison.accumulators),
        "activations": _distances(CHAIN_DISTANCE, comparison.activations),
        "latency": _latency(comparison),
    }


def _distances(planned: int, updates: tuple[Update, ...]) -> dict[str, Any]:
    return {
        "planned_distance": planned,
        "distance": max((update.iterations for update in updates), default=None),
        "updates": [_update(update) for update in updates],
    }


def _resources(comparison: Comparison) -> list[dict[str, Any]]:
    csynth = comparison.csynth
    if csynth is None:
        return []
    rows = []
    for name, used in csynth.used.items():
        estimate = comparison.plan.resources.get(name)
        ratio = used / estimate if used is not None and estimate else None
        rows.append({
            "name": name, "estimate": estimate, "synthesis": used, "ratio": ratio,
            "available": csynth.available[name],
        })  # fmt: skip
    return rows


def _loop(loop: Matched) -> dict[str, Any]:
    copies = [_copy(found) for found in loop.found]
    return {"name": loop.name, "planned_ii": loop.ii, "copies": copies}


def _copy(loop: Loop) -> dict[str, Any]:
    return {
        "module": loop.module, "loop": loop.name, "ii": loop.ii,
        "trip_count": _range(loop.trip_count), "depth": loop.depth,
    }  # fmt: skip


def _update(update: Update) -> dict[str, Any]:
    return {
        "function": update.function, "array": update.array, "load_stage": update.load,
        "store_stage": update.store, "ii": update.ii, "distance": update.iterations,
    }  # fmt: skip


def _latency(comparison: Comparison) -> dict[str, Any]:
    plan, csynth = comparison.plan, comparison.csynth
    return {
        "step_planned": plan.step_cycles,
        "step": _range(comparison.step),
        "call": list(csynth.latency) if csynth else None,
        "simulated": _simulated(comparison),
    }


def _simulated(comparison: Comparison) -> dict[str, Any] | None:
    """step: of a call of the golden vectors, with what every call loads and stores."""
    cosim, plan = comparison.cosim, comparison.plan
    if cosim is None:
        return None
    calls = list(comparison.transactions)
    is_golden = len(calls) == plan.calls
    return {
        "language": cosim.language, "status": cosim.status, "call": list(cosim.latency),
        "transactions": calls, "steps": plan.call_steps if is_golden else None,
        "step": fmean(calls) / plan.call_steps if is_golden else None,
    }  # fmt: skip


def _range(found: Range | None) -> dict[str, int] | None:
    return None if found is None else {"low": found.low, "high": found.high}
