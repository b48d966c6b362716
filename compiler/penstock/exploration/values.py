"""An exploration as plain values, for JSON."""

from __future__ import annotations

import math
from typing import Any

from penstock.exploration.result import SCHEMA, Exploration, Found
from penstock.exploration.rows import Error, Figures


def as_values(found: Exploration) -> dict[str, Any]:
    """Plain values of an exploration:

    schema (1), name; axes {setting: [values]}, constraints {target_us, fits, max_error, max_loss};
    counts {state: points}, reasons [state, reason, points]: why points are not on the front;
    front [numbers of points, of each part the fastest first], nearest (a number, if no point meets
    the constraints); points [number, settings {by axis}, state, reason, figures, error, training,
    model, options (those of penstock compile that make this point)].

    state: front; dominated (another is nowhere worse and somewhere better); misses (a constraint:
    time, fit, error, loss); does not fit; refused (by the compiler, in its words). figures (null
    where nothing was scheduled) as in report.json: part, pes, elements_per_cycle, overlap,
    weight_storage, dataflow (as given or chosen), cycles_per_step, bound_per_step, stall_cycles,
    microseconds_per_step, steps_per_second, nonzeros, stored_bits (of the weight files),
    bits_per_nonzero, resources {name: {used, total, limit, verdict}}, verdict, fullest (the
    resource nearest to its limit), share (of that limit), is_estimate (true: an outline was enough
    to rule the point out). error: relative_error, max_abs_error, rms_error, agreement (of
    decisions), loss, labels, frames. training (null, or: measure, split, dense, trained, density).
    """
    constraints = found.constraints
    return {
        "schema": SCHEMA,
        "name": found.name,
        "axes": {axis.field.name: list(axis.values) for axis in found.axes},
        "constraints": {
            "target_us": constraints.target_us, "fits": constraints.fits,
            "max_error": constraints.max_error, "max_loss": constraints.max_loss,
        },
        "counts": {str(state): count for state, count in found.counts.items()},
        "reasons": [
            {"state": str(state), "reason": reason, "points": count}
            for state, reason, count in found.reasons
        ],
        "front": [one.point.number for one in found.front],
        "nearest": None if found.nearest is None else found.nearest.point.number,
        "points": [_point(found, one) for one in found.points],
    }  # fmt: skip


def _point(found: Exploration, one: Found) -> dict[str, Any]:
    training = one.training
    return {
        "number": one.point.number, "settings": dict(one.point.values), "state": str(one.state),
        "reason": one.reason, "figures": None if one.figures is None else _figures(one.figures),
        "error": None if one.error is None else _error(one.error, one.loss),
        "training": None if training is None else {
            "measure": training.measure, "split": training.split, "dense": training.dense,
            "trained": training.trained, "density": training.density,
        },
        "model": found.model(one), "options": found.options(one),
    }  # fmt: skip


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "part": figures.part, "pes": figures.pes,
        "elements_per_cycle": figures.elements_per_cycle, "overlap": figures.overlap,
        "weight_storage": figures.weight_storage, "dataflow": figures.dataflow,
        "cycles_per_step": figures.cycles_per_step,
        "bound_per_step": figures.bound_per_step, "stall_cycles": figures.stall_cycles,
        "microseconds_per_step": figures.microseconds_per_step,
        "steps_per_second": figures.steps_per_second, "nonzeros": figures.nonzeros,
        "stored_bits": figures.stored_bits, "bits_per_nonzero": figures.bits_per_nonzero,
        "resources": {
            name: {"used": row.used, "total": row.total, "limit": row.limit,
                   "verdict": row.verdict}
            for name, row in figures.resources.items()
        },
        "verdict": figures.verdict, "fullest": figures.fullest,
        "share": figures.share if math.isfinite(figures.share) else None,
        "is_estimate": figures.is_estimate,
    }  # fmt: skip


def _error(error: Error, loss: float | None) -> dict[str, Any]:
    return {
        "relative_error": error.relative_error, "max_abs_error": error.max_abs_error,
        "rms_error": error.rms_error, "agreement": error.agreement, "loss": loss,
        "labels": error.labels, "frames": error.frames,
    }  # fmt: skip
