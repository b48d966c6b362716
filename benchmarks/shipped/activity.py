"""Silero VAD: does anybody speak? An LSTM behind convolutions over pieces of 32 ms of sound.

The convolutions stay on the host. The LSTM, ReLU, the Linear layer (a convolution of width 1 in the
package) and sigmoid are in the accelerator. Test streams are spoken digits with pauses between, in
noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn.functional import conv1d, pad

from measure import (
    RATE,
    Recording,
    Shipped,
    Story,
    area_under_curve,
    closing_rows,
    clustered,
    compiled,
    padded,
    recordings,
)
from penstock.fixed import FloatArray

FILE = "silero_vad/data/silero_vad_16k_sequence.onnx"
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
Chances = list[FloatArray]
"""Of each stream, its frames'."""


class Decoder(nn.Module):
    """(streams, frames, features) -> (streams, frames, 1): the chance that somebody speaks."""

    def __init__(self, weights: Weights):
        super().__init__()
        rows, features = weights["lstm.weight_ih_l0"].shape
        self.lstm = nn.LSTM(features, rows // 4, batch_first=True)
        self.output = nn.Linear(rows // 4, 1)
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    def forward(self, features):
        return torch.sigmoid(self.output(torch.relu(self.lstm(features)[0])))


def weights_of(file: Path) -> Weights:
    """Those of the package's ONNX file, by torch's names where a layer of torch takes them.

    The package's .safetensors file is not taken: it holds those of another network.
    """
    graph = onnx.load(file).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    node = next(node for node in graph.node if node.op_type == "LSTM")
    w, r, b = (arrays[name][0] for name in node.input[1:4])
    found = {"weight_ih": w, "weight_hh": r, "bias_ih": b[: len(w)], "bias_hh": b[len(w) :]}
    for name, values in found.items():
        i, o, f, g = np.split(values, 4)
        arrays[f"lstm.{name}_l0"] = np.concatenate([i, f, g, o])
    arrays["output.weight"] = arrays["output.weight"][:, :, 0]
    return {name: torch.tensor(values) for name, values in arrays.items()}


def pieces(sound: FloatArray) -> FloatArray:
    """(frames, samples) of a stream's whole frames, each behind the end of the one before."""
    before = np.pad(sound, (CONTEXT, 0)).astype(np.float32)
    count = len(sound) // FRAME
    return np.stack([before[n * FRAME : (n + 1) * FRAME + CONTEXT] for n in range(count)])


@torch.no_grad()
def features(weights: Weights, sound: FloatArray) -> FloatArray:
    """(frames, features) of a stream: what the convolutions make of it."""
    x = pad(torch.from_numpy(pieces(sound)), (0, REFLECTED), "reflect")[:, None]
    basis = weights["stft.forward_basis_buffer"]
    real, imaginary = conv1d(x, basis, stride=basis.shape[2] // 2).chunk(2, dim=1)
    x = torch.hypot(real, imaginary)
    for number, stride in enumerate(STRIDES):
        weight, bias = (weights[f"encoder.{number}.{part}"] for part in ("weight", "bias"))
        x = torch.relu(conv1d(x, weight, bias, stride=stride, padding=1))
    return x[:, :, 0].numpy()


def chances_of_the_package(file: Path, sound: FloatArray) -> FloatArray:
    """(frames) what the package's own ONNX file gives for a stream."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    start = {part: np.zeros((1, 1, session.get_inputs()[1].shape[2]), np.float32) for part in "hc"}
    return session.run(["speech_probs"], {"input": pieces(sound), **start})[0].reshape(-1)


def stream(
    words: list[FloatArray], generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
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


def streams(found: list[Recording], count: int, seed: int) -> list[tuple[FloatArray, FloatArray]]:
    """(sound, whether somebody speaks) of streams whose words are drawn from these recordings."""
    generator = np.random.default_rng(seed)
    return [
        stream([found[index].sound for index in generator.choice(len(found), WORDS, replace=False)],
               generator)
        for _ in range(count)
    ]  # fmt: skip


def measure(packages: Path, data: Path, folder: Path, story: Story) -> bool:
    """See ``Shipped``."""
    file, found = packages / FILE, recordings(data)
    weights = weights_of(file)
    parts = [[one for one in found if (one.index < TEST_INDEX) == is_test]
             for is_test in (True, False)]  # fmt: skip
    tested, seen = (streams(part, count, seed) for seed, (part, count) in
                    enumerate(zip(parts, (STREAMS, CALIBRATION), strict=True)))  # fmt: skip
    frames, lengths = padded([features(weights, sound) for sound, _ in seen])
    both = compiled(Decoder(weights), frames, folder, PES, calibration_lengths=lengths)
    heard = [features(weights, sound) for sound, _ in tested]
    real = [both.in_float(x[None])[0, :, 0] for x in heard]
    bits = [both.interpreter.run(x).values[:, 0] for x in heard]
    package = chances_of_the_package(file, tested[0][0])
    _compare(story, real, bits, [truth for _, truth in tested])
    story.add("float chances against the package's ONNX file, greatest difference",
              f"{np.abs(real[0] - package).max():.1e}")  # fmt: skip
    return closing_rows(story, both, frames[:2])


def _compare(story: Story, real: Chances, bits: Chances, truth: Chances) -> None:
    """Rows of both networks' chances, stream by stream."""
    one, other, is_speech = (np.concatenate(part) for part in (real, bits, truth))
    story.add("test set", f"{len(truth)} streams, {len(one):,} frames of 32 ms, "
              f"{is_speech.mean():.0%} speech")  # fmt: skip
    counts = np.array([len(part) for part in truth])
    for how, chances in (("float", real), ("bit-true", bits)):
        wrong = np.array([np.sum((chance >= THRESHOLD) != spoken)
                          for chance, spoken in zip(chances, truth, strict=True)])  # fmt: skip
        area = area_under_curve(np.concatenate(chances), is_speech)
        right, error = 1 - wrong.sum() / counts.sum(), clustered(wrong, counts)
        story.add(f"frames rightly decided, {how}", f"{right:.1%} +- {error:.1%}")
        story.add(f"area under the ROC curve, {how}", f"{area:.4f}")
    agree = np.mean((one >= THRESHOLD) == (other >= THRESHOLD))
    story.add("decisions, bit-true as in float", f"{agree:.2%}")
    difference = np.abs(one - other)
    story.add("difference of the chances, mean, greatest",
              f"{difference.mean():.4f}, {difference.max():.4f}")  # fmt: skip


SHIPPED = Shipped(
    "shipped-activity", "does anybody speak: Silero VAD", "silero-vad 6.2.3", "MIT",
    "LSTM of 128, ReLU, Linear 1, sigmoid", measure,
)  # fmt: skip
