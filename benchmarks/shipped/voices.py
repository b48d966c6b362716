"""Resemblyzer's voice encoder: whose voice is it? Three LSTMs and a Linear layer over mel energies.

Its forward ends with a division by the norm, which the host does here. Its voice detector, which
cuts silence out, is left away: the recordings are trimmed. The energies are not logarithms, and
reach from 1e-15 to 60; what the network hears in the small ones needs more than 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import nn

from measure import (
    RATE,
    Recording,
    Shipped,
    Story,
    closing_rows,
    compiled,
    equal_error_rate,
    proportion,
    recordings,
)
from penstock import Precision
from penstock.fixed import FloatArray, IntArray

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
FORMATS = {
    "bit-true, 12-bit weights, 16-bit inputs": Precision(),
    "bit-true, 16-bit weights, 24-bit inputs, interpolated tables": Precision(
        weights=16, inputs=24, interpolate_bits=5
    ),
}
"""The last is the one whose size is shown and whose C++ is run."""
Run = Callable[[FloatArray], FloatArray]


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


def embeddings(run: Run, heard: list[FloatArray]) -> FloatArray:
    """(utterances, outputs): the mean of an utterance's pieces, each of norm 1, and again so."""
    together = np.concatenate(heard)
    values = [run(together[start : start + SEQUENCES_AT_ONCE])[:, 0]
              for start in range(0, len(together), SEQUENCES_AT_ONCE)]  # fmt: skip
    each = np.split(_unit(np.concatenate(values)), np.cumsum([len(one) for one in heard])[:-1])
    return _unit(np.stack([one.mean(axis=0) for one in each]))


def _unit(values: FloatArray) -> FloatArray:
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-9)


def identified(tested: FloatArray, enrolled: FloatArray) -> IntArray:
    """The speaker whom each utterance is most like. enrolled: (speakers, outputs)."""
    return np.argmax(tested @ enrolled.T, axis=1)


def verification_error(tested: FloatArray, speakers: IntArray) -> float:
    """Equal error rate over all pairs of utterances: is it the same voice?"""
    pairs = np.array(list(combinations(range(len(tested)), 2)))
    scores = (tested @ tested.T)[pairs[:, 0], pairs[:, 1]]
    is_same = speakers[pairs[:, 0]] == speakers[pairs[:, 1]]
    return equal_error_rate(scores[is_same], scores[~is_same])


def measure(packages: Path, data: Path, folder: Path, story: Story) -> bool:
    """See ``Shipped``."""
    by_speaker = utterances(recordings(data))
    seen = [one for own in by_speaker.values() for one in own[TESTED + ENROLLED :]]
    tested = [one for own in by_speaker.values() for one in own[:TESTED]]
    enrolled = [one for own in by_speaker.values() for one in own[TESTED : TESTED + ENROLLED]]
    story.add("test set", f"{len(tested)} utterances of {len(by_speaker)} speakers")
    trial = Trial(tested, enrolled, np.repeat(np.arange(len(by_speaker)), TESTED))
    module, frames = encoder(packages), np.concatenate(seen)
    for number, (how, precision) in enumerate(FORMATS.items()):
        both = compiled(module, frames, folder / f"{number}", PES, precision=precision)
        if number == 0:
            real = trial.rows(story, "float", both.in_float)
        bits = trial.rows(story, how, lambda x, one=both: one.interpreter.run(x).values)
        cosine = np.sum(real * bits, axis=1)
        story.add(f"cosine with float embeddings, mean, least, {how}",
                  f"{cosine.mean():.4f}, {cosine.min():.4f}")  # fmt: skip
    return closing_rows(story, both, tested[0][:1])


@dataclass(frozen=True)
class Trial:
    """Utterances that are tested, of these speakers; and as many of each that tell who they are."""

    tested: list[FloatArray]
    enrolled: list[FloatArray]
    speakers: IntArray

    def rows(self, story: Story, how: str, run: Run) -> FloatArray:
        """What a network is worth, and its embeddings of the tested utterances."""
        found, known = embeddings(run, self.tested), embeddings(run, self.enrolled)
        count = len(set(self.speakers))
        middle = _unit(known.reshape(count, -1, known.shape[1]).mean(axis=1))
        right = float(np.mean(identified(found, middle) == self.speakers))
        error = verification_error(found, self.speakers)
        story.add(f"speakers identified, {how}", proportion(right, len(found)))
        story.add(f"same voice or not, equal error rate, {how}", f"{error:.2%}")
        return found


SHIPPED = Shipped(
    "shipped-voices", "whose voice: Resemblyzer's voice encoder", "Resemblyzer 0.1.4", "Apache-2.0",
    "3 LSTMs of 256, Linear 256, ReLU", measure,
)  # fmt: skip
