"""On which frames the float network and the graph are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.arrays import as_array
from penstock.calibration_data import checked_frames, frames_of, synthetic_frames
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.layers.ranges import Ranges
from penstock.model import INPUT, RecurrentModel

MOST_SEQUENCES = 64
MOST_SEQUENCE_STEPS = 20_000
"""Of all sequences together."""
MOST_LAYER_STEPS = 3_000
"""Steps of a sequence times layers: what is computed one after the other, at half a millisecond."""
MOST_WEIGHTS_READ = 60_000_000
"""Weights times steps of a sequence: each step reads all of them from memory."""
MOST_PRODUCTS = 500_000_000
"""Weights times steps of all sequences. Together, the limits keep a comparison near two seconds."""
LEAST_STEPS = 16
"""A recurrent network shows little in fewer, whatever they cost."""


class Source(StrEnum):
    """Where the frames come from."""

    CALIBRATION = "calibration frames"
    VALIDATION = "validation frames"
    SYNTHETIC = "synthetic, normally distributed frames"
    TOKENS = "sequences of random tokens"
    SCALED = "synthetic frames, scaled to the calibrated input range"


@dataclass(frozen=True)
class Validation:
    """Sequences to compare on, as the user has them.

    x: (steps, inputs) or (sequences, steps, inputs) in the model's order, or an embedding's tokens;
    lengths: (sequences); y: labels or real targets, for each sequence or, where there is a result
    at every step, for each step; a negative label is none. name: what errors call them.
    """

    x: Any
    lengths: Any = None
    y: Any = None
    name: str = "validation"

    @classmethod
    def of(cls, arrays: Mapping[str, Any], where: str) -> Validation:
        """Those of an .npz file. Raises PenstockError for other names than x, lengths and y."""
        unknown = sorted(arrays.keys() - {"x", "lengths", "y"})
        if "x" not in arrays or unknown:
            what = f"there is {', '.join(unknown)}" if "x" in arrays else "there is no x"
            raise PenstockError(
                what, where, "save it with numpy.savez(file, x=..., lengths=..., y=...)"
            )
        return cls(**arrays, name=where)


@dataclass(frozen=True)
class Trial:
    """Sequences for both networks.

    frames: (sequences, steps, inputs) in float64; lengths: (sequences); labels: as given, the
    sequences first, or None. of_sequences, of_steps: how many there were before any were left out;
    steps are counted over all sequences.
    """

    source: Source
    frames: FloatArray
    lengths: IntArray
    labels: NDArray[Any] | None = None
    of_sequences: int = 0
    of_steps: int = 0
    where: str = "calibration"

    def scaled(self, exponents: Sequence[int]) -> Trial:
        """The same, input j divided by 2**exponents[j]; exponents may be empty."""
        if not exponents:
            return self
        return replace(self, frames=np.ldexp(self.frames, -np.array(exponents)))

    @property
    def sequences(self) -> int:
        """How many."""
        return len(self.frames)

    @property
    def steps(self) -> int:
        """Of all sequences together."""
        return int(self.lengths.sum())


def trial_of(
    model: RecurrentModel,
    calibration: FloatArray | Ranges | None,
    lengths: IntArray | None = None,
    validation: Validation | None = None,
    where: str = "calibration",
) -> Trial:
    """The frames that a compile compares on: those for validation if there are any, all of them;
    else those of calibration, as many as are compared in about two seconds; else synthetic ones.

    calibration: as ``compile_model`` takes it; lengths: of its sequences. Raises PenstockError.
    """
    if validation is not None:
        return _validation_trial(model, validation)
    if calibration is None or isinstance(calibration, Ranges):
        reach = None
        if isinstance(calibration, Ranges) and not calibration.is_synthetic:
            reach = np.array(calibration.columns or [calibration.peak[INPUT]] * model.inputs)
        return _synthetic_trial(model, reach)
    frames, counts = _sequences(model, calibration, lengths, where)
    return _bounded(model, Source.CALIBRATION, frames, counts)


def _synthetic_trial(model: RecurrentModel, reach: FloatArray | None) -> Trial:
    """Those that calibrate without data; reach: how far each input is to reach."""
    frames, source = synthetic_frames(model), Source.SYNTHETIC
    if model.table is not None:
        source = Source.TOKENS
    elif reach is not None:
        frames *= reach / np.abs(frames).max(axis=(0, 1))
        source = Source.SCALED
    return _bounded(model, source, frames, np.full(len(frames), frames.shape[1]))


def _validation_trial(model: RecurrentModel, given: Validation) -> Trial:
    where = given.name
    frames, counts = _sequences(model, given.x, given.lengths, where)
    labels = None if given.y is None else as_array(given.y, where)
    if labels is not None and not model.batch_first and not model.is_once(model.outputs[0]):
        labels = labels.swapaxes(0, 1) if labels.ndim > 1 else labels
    return Trial(
        Source.VALIDATION, frames, counts, labels, len(frames), int(counts.sum()), where
    )  # fmt: skip


def _sequences(
    model: RecurrentModel, given: Any, lengths: Any, where: str
) -> tuple[FloatArray, IntArray]:
    """Frames in the model's order, or tokens -> (sequences, steps, inputs), and their lengths."""
    frames = frames_of(model, as_array(given, where), where)
    assert frames is not None
    checked, counts = checked_frames(frames, model.inputs, where, lengths)
    if counts is None:
        counts = np.full(len(checked), checked.shape[1])
    if not counts.any():
        raise PenstockError("all lengths are 0", where, "give at least one step")
    return checked, counts


def _bounded(model: RecurrentModel, source: Source, frames: FloatArray, lengths: IntArray) -> Trial:
    """Sequences evenly spaced among those that there are, and no more steps than the limits say."""
    weights = max(sum(matrix.size for matrix in model.weights().values()), 1)
    most = min(MOST_LAYER_STEPS // len(model.places), MOST_WEIGHTS_READ // weights)
    longest = min(max(int(lengths.max()), 1), max(most, LEAST_STEPS))
    budget = min(MOST_SEQUENCE_STEPS, MOST_PRODUCTS // weights)
    count = min(len(frames), MOST_SEQUENCES, max(budget // longest, 1))
    chosen = np.linspace(0, len(frames) - 1, count).astype(np.int64)
    kept = np.minimum(lengths[chosen], longest)
    return Trial(
        source, frames[chosen, :longest], kept,
        of_sequences=len(frames), of_steps=int(lengths.sum()),
    )  # fmt: skip
