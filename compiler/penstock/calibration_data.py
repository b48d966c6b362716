"""What a user gives for calibration: frames, lengths and initial states, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.arrays import as_array, as_floats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.hidden import by_name
from penstock.model import RecurrentModel

DEFAULT_SEQUENCES, DEFAULT_STEPS = 16, 32
DEFAULT_SEED = 0


def synthetic_frames(model: RecurrentModel) -> FloatArray:
    """What stands in for data, of a fixed seed: (sequences, steps, inputs).

    Normally distributed, or random tokens where the network begins with an embedding.
    """
    generator = np.random.default_rng(DEFAULT_SEED)
    shape = (DEFAULT_SEQUENCES, DEFAULT_STEPS)
    if model.table is None:
        return generator.standard_normal((*shape, model.inputs))
    frames: FloatArray = model.table[generator.integers(0, len(model.table), shape)]
    return frames


def frames_of(model: RecurrentModel, given: Any, where: str) -> FloatArray | None:
    """Calibration data as the model orders it -> the sequences first; tokens are looked up."""
    if given is None:
        return None
    frames = as_array(given, where)
    if model.table is not None and frames.dtype.kind in "iu" and frames.ndim in (1, 2):
        if frames.size and not 0 <= int(frames.min()) <= int(frames.max()) < len(model.table):
            raise PenstockError(
                f"a token is outside 0..{len(model.table) - 1}",
                where,
                "give the model's own tokens",
            )
        frames = model.table[frames]
    is_time_major = frames.ndim == 3 and not model.batch_first
    return frames.swapaxes(0, 1) if is_time_major else frames


def checked_frames(
    frames: FloatArray, inputs: int, where: str, lengths: Any = None
) -> tuple[FloatArray, IntArray | None]:
    """(steps, inputs) or (sequences, steps, inputs) -> float64 with the sequences first, lengths.

    What lies beyond a sequence's length may be anything, and becomes zero. PenstockError for
    anything but real numbers that are finite.
    """
    _check_real(frames, "frames", where)
    if frames.ndim not in (2, 3) or frames.shape[-1] != inputs:
        raise PenstockError(
            f"frames of shape {frames.shape} do not fit a network of {inputs} inputs",
            where,
            f"give (steps, {inputs}) or (sequences, steps, {inputs})",
        )
    if frames.size == 0:
        raise PenstockError("there are no frames", where, "give at least one step")
    found = as_floats(frames if frames.ndim == 3 else frames[None])
    counts = None if lengths is None else _checked_lengths(lengths, found.shape, where)
    if counts is not None:
        valid = np.arange(found.shape[1]) < counts[:, None]
        found = np.where(valid[:, :, None], found, 0.0)
    if not np.isfinite(found).all():
        raise PenstockError(
            "a frame has NaN or infinite values", where, "clean the data, or give the lengths"
        )
    return found, counts


def _check_real(values: Any, what: str, where: str) -> None:
    """Raw integers mean nothing before calibration has chosen the types that they are of."""
    if values.dtype.kind not in "fiu":
        raise PenstockError(f"{what} of type {values.dtype} are not numbers", where, "save floats")
    if values.dtype.kind in "iu":
        raise PenstockError(
            f"the {what} are integers ({values.dtype}), but calibration takes real numbers",
            where,
            "give floats: .astype(float), if the integers are what the network is to see",
        )


def _checked_lengths(lengths: Any, shape: tuple[int, ...], where: str) -> IntArray:
    found = as_array(lengths, where)
    is_fitting = found.shape == (shape[0],) and found.dtype.kind in "iu"
    if not is_fitting or found.min() < 0 or found.max() > shape[1]:
        raise PenstockError(
            f"lengths must be {shape[0]} integers from 0 to {shape[1]}",
            where,
            "give one length for each sequence",
        )
    if not found.any():
        raise PenstockError("there are no frames", where, "give at least one step")
    return np.asarray(found, dtype=np.int64)


def states_of(
    model: RecurrentModel, given: Any, sequences: int, where: str
) -> dict[str, FloatArray]:
    """Initial states -> name -> (sequences, n); those not given are zero, and left out.

    given: see penstock.hidden. Raises PenstockError.
    """
    sizes = model.states()
    named = {} if given is None else by_name(given, sizes, where)
    found = {}
    for name, values in named.items():
        if name not in sizes:
            raise PenstockError(
                f"the states are {sorted(sizes)}, not {name}", where, "give h_0 and c_0, or these"
            )
        array = as_array(values, where)
        _check_real(array, f"states {name}", where)
        if array.shape != (sequences, sizes[name]) or not np.isfinite(array).all():
            raise PenstockError(
                f"state {name} must be finite numbers of shape ({sequences}, {sizes[name]}), "
                f"not {array.shape}",
                where,
                "give a state for each calibration sequence",
            )
        found[name] = as_floats(array)
    return found
