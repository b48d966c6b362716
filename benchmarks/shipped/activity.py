"""Silero VAD: does anybody speak? An LSTM behind convolutions over pieces of 32 ms of sound.

The convolutions stay on the host. The LSTM, ReLU, the Linear layer (a convolution of width 1 in the
package) and sigmoid are in the accelerator. Test streams are spoken digits with pauses between, in
noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from measure import (
    RATE,
    Both,
    Recording,
    Shipped,
    Story,
    area_under_curve,
    closing_rows,
    compiled,
    proportion,
    recordings,
)
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import conv1d, pad

from penstock.fixed import FloatArray

FRAME, CONTEXT, REFLECTED = 512, 64, 64
STRIDES = (1, 2, 2, 1)
"""Of the four convolutions behind the spectrum."""
PAUSE, NOISE_DB = (0.3, 1.5), (-30.0, -5.0)
"""Seconds between words; noise against speech, drawn for each stream."""
WORDS, STREAMS, CALIBRATION = 25, 48, 12
"""Words of a stream; streams that are tested and that calibration sees."""
TEST_INDEX = 40
"""Recordings with a running number below are tested."""
THRESHOLD = 0.5
PES = 16
Weights = dict[str, torch.Tensor]


class Decoder(nn.Module):
    """(streams, frames, features) -> (streams, frames, 1): the chance that somebody speaks."""

    def __init__(self, weights: Weights):
        super().__init__()
        rows, features = weights["lstm_cell.weight_ih"].shape
        self.lstm = nn.LSTM(features, rows // 4, batch_first=True)
        self.final = nn.Linear(rows // 4, 1)
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.load_state_dict(
            {f"lstm.{part}_l0": weights[f"lstm_cell.{part}"] for part in parts}
            | {"final.weight": weights["final_conv.weight"][:, :, 0],
               "final.bias": weights["final_conv.bias"]}
        )  # fmt: skip

    def forward(self, features):
        return torch.sigmoid(self.final(torch.relu(self.lstm(features)[0])))


@torch.no_grad()
def features(weights: Weights, sound: FloatArray) -> FloatArray:
    """(frames, features) of a stream, whole frames only: what the convolutions make of it."""
    count = len(sound) // FRAME
    before = np.pad(sound, (CONTEXT, 0))
    pieces = np.stack([before[n * FRAME : (n + 1) * FRAME + CONTEXT] for n in range(count)])
    x = pad(torch.from_numpy(pieces.astype(np.float32)), (0, REFLECTED), "reflect")[:, None]
    basis = weights["stft_conv.weight"]
    real, imaginary = conv1d(x, basis, stride=basis.shape[2] // 2).chunk(2, dim=1)
    x = torch.hypot(real, imaginary)
    for number, stride in enumerate(STRIDES, 1):
        weight, bias = (weights[f"conv{number}.{part}"] for part in ("weight", "bias"))
        x = torch.relu(conv1d(x, weight, bias, stride=stride, padding=1))
    return x[:, :, 0].numpy()


def stream(words: list[FloatArray], generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Words with pauses, in noise; and of each whole frame, whether most of it is a word."""
    parts, spoken = [], []
    for word in words:
        pause = int(generator.uniform(*PAUSE) * RATE)
        parts += [np.zeros(pause), word / max(np.abs(word).max(), 1e-9) * 0.5]
        spoken += [np.zeros(pause), np.ones(len(word))]
    sound, is_word = np.concatenate(parts), np.concatenate(spoken)
    level = np.sqrt(np.mean(sound[is_word > 0] ** 2))
    noise = 10 ** (generator.uniform(*NOISE_DB) / 20) * level
    frames = len(sound) // FRAME
    shares = is_word[: frames * FRAME].reshape(frames, FRAME).mean(axis=1)
    return sound + generator.normal(0, noise, len(sound)), shares > 0.5


def streams(
    found: list[Recording], count: int, seed: int, weights: Weights
) -> list[tuple[FloatArray, FloatArray]]:
    """(features, whether somebody speaks) of each stream, words drawn from these recordings."""
    generator, made = np.random.default_rng(seed), []
    for _ in range(count):
        chosen = generator.choice(len(found), WORDS, replace=False)
        sound, is_speech = stream([found[index].sound for index in chosen], generator)
        made.append((features(weights, sound), is_speech))
    return made


def measure(packages: Path, data: Path, folder: Path, story: Story) -> bool:
    """See ``Shipped``."""
    weights = load_file(packages / "silero_vad/data/silero_vad_16k.safetensors")
    found = recordings(data)
    parts = [[one for one in found if (one.index < TEST_INDEX) == is_test]
             for is_test in (True, False)]  # fmt: skip
    tested, seen = (streams(part, count, seed, weights) for seed, (part, count) in
                    enumerate(zip(parts, (STREAMS, CALIBRATION), strict=True)))  # fmt: skip
    shortest = min(len(frames) for frames, _ in seen)
    frames = np.stack([frames[:shortest] for frames, _ in seen])
    both = compiled(Decoder(weights), frames, folder, PES)
    _compare(story, both, tested)
    return closing_rows(story, both, frames[:2])


def _compare(story: Story, both: Both, tested: list[tuple[FloatArray, FloatArray]]) -> None:
    is_speech = np.concatenate([truth for _, truth in tested])
    real = np.concatenate([both.in_float(x[None])[0, :, 0] for x, _ in tested])
    bits = np.concatenate([both.interpreter.run(x).values[:, 0] for x, _ in tested])
    story.add("test set", f"{len(tested)} streams, {len(real):,} frames of 32 ms, "
              f"{is_speech.mean():.0%} speech")  # fmt: skip
    for how, chance in (("float", real), ("bit-true", bits)):
        right = float(np.mean((chance >= THRESHOLD) == is_speech))
        story.add(f"frames rightly decided, {how}", proportion(right, len(real)))
        story.add(f"area under the ROC curve, {how}", f"{area_under_curve(chance, is_speech):.4f}")
    agree = np.mean((real >= THRESHOLD) == (bits >= THRESHOLD))
    story.add("decisions, bit-true as in float", f"{agree:.2%}")
    story.add("difference of the chances, mean, greatest",
              f"{np.abs(real - bits).mean():.4f}, {np.abs(real - bits).max():.4f}")  # fmt: skip


SHIPPED = Shipped(
    "shipped-activity", "does anybody speak: Silero VAD", "silero-vad 6.2.3", "MIT",
    "LSTM of 128, ReLU, Linear 1, sigmoid", measure,
)  # fmt: skip
