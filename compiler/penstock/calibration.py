"""Calibration: run the float network on data, and remember how far every tensor reaches."""

from __future__ import annotations

import numpy as np

from penstock.arrays import as_array, as_floats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.layers.ranges import Ranges
from penstock.model import RecurrentModel

__all__ = ["Ranges", "calibrate", "checked_frames"]

DEFAULT_SEQUENCES, DEFAULT_STEPS = 16, 32
DEFAULT_SEED = 0
NEGLIGIBLE = 1e-100
"""Nothing that a type holds differs from zero by less."""


def calibrate(
    model: RecurrentModel,
    sequences: FloatArray | None,
    where: str = "calibration",
    lengths: IntArray | None = None,
) -> Ranges:
    """Find the ranges of all tensors of ``model``.

    sequences: (steps, inputs) or (lanes, steps, inputs).

    Without data, normally distributed frames of a fixed seed stand in (``is_synthetic``).
    Raises PenstockError for data of another width, of no frames or with values that are not finite.
    """
    ranges = Ranges(is_synthetic=sequences is None)
    if sequences is None:
        generator = np.random.default_rng(DEFAULT_SEED)
        sequences = generator.standard_normal((DEFAULT_SEQUENCES, DEFAULT_STEPS, model.inputs))
    frames = checked_frames(sequences, model.inputs, where)
    with np.errstate(over="ignore", invalid="ignore"):
        model.run(frames if frames.ndim == 3 else frames[None], lengths, ranges.observe)
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


def checked_frames(frames: FloatArray, inputs: int, where: str) -> FloatArray:
    """``frames`` as float64; PenstockError unless they are finite, (..., steps, inputs)."""
    frames = as_array(frames, where)
    if frames.dtype.kind not in "fiu":
        raise PenstockError(
            f"frames of type {frames.dtype} are not numbers", where, "save floats or integers"
        )
    if frames.ndim not in (2, 3) or frames.shape[-1] != inputs:
        raise PenstockError(
            f"frames of shape {frames.shape} do not fit a network of {inputs} inputs",
            where,
            f"give (steps, {inputs}) or (sequences, steps, {inputs})",
        )
    if frames.size == 0:
        raise PenstockError("there are no frames", where, "give at least one step")
    frames = as_floats(frames)
    if not np.isfinite(frames).all():
        raise PenstockError("a frame has NaN or infinite values", where, "clean the data first")
    return frames
