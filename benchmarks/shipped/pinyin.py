"""g2pM: how a Chinese character is read where it can be read in several ways. A bidirectional LSTM.

The embedding is looked up on the host; ReLU, both Linear layers and the argmax over 876 readings
are in the accelerator. Its test sentences (the CPP data set) come with its source, not its wheel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from measure import Both, Shipped, Story, closing_rows, compiled, padded, proportion
from packages import unpickled
from penstock import PenstockError
from penstock.fixed import IntArray

MARK = "▁"
"""Stands before and behind the character in question."""
UNKNOWN, BEGIN, END = "<UNK>", "시", "끝"
SENTENCES_AT_ONCE = 256
CALIBRATION = 256
PES = 8


class Reader(nn.Module):
    """(sentences, characters) -> the reading of every character."""

    def __init__(self, state: Mapping[str, Any]):
        super().__init__()
        tokens, width = state["embedding.weight"].shape
        cells, hidden = state["lstm.weight_hh_l0"].shape[1], len(state["logit_layer.0.bias"])
        self.embedding = nn.Embedding(tokens, width)
        self.lstm = nn.LSTM(width, cells, batch_first=True, bidirectional=True)
        self.logit_layer = nn.Sequential(
            nn.Linear(2 * cells, hidden), nn.ReLU(),
            nn.Linear(hidden, len(state["logit_layer.2.bias"])),
        )  # fmt: skip
        self.load_state_dict({name: torch.tensor(value) for name, value in state.items()})

    def forward(self, tokens):
        return self.logit_layer(self.lstm(self.embedding(tokens))[0]).argmax(-1)


@dataclass(frozen=True)
class Sentence:
    """tokens: with the marks of begin and end. place: of the character in question, among them."""

    tokens: IntArray
    place: int
    reading: int


def sentences(
    folder: Path, name: str, characters: Mapping[str, int], readings: Mapping[str, int]
) -> list[Sentence]:
    """A part of the data set; readings that the network can't give are -1. Raises PenstockError."""
    hint = "see docs/results.md for what DATA holds"
    texts, labels = ((folder / f"cpp/{name}.{part}") for part in ("sent", "lb"))
    found = []
    try:
        pairs = list(zip(texts.read_text("utf-8").splitlines(),
                         labels.read_text("utf-8").splitlines(), strict=True))  # fmt: skip
    except (OSError, ValueError) as error:
        raise PenstockError(f"the sentences can't be read: {error}", str(texts), hint) from error
    for line, (text, label) in enumerate(pairs, 1):
        before, *rest = text.split(MARK)
        if len(rest) != 2 or len(rest[0]) != 1:
            raise PenstockError("the line is malformed", f"{texts}, line {line}", hint)
        whole = [BEGIN, *before, *rest[0], *rest[1], END]
        tokens = np.array([characters.get(one, characters[UNKNOWN]) for one in whole])
        found.append(Sentence(tokens, len(before) + 1, readings.get(label, -1)))
    return found


def batches(found: Sequence[Sentence]) -> Iterator[tuple[IntArray, IntArray, list[Sentence]]]:
    """(tokens, lengths, sentences), those of like length together."""
    ordered = sorted(found, key=lambda one: len(one.tokens))
    for start in range(0, len(ordered), SENTENCES_AT_ONCE):
        some = ordered[start : start + SENTENCES_AT_ONCE]
        yield *padded([one.tokens for one in some]), some


def answers(both: Both, found: Sequence[Sentence]) -> IntArray:
    """(sentences, 3): the reading in float, bit-true, and the right one, of each character."""
    rows = []
    table = both.module.embedding.weight.detach().numpy()
    for tokens, lengths, some in batches(found):
        raw = both.interpreter.run(table[tokens], lengths).values
        for tokens_of, bits, one in zip(tokens, raw, some, strict=True):
            with torch.no_grad():  # alone: padding would reach the backward direction
                real = both.module(torch.from_numpy(tokens_of[None, : len(one.tokens)]))
            rows.append((int(real[0, one.place]), int(bits[one.place, 0]), one.reading))
    return np.array(rows)


def measure(packages: Path, data: Path, folder: Path, story: Story) -> bool:
    """See ``Shipped``."""
    own = packages / "g2pM"
    characters, readings = (unpickled(own / f"{name}2idx.pkl") for name in ("char", "class"))
    module = Reader(unpickled(own / "np_ckpt.pkl"))
    tests, dev = (sentences(data, name, characters, readings) for name in ("test", "dev"))
    seen, lengths = padded([one.tokens for one in dev[:CALIBRATION]])
    both = compiled(module, seen, folder, PES, calibration_lengths=lengths)
    real, bits, right = answers(both, tests).T
    story.add("test set", f"{len(tests):,} sentences, a character of each")
    for how, found in (("float", real), ("bit-true", bits)):
        story.add(f"accuracy, {how}", proportion(float(np.mean(found == right)), len(tests)))
    story.add("readings, bit-true as in float", f"{np.mean(real == bits):.2%}")
    return closing_rows(story, both, module.embedding.weight.detach().numpy()[seen[:3]])


SHIPPED = Shipped(
    "shipped-pinyin", "how it is read: g2pM", "g2pM 0.1.2.5", "Apache-2.0",
    "LSTM of 32 in both directions, Linear 32, ReLU, Linear 876, argmax", measure,
)  # fmt: skip
