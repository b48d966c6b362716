"""Resemblyzer's voice encoder: whose voice is it? Three LSTMs and a Linear layer over mel energies.

Its forward ends with a division by the norm, which the host does here. Its voice detector, which
cuts silence out, is left away: the recordings are trimmed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import librosa
import numpy as np
import torch
from measure import (
    RATE,
    Both,
    Recording,
    Shipped,
    Story,
    closing_rows,
    compiled,
    equal_error_rate,
    proportion,
    recordings,
)
from torch import nn

from penstock.fixed import FloatArray

MELS, WINDOW, HOP = 40, 400, 160
PIECE, STRIDE = 160, 77
"""Frames of what the network hears at once, and from one such piece to the next."""
LEAST_COVERED = 0.75
LOUDNESS = 10 ** (-30 / 20)
TOGETHER = 5
"""Recordings that make up an utterance: without that, they are too short."""
TESTED, ENROLLED = 80, 10
"""Utterances of each speaker that are tested, and that tell who they are; calibration has the rest.
"""
SEQUENCES_AT_ONCE = 96
PES = 32


class Encoder(nn.Module):
    """(pieces, frames, mels) -> (pieces, outputs)."""

    def __init__(self, state: dict[str, torch.Tensor]):
        super().__init__()
        layers = sum(name.startswith("lstm.weight_ih") for name in state)
        cells, mels = state["lstm.weight_hh_l0"].shape[1], state["lstm.weight_ih_l0"].shape[1]
        self.lstm = nn.LSTM(mels, cells, layers, batch_first=True)
        self.linear = nn.Linear(cells, len(state["linear.weight"]))
        names = set(self.state_dict())
        self.load_state_dict({name: value for name, value in state.items() if name in names})

    def forward(self, mels):
        _, (hidden, _) = self.lstm(mels)
        return torch.relu(self.linear(hidden[-1]))


def encoder(packages: Path) -> Encoder:
    """With the trained weights."""
    path = packages / "resemblyzer/pretrained.pt"
    return Encoder(torch.load(path, map_location="cpu", weights_only=True)["model_state"])


def pieces(sound: FloatArray) -> FloatArray:
    """(pieces, frames, mels) of an utterance, as the package cuts and hears it."""
    loudness = np.sqrt(np.mean(sound**2))
    sound = sound * max(1.0, LOUDNESS / max(loudness, 1e-9))
    frames = -(-(len(sound) + 1) // HOP)
    starts = list(range(0, max(1, frames - PIECE + STRIDE + 1), STRIDE))
    if len(starts) > 1 and (len(sound) - starts[-1] * HOP) / (PIECE * HOP) < LEAST_COVERED:
        starts.pop()
    sound = np.pad(sound, (0, max(0, (starts[-1] + PIECE) * HOP - len(sound))))
    mels = librosa.feature.melspectrogram(
        y=sound, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=MELS
    ).T
    return np.stack([mels[start : start + PIECE] for start in starts]).astype(np.float32)


def utterances(found: list[Recording]) -> dict[int, list[FloatArray]]:
    """speaker -> the pieces of each utterance, in the order of the recordings' running numbers."""
    made: dict[int, list[FloatArray]] = {}
    for speaker in sorted({one.speaker for one in found}):
        own = sorted((one for one in found if one.speaker == speaker), key=lambda one: one.index)
        made[speaker] = [
            pieces(np.concatenate([one.sound for one in own[start : start + TOGETHER]]))
            for start in range(0, len(own) - TOGETHER + 1, TOGETHER)
        ]
    return made


def embeddings(run: Callable[[FloatArray], FloatArray], heard: list[FloatArray]) -> FloatArray:
    """(utterances, outputs): the mean of an utterance's pieces, each of norm 1, and again so."""
    together = np.concatenate(heard)
    values = [run(together[start : start + SEQUENCES_AT_ONCE])[:, 0]
              for start in range(0, len(together), SEQUENCES_AT_ONCE)]  # fmt: skip
    each = np.split(_unit(np.concatenate(values)), np.cumsum([len(one) for one in heard])[:-1])
    return _unit(np.stack([one.mean(axis=0) for one in each]))


def _unit(values: FloatArray) -> FloatArray:
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-9)


def identified(tested: FloatArray, enrolled: FloatArray) -> FloatArray:
    """The speaker whom each utterance is most like. enrolled: (speakers, outputs)."""
    return np.argmax(tested @ enrolled.T, axis=1)


def verification_error(tested: FloatArray, speakers: FloatArray) -> float:
    """Equal error rate over all pairs of utterances: is it the same voice?"""
    pairs = np.array(list(combinations(range(len(tested)), 2)))
    scores = (tested @ tested.T)[pairs[:, 0], pairs[:, 1]]
    is_same = speakers[pairs[:, 0]] == speakers[pairs[:, 1]]
    return equal_error_rate(scores[is_same], scores[~is_same])


def measure(packages: Path, data: Path, folder: Path, story: Story) -> bool:
    """See ``Shipped``."""
    by_speaker = utterances(recordings(data))
    seen = [one for own in by_speaker.values() for one in own[TESTED + ENROLLED :]]
    both = compiled(encoder(packages), np.concatenate(seen), folder, PES)
    tested = [one for own in by_speaker.values() for one in own[:TESTED]]
    enrolled = [one for own in by_speaker.values() for one in own[TESTED : TESTED + ENROLLED]]
    speakers = np.repeat(np.arange(len(by_speaker)), len(tested) // len(by_speaker))
    story.add("test set", f"{len(tested)} utterances of {len(by_speaker)} speakers")
    _compare(story, both, (tested, enrolled), speakers)
    return closing_rows(story, both, tested[0][:1])


def _compare(
    story: Story, both: Both, heard: tuple[list[FloatArray], ...], speakers: FloatArray
) -> None:
    count, answers, vectors = len(set(speakers)), [], []
    runs = {"float": both.in_float, "bit-true": lambda x: both.interpreter.run(x).values}
    for how, run in runs.items():
        tested, enrolled = (embeddings(run, part) for part in heard)
        middle = _unit(enrolled.reshape(count, -1, enrolled.shape[1]).mean(axis=1))
        answers.append(identified(tested, middle))
        vectors.append(tested)
        right = float(np.mean(answers[-1] == speakers))
        story.add(f"speakers identified, {how}", proportion(right, len(speakers)))
        story.add(f"verification, equal error rate, {how}",
                  f"{verification_error(tested, speakers):.2%}")  # fmt: skip
    agree = float(np.mean(answers[0] == answers[1]))
    story.add("speakers, bit-true as in float", f"{agree:.2%}")
    cosine = np.sum(vectors[0] * vectors[1], axis=1).min()
    story.add("cosine of bit-true and float embeddings, least", f"{cosine:.5f}")


SHIPPED = Shipped(
    "shipped-voices", "whose voice: Resemblyzer's voice encoder", "Resemblyzer 0.1.4", "Apache-2.0",
    "3 LSTMs of 256, Linear 256, ReLU", measure,
)  # fmt: skip
