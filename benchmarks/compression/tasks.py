"""The three tasks: data, dense network, how long to train, how answers are scored."""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from speech.recordings import phone_errors, phones

import penstock.nn
from penstock.compress import BankBalanced, ColumnBalanced, Pattern, PeBalanced, Unstructured
from penstock.compress.dataset import IGNORED, Dataset, Split, make_dataset

PES = 8


@dataclass(frozen=True)
class Epochs:
    """How long to train: the dense network, it again (what more training gains it), each density,
    each number format."""

    dense: int
    more: int
    pruned: int
    quantized: int


@dataclass(frozen=True)
class Task:
    """load: the data set of a folder. make: the network, untrained.

    banks: the bank of each matrix when pruned in banks. floors: the least density of a matrix.
    levels: densities, each retrained from the one before. longer: densities that are also retrained
    from the dense network, for as long as that was trained.
    metrics: further measures of (split, logits of each sequence), by name.
    """

    name: str
    title: str
    load: Callable[[Path], Dataset]
    make: Callable[[], torch.nn.Module]
    epochs: Epochs
    rate: float
    batch: int
    head_at: str
    banks: dict[str, int]
    floors: dict[str, float]
    story: str
    levels: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.03)
    longer: tuple[float, ...] = ()
    metrics: Callable[[Split, list[np.ndarray]], dict[str, float]] = lambda split, logits: {}

    def patterns(self) -> dict[str, Pattern | dict[str, Pattern]]:
        banks: dict[str, Pattern] = {name: BankBalanced(bank) for name, bank in self.banks.items()}
        return {
            "pe_balanced": PeBalanced(PES),
            "unstructured": Unstructured(),
            "column_balanced": ColumnBalanced(PES),
            "bank_balanced": banks,
        }

    def densities(self, density: float) -> dict[str, float]:
        """Of every matrix that is pruned."""
        floors = {name: self.floors.get(name, 0.0) for name in self.banks}
        return {name: max(density, floor) for name, floor in floors.items() if floor < 1.0}


def adapt_to(module: torch.nn.Module, density: float) -> None:
    """Less dropout for fewer weights (Han et al., NIPS 2015, section 3.2). An embedding, which is
    not compressed, stays as the dense network has trained it."""
    module.dropout.p = module.whole * density**0.5
    if hasattr(module, "embedding"):
        module.embedding.weight.requires_grad_(False)


class Recognizer(torch.nn.Module):
    """LSTM over frames and a Linear head, on every frame or the last."""

    def __init__(
        self, lstm: torch.nn.LSTM, classes: int, at: str, dropout: float, noise: float = 0.0
    ) -> None:
        super().__init__()
        self.lstm, self.at, self.noise = lstm, at, noise
        self.whole, self.dropout = dropout, torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(lstm.proj_size or lstm.hidden_size, classes)

    def disturbed(self, x):
        """The frames of ``x`` as they are trained on."""
        return x + self.noise * torch.randn_like(x)

    def forward(self, x, lengths):
        y, _ = self.lstm(self.disturbed(x) if self.training else x)
        if self.at == "last":
            y = y[torch.arange(len(x)), lengths - 1]
        return self.head(self.dropout(y))


class Reader(torch.nn.Module):
    """The same behind an embedding of tokens."""

    def __init__(self, tokens: int, width: int, cells: int, dropout: float) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(tokens, width, padding_idx=0)
        torch.nn.init.normal_(self.embedding.weight, 0.0, 0.1)
        self.whole, self.dropout = dropout, torch.nn.Dropout(dropout)
        self.lstm = torch.nn.LSTM(width, cells, batch_first=True)
        self.head = torch.nn.Linear(cells, 2)

    def disturbed(self, x):
        """The frames of ``x`` as they are trained on."""
        return torch.nn.functional.dropout(x, self.dropout.p)

    def forward(self, x, lengths):
        x = self.embedding(x)
        y, _ = self.lstm(self.disturbed(x) if self.training else x)
        return self.head(self.dropout(y[torch.arange(len(x)), lengths - 1]))


# Speech phones


def phone_error(split: Split, logits: list[np.ndarray]) -> dict[str, float]:
    """The phone error rate of arg max, frame by frame."""
    pairs = []
    for labels, answer in zip(split.y, logits, strict=True):
        counts = labels[: len(answer)] != IGNORED
        pairs.append(phone_errors(labels[: len(answer)][counts], answer[counts].argmax(axis=1)))
    wrong, count = np.sum(pairs, axis=0)
    return {"per": float(wrong / count)}


# Spoken digits

MELS, FRAME, HOP, FFT = 40, 200, 80, 256
VALID_EVERY = 10


def mel_filters(rate: int) -> np.ndarray:
    """(MELS, FFT / 2 + 1) triangular filters from 60 Hz to 3,800 Hz."""
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([60, 3800]) / 700)), MELS + 2)
                          / 2595) - 1)  # fmt: skip
    hertz = np.arange(FFT // 2 + 1) * rate / FFT
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))


def log_mel(audio: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """(frames, MELS) log energies, normalized over the recording."""
    audio = np.pad(audio.astype(np.float64), (0, max(FRAME - len(audio), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hamming(FRAME), FFT)) ** 2
    mel = np.log(power @ filters.T + 1.0)
    return (mel - mel.mean()) / (mel.std() + 1e-6)


def digits(folder: Path) -> Dataset:
    """The official split; every tenth training recording chooses the epoch."""
    with np.load(folder / "fsdd/fsdd.npz") as file:
        audio, offset, label, is_test = (
            file[name] for name in ("audio", "offset", "label", "is_test")
        )
        filters = mel_filters(int(file["sample_rate"]))
    found = [log_mel(audio[a:b], filters) for a, b in pairwise(offset)]
    is_valid = ~is_test & (np.cumsum(~is_test) % VALID_EVERY == 0)
    chosen = {"train": ~is_test & ~is_valid, "valid": is_valid, "test": is_test}
    return make_dataset(_padded(found, label, chosen), "classification", str(folder))


def _padded(found, label, chosen) -> dict[str, np.ndarray]:
    lengths = np.array([len(part) for part in found])
    x = np.zeros((len(found), lengths.max(), *found[0].shape[1:]), dtype=found[0].dtype)
    for row, part in zip(x, found, strict=True):
        row[: len(part)] = part
    arrays = {}
    for name, rows in chosen.items():
        arrays[f"x_{name}"], arrays[f"y_{name}"] = x[rows], np.asarray(label)[rows].astype(np.int64)
        arrays[f"lengths_{name}"] = lengths[rows]
    return arrays


# Sentences

LINE = re.compile(r"^([01]) \+\+\+\$\+\+\+ (.*)$", re.MULTILINE)
TOKENS, EMBEDDED, UNKNOWN = 9000, 128, 1
"""Of the training vocabulary, 8,983 words are seen twice or more."""


def sentences(folder: Path) -> Dataset:
    """Every tenth training sentence chooses the epoch; 0 pads, 1 is a word not known."""
    lines = {}
    for name in ("training", "testing"):
        packed = (folder / f"rt_polarity/{name}_label.txt.gz").read_bytes()
        text = gzip.decompress(packed).decode()
        lines[name] = LINE.findall(text)
    count = Counter(word for _, text in lines["training"] for word in text.split())
    known = {word: 2 + n for n, (word, _) in enumerate(count.most_common(TOKENS - 2))}
    every = lines["training"] + lines["testing"]
    tokens = [np.array([known.get(word, UNKNOWN) for word in text.split()]) for _, text in every]
    labels = [int(label) for label, _ in every]
    row = np.arange(len(every))
    is_test = row >= len(lines["training"])
    is_valid = ~is_test & (row % VALID_EVERY == 0)
    chosen = {"train": ~is_test & ~is_valid, "valid": is_valid, "test": is_test}
    return make_dataset(_padded(tokens, labels, chosen), "classification", str(folder))


PHONES = Task(
    "phones",
    "Speech phones",
    partial(phones, deltas=False),
    lambda: Recognizer(
        penstock.nn.LSTM(40, 256, batch_first=True, proj_size=128, peephole=True),
        40, "step", dropout=0.4, noise=0.6,
    ),
    Epochs(dense=14, more=8, pruned=4, quantized=2),
    rate=3e-3,
    batch=32,
    head_at="step",
    banks={
        "lstm.weight_ih_l0": 40, "lstm.weight_hh_l0": 64, "lstm.weight_hr_l0": 64,
        "head.weight": 64,
    },
    floors={"head.weight": 0.2},
    longer=(0.2, 0.18, 0.17, 0.15),
    story="Frame-level phones of non-native English (speechocean762, adults): 67 speakers to train "
    "on, of which 8 choose the epoch, 61 others to test on. 40 log-mel energies, an LSTM of 256 "
    "cells with peepholes and a projection to 128, a Linear layer to 40 phones.",
    metrics=phone_error,
)  # fmt: skip
DIGITS = Task(
    "digits",
    "Spoken digits",
    digits,
    lambda: Recognizer(
        torch.nn.LSTM(40, 128, batch_first=True), 10, "last", dropout=0.3, noise=0.3
    ),
    Epochs(dense=40, more=20, pruned=12, quantized=3),
    rate=3e-3,
    batch=32,
    head_at="last",
    banks={"lstm.weight_ih_l0": 40, "lstm.weight_hh_l0": 64, "head.weight": 64},
    floors={"head.weight": 1.0},
    story="Free Spoken Digit Dataset, official split (300 recordings to test on, so one is 0.33 "
    "points). 40 log-mel energies, an LSTM of 128 cells, a Linear layer at the last frame.",
)
SENTENCES = Task(
    "sentences",
    "Sentences",
    sentences,
    lambda: Reader(TOKENS, EMBEDDED, 128, dropout=0.5),
    Epochs(dense=8, more=6, pruned=5, quantized=2),
    rate=3e-3,
    batch=32,
    head_at="last",
    banks={"lstm.weight_ih_l0": 64, "lstm.weight_hh_l0": 64, "head.weight": 64},
    floors={"head.weight": 1.0},
    story="Positive or negative? Sentences of film reviews (rt-polarity; 2,132 to test on). An "
    "embedding of 128, trained with the dense network and left to the host, an LSTM of 128 cells, "
    "a Linear layer at the last word.",
)
TASKS = {task.name: task for task in (PHONES, DIGITS, SENTENCES)}
