"""Calibration: run the float network on data, and remember how far every tensor reaches."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.calibration_data import checked_frames, states_of, synthetic_frames
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.layers.ranges import Ranges
from penstock.model import INPUT, RecurrentModel

__all__ = ["Ranges", "calibrate", "check_ranges"]

NEGLIGIBLE = 1e-100
"""Nothing that a type holds differs from zero by less."""


def calibrate(
    model: RecurrentModel,
    sequences: FloatArray | None,
    where: str = "calibration",
    lengths: IntArray | None = None,
    states: Any = None,
) -> Ranges:
    """Find the ranges of all tensors of ``model``.

    sequences: real numbers, (steps, inputs) or (sequences, steps, inputs). lengths: (sequences)
    steps of each; what lies beyond is not looked at. states: where they begin (default: zero), see
    ``calibration_data.states_of``; they belong to the ranges.

    Without data, ``synthetic_frames`` stand in (``is_synthetic``).
    Raises PenstockError for data of another width, of no frames, of integers or with values that
    are not finite.
    """
    ranges = Ranges(is_synthetic=sequences is None)
    if sequences is None:
        sequences = synthetic_frames(model)
    frames, counts = checked_frames(sequences, model.inputs, where, lengths)
    initial = states_of(model, states, len(frames), where)
    for name, values in initial.items():
        ranges.watch(name, 0, values)

    def watch(name: str, step: int, rows: FloatArray) -> None:
        ranges.watch(name, step, rows)
        if name == INPUT:
            ranges.columns = tuple(np.abs(rows).max(axis=0).tolist())

    with np.errstate(over="ignore", invalid="ignore"):
        model.run(frames, counts, watch, initial)
    for name, peak in ranges.peak.items():
        if not np.isfinite(peak):
            raise PenstockError(
                f"the float network overflows: {name} reaches {peak}",
                where,
                "is a weight or a frame far out of range?",
            )
        if peak < NEGLIGIBLE:
            ranges.peak[name] = 0.0
    return ranges


def check_ranges(model: RecurrentModel, ranges: Ranges, where: str) -> None:
    """Raise PenstockError for ranges that say nothing, or nothing possible, of a tensor."""
    for name in calibrate(model, np.zeros((1, model.inputs)), where).peak:
        peak = ranges.peak.get(name)
        if not isinstance(peak, int | float) or not 0 <= peak < np.inf:
            raise PenstockError(
                f"the calibrated range of {name} is {peak}", where, "calibrate this network"
            )
