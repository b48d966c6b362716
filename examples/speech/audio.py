"""Sound to features: 39 mel-frequency cepstral coefficients a frame, by librosa."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import soundfile

from penstock import PenstockError
from penstock.fixed import FloatArray

RATE = 8000
WINDOW, HOP, MELS, CEPSTRA = 200, 80, 26, 13
"""Samples of a frame (25 ms) and between frames (10 ms); mel filters; coefficients."""
DELTA_WIDTH = 9


def read_audio(path: Path) -> FloatArray:
    """Samples at RATE from any file that libsndfile reads.

    Channels are averaged, other sample rates converted. Raises PenstockError.
    """
    try:
        samples, rate = soundfile.read(path, always_2d=True)
    except (OSError, RuntimeError) as error:
        raise PenstockError(
            f"the sound can't be read: {error}", str(path), "is it audio?"
        ) from error
    if len(samples) == 0:
        raise PenstockError("there is no sound in the file", str(path), "record it again")
    mono = samples.mean(axis=1)
    return mono if rate == RATE else librosa.resample(mono, orig_sr=rate, target_sr=RATE)


def mfcc(samples: FloatArray) -> FloatArray:
    """(frames, 39): 13 coefficients, their slopes and the slopes of these, each of zero mean and
    unit variance over the recording."""
    cepstra = librosa.feature.mfcc(
        y=np.asarray(samples, dtype=np.float32), sr=RATE, n_mfcc=CEPSTRA, n_fft=256,
        win_length=WINDOW, hop_length=HOP, n_mels=MELS, fmin=60, fmax=3800,
    )  # fmt: skip
    return normalized(with_deltas(cepstra.T))


def with_deltas(frames: FloatArray) -> FloatArray:
    """(frames, n) -> (frames, 3 n): each feature, its slope, and the slope of that."""
    deltas = [
        librosa.feature.delta(frames, width=DELTA_WIDTH, order=order, axis=0, mode="nearest")
        for order in (1, 2)
    ]
    return np.concatenate([frames, *deltas], axis=1)


def normalized(frames: FloatArray) -> FloatArray:
    """Zero mean and unit variance of every feature over the recording."""
    return (frames - frames.mean(axis=0)) / (frames.std(axis=0) + 0.01)
