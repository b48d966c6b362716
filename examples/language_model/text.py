"""Words in a row: from WikiText-2's files, or from a made-up Markov chain."""

from __future__ import annotations

import lzma
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock import PenstockError
from penstock.compress.dataset import Dataset, make_dataset
from penstock.fixed import IntArray

END, UNKNOWN = "<eos>", "<unk>"
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Text:
    """words: known ones, most frequent first, <unk> and <eos> among them; tokens: part -> their
    numbers in the order of the text."""

    words: list[str]
    tokens: dict[str, IntArray]
    origin: str


def wikitext(folder: Path, vocabulary: int, train_tokens: int) -> Text:
    """``wiki.{train,valid,test}.tokens``, plain or packed as .xz; the first ``train_tokens`` of
    the first, and their ``vocabulary`` most frequent words. Raises PenstockError."""
    found = {part: _words(folder, f"wiki.{part}.tokens") for part in PARTS}
    found["train"] = found["train"][:train_tokens]
    return cut(found, vocabulary, str(folder))


def _words(folder: Path, name: str) -> list[str]:
    for path in (folder / name, folder / f"{name}.xz"):
        if path.is_file():
            try:
                content = path.read_bytes()
                text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode()
            except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
                what = f"the file can't be read: {error}"
                raise PenstockError(what, str(path), "is it whole?") from error
            words = [word for line in text.splitlines() for word in [*line.split(), END]]
            if len(words) < 2:
                raise PenstockError("there is no text in the file", str(path), "is it whole?")
            return words
    raise PenstockError(f"{name} is missing", str(folder), "give it plain, or packed as .xz")


def cut(found: dict[str, list[str]], vocabulary: int, origin: str) -> Text:
    """Numbers for words; what is not among the most frequent of "train" becomes <unk>."""
    special = [UNKNOWN, END]
    count = Counter(word for word in found["train"] if word not in special)
    words = special + [word for word, _ in count.most_common(vocabulary - len(special))]
    number = {word: index for index, word in enumerate(words)}
    tokens = {part: np.array([number.get(word, 0) for word in text]) for part, text in
              found.items()}  # fmt: skip
    return Text(words, tokens, origin)


def made_up(count: int, vocabulary: int = 40, seed: int = 0) -> Text:
    """A Markov chain in which each word has four likely successors, given the word before it."""
    generator = np.random.default_rng(seed)
    after = generator.integers(2, vocabulary, (vocabulary, 4))
    words = [int(generator.integers(2, vocabulary))]
    for _ in range(2 * count):
        is_likely = generator.random() < 0.9
        words.append(int(after[words[-1], generator.choice(4, p=(0.6, 0.2, 0.1, 0.1))]
                         if is_likely else generator.integers(2, vocabulary)))  # fmt: skip
    text = [f"w{word}" for word in words]
    found = {"train": text[:count], "valid": text[count : count + count // 2],
             "test": text[count + count // 2 :]}  # fmt: skip
    return cut(found, vocabulary, "a made-up chain of words, not real text")


def dataset_of(text: Text, steps: int) -> Dataset:
    """Each word and the one to foretell, in sequences of ``steps``; what is left over is dropped.

    Raises PenstockError for a text shorter than a sequence.
    """
    arrays = {}
    for part, tokens in text.tokens.items():
        rows = (len(tokens) - 1) // steps
        if rows < 1:
            raise PenstockError(
                f"{part} has {len(tokens)} words, fewer than a sequence", text.origin, "give more"
            )
        arrays[f"x_{part}"] = tokens[: rows * steps].reshape(rows, steps)
        arrays[f"y_{part}"] = tokens[1 : rows * steps + 1].reshape(rows, steps)
    return make_dataset(arrays, "language-model", text.origin)
