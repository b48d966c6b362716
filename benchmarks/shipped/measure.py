"""What the three tasks share: the examples' table, recordings, error rates, a compile and a run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from speech.recordings import read_arrays
from story import (
    RESULTS,
    ROOT,
    Story,
    check_rows,
    clustered,
    exit_status,
    hardware_rows,
    parse,
    proportion,
    replace_section,
)

import penstock
from penstock import Hardware
from penstock.fixed import FloatArray, IntArray
from penstock_runtime import Interpreter

__all__ = [
    "RESULTS", "ROOT", "Shipped", "Story", "clustered", "exit_status", "parse", "proportion",
    "replace_section",
]  # fmt: skip
RATE = 16_000
CHECKED_STEPS = 12


@dataclass(frozen=True)
class Shipped:
    """A network that somebody ships, and its task.

    package, licence, network: as the table names them. measure: (folder of the packages, folder of
    the data, folder for the project, story) -> whether interpreter and C simulation agree.
    """

    name: str
    title: str
    package: str
    licence: str
    network: str
    measure: Callable[[Path, Path, Path, Story], bool]


@dataclass(frozen=True)
class Both:
    """A network in float and compiled. Both take whole sequences of real frames, or of tokens that
    the module looks up, and give (sequences, steps or 1, outputs)."""

    module: torch.nn.Module
    interpreter: Interpreter
    compiled: penstock.Compiled

    def in_float(self, x: Any) -> FloatArray:
        """What the module gives."""
        with torch.no_grad():
            found = self.module(torch.from_numpy(x)).double().numpy()
        return found.reshape(len(x), -1, found.shape[-1])


def compiled(module: torch.nn.Module, frames: Any, folder: Path, pes: int, **more: Any) -> Both:
    """The module, compiled with Penstock's own number formats. frames: for calibration."""
    made = penstock.compile(module.eval(), frames, Hardware(pes=pes), **more)
    return Both(module, Interpreter(made.write(folder, overwrite=True)), made)


def closing_rows(story: Story, both: Both, frames: FloatArray) -> bool:
    """Size, speed, and the check against C simulation on the first steps of some sequences."""
    hardware_rows(story, both.compiled)
    sample = frames[:, :CHECKED_STEPS]
    lengths = np.full(len(sample), sample.shape[1])
    return check_rows(story, both.interpreter, sample, lengths).passed


@dataclass(frozen=True)
class Recording:
    """A spoken digit at 16 kHz. index: its speaker's running number for this digit."""

    sound: FloatArray
    speaker: int
    index: int


def recordings(folder: Path) -> list[Recording]:
    """All of FSDD, by speaker, digit and index. Raises PenstockError."""
    arrays = read_arrays(folder / "fsdd/fsdd.npz", "audio", "offset", "speaker", "index")
    audio, offset, speaker, index = arrays
    sound = librosa.resample(audio / 32768, orig_sr=8000, target_sr=RATE)
    ends = [2 * int(end) for end in offset]
    return [
        Recording(sound[a:b].astype(np.float32), int(who), int(number))
        for (a, b), who, number in zip(pairwise(ends), speaker, index, strict=True)
    ]


def equal_error_rate(same: FloatArray, other: FloatArray) -> float:
    """Where as many pairs of the same kind lie below the threshold as others above.

    same, other: scores; of the same kind the score should be high.
    """
    thresholds = np.sort(np.concatenate([same, other]))
    rejected = np.searchsorted(np.sort(same), thresholds) / len(same)
    accepted = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    nearest = int(np.argmin(np.abs(rejected - accepted)))
    return float(rejected[nearest] + accepted[nearest]) / 2


def area_under_curve(scores: FloatArray, is_positive: Any) -> float:
    """The chance that a positive has a higher score than a negative; ties count half."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    positives = int(is_positive.sum())
    total = ranks[inverse][is_positive].sum() - positives * (positives + 1) / 2
    return float(total / (positives * (len(values[inverse]) - positives)))


def padded(sequences: Sequence[Any]) -> tuple[Any, IntArray]:
    """Sequences of different lengths in one array, zeros behind them; and their lengths."""
    lengths = np.array([len(one) for one in sequences])
    x = np.zeros((len(sequences), lengths.max(), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, one in zip(x, sequences, strict=True):
        row[: len(one)] = one
    return x, lengths
