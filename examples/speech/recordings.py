"""Recordings and their labels: spoken digits, phones, or telephone tones made on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from speech.audio import RATE, mfcc, normalized, with_deltas

from penstock import PenstockError
from penstock.compress.dataset import IGNORED, Dataset, make_dataset
from penstock.fixed import FloatArray, IntArray

VALID_EVERY = 10
DELAY, WARM_UP, CHUNK = 5, 15, 100
"""A phone's label comes DELAY frames late, so that the network has heard what follows. Training
goes in chunks of CHUNK labelled frames, behind WARM_UP frames that only bring the state up."""
VALID_SPEAKERS = 8
SHORTEST_RUN = 3
TONES = [(941, 1336), (697, 1209), (697, 1336), (697, 1477), (770, 1209), (770, 1336), (770, 1477),
         (852, 1209), (852, 1336), (852, 1477)]  # fmt: skip
"""Hertz of the two tones of each digit on a telephone."""


def read_arrays(path: Path, *names: str) -> list[Any]:
    """These arrays of an .npz file. Raises PenstockError."""
    hint = "see the README for what it holds"
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise PenstockError(f"there is no {missing[0]}", str(path), hint)
            return [file[name] for name in names]
    except PenstockError:
        raise
    except Exception as error:  # numpy and zipfile each raise their own
        raise PenstockError("the recordings can't be read", str(path), hint) from error


def digits(folder: Path) -> Dataset:
    """Spoken digits, official split; every tenth training recording chooses the epoch."""
    path = folder / "fsdd/fsdd.npz"
    audio, offset, label, is_test = read_arrays(path, "audio", "offset", "label", "is_test")
    found = [mfcc(audio[a:b] / 32768) for a, b in pairwise(offset)]
    return _one_label_each(found, label, is_test, str(folder))


def tones(count: int, seed: int = 0) -> Dataset:
    """Telephone tones in noise, of random lengths and levels, silence around them."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 10, count)
    found = []
    for digit in label:
        time = np.arange(int(generator.uniform(0.15, 0.3) * RATE)) / RATE
        pair = [np.sin(2 * np.pi * hertz * time + generator.uniform(0, 6)) for hertz in
                TONES[digit]]  # fmt: skip
        quiet = generator.integers(RATE // 20, RATE // 10, 2)
        sound = np.pad(np.exp(generator.uniform(-1, 0)) * sum(pair), quiet)
        found.append(mfcc(sound + generator.normal(0, 0.1, len(sound))))
    return _one_label_each(found, label, np.arange(count) % 4 == 0, "generated tones")


def _one_label_each(found: list[FloatArray], label: IntArray, is_test: Any, where: str) -> Dataset:
    is_valid = ~is_test & (np.cumsum(~is_test) % VALID_EVERY == 0)
    chosen = {"train": ~is_test & ~is_valid, "valid": is_valid, "test": is_test}
    arrays = {}
    for name, rows in chosen.items():
        arrays |= padded(name, [found[row] for row in np.flatnonzero(rows)])
        arrays[f"y_{name}"] = label[rows].astype(np.int64)
    return make_dataset(arrays, "classification", where)


def padded(name: str, found: list[FloatArray]) -> dict[str, Any]:
    """``x_name`` (recordings, frames, n) and ``lengths_name``."""
    lengths = np.array([len(frames) for frames in found])
    x = np.zeros((len(found), lengths.max(), found[0].shape[1]), dtype=np.float32)
    for row, frames in zip(x, found, strict=True):
        row[: len(frames)] = frames
    return {f"x_{name}": x, f"lengths_{name}": lengths}


def phones(folder: Path, deltas: bool = True) -> Dataset:
    """Frame-level phones: training in chunks; validation (8 of the training speakers) and test by
    utterance. 40 log-mel energies, with ``deltas`` 120 features."""
    feat, label, offset, is_test, speaker, scale = read_arrays(
        folder / "speechocean_phones/speechocean_phones.npz",
        "feat", "frame_label", "offset", "is_test", "speaker", "feat_scale",
    )  # fmt: skip
    known = sorted(set(speaker[~is_test]))
    held_out = set(np.random.default_rng(0).choice(known, VALID_SPEAKERS, replace=False))
    parts: dict[str, list[tuple[FloatArray, IntArray]]] = {"train": [], "valid": [], "test": []}
    for index, (a, b) in enumerate(pairwise(offset)):
        x = feat[a:b] / float(scale)
        x = normalized(with_deltas(x) if deltas else x)
        x = np.concatenate([x, np.repeat(x[-1:], DELAY, axis=0)])
        y = np.concatenate([np.full(DELAY, IGNORED), label[a:b].astype(np.int64)])
        part = "test" if is_test[index] else "valid" if speaker[index] in held_out else "train"
        parts[part] += _chunks(x, y) if part == "train" else [(x, y)]
    arrays = {}
    for name, found in parts.items():
        arrays |= padded(name, [x for x, _ in found])
        y = np.full(arrays[f"x_{name}"].shape[:2], IGNORED)
        for row, (_, labels) in zip(y, found, strict=True):
            row[: len(labels)] = labels
        arrays[f"y_{name}"] = y
    return make_dataset(arrays, "labelling", str(folder))


def _chunks(x: FloatArray, y: IntArray) -> Iterator[tuple[FloatArray, IntArray]]:
    for start in range(0, len(x) - DELAY, CHUNK):
        first = max(start - WARM_UP, 0)
        labels = y[first : start + CHUNK].copy()
        labels[: start - first] = IGNORED
        yield x[first : start + CHUNK], labels


def phone_errors(labels: IntArray, answers: IntArray) -> tuple[int, int]:
    """(insertions, deletions and substitutions; phones) of one utterance.

    labels, answers: phone of every frame, silence 0. Answers that last under 3 frames are dropped,
    then repetitions and silence, as in the labels.
    """
    spoken = [phone for phone, _ in groupby(labels) if phone]
    runs = [(phone, len(list(run))) for phone, run in groupby(answers)]
    heard = [phone for phone, _ in groupby(p for p, n in runs if n >= SHORTEST_RUN) if phone]
    return Levenshtein.distance(heard, spoken), len(spoken)
