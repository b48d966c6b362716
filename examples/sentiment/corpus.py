"""Sentences and their labels: read from files, or generated; and as the numbers of their words.

Files may be packed with gzip (``.gz``). A line of a labelled file is ``label +++$+++ text``, with
label 0 (negative) or 1 (positive); of an unlabelled one, text; ``testing_data.txt`` has lines
``id,text`` below a heading.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penstock import PenstockError
from penstock.compress.dataset import Dataset, make_dataset
from penstock.fixed import IntArray

PAD, UNK = "<PAD>", "<UNK>"
VALID_EVERY = 10
MARK = " +++$+++ "
Words = list[str]


@dataclass(frozen=True)
class Corpus:
    """Tokenized sentences. unlabelled: for the word vectors alone; asked: id -> words, to be
    labelled. origin: where all this comes from."""

    train: list[tuple[int, Words]]
    test: list[tuple[int, Words]]
    unlabelled: list[Words]
    asked: dict[str, Words]
    origin: str

    def learned(self) -> list[tuple[int, Words]]:
        """Of ``train``, what weights are learned from."""
        return [pair for row, pair in enumerate(self.train) if row % VALID_EVERY]

    def held_out(self) -> list[tuple[int, Words]]:
        """Of ``train``, what chooses among them: every tenth sentence."""
        return self.train[::VALID_EVERY]


@dataclass(frozen=True)
class Numbering:
    """number: word -> its number, <PAD> 0 and <UNK> 1."""

    number: dict[str, int]

    def tokens(self, words: Words) -> list[int]:
        """Numbers of the words; an empty sentence is one unknown word."""
        unknown = self.number[UNK]
        return [self.number.get(word, unknown) for word in words] or [unknown]

    def padded(self, sentences: list[Words]) -> tuple[IntArray, IntArray]:
        """(sentences, steps) tokens, <PAD> behind each sentence, and (sentences) lengths."""
        rows = [self.tokens(words) for words in sentences]
        lengths = np.array([len(row) for row in rows])
        tokens = np.zeros((len(rows), lengths.max()), dtype=np.int64)
        for row, found in zip(tokens, rows, strict=True):
            row[: len(found)] = found
        return tokens, lengths


def dataset_of(corpus: Corpus, numbering: Numbering) -> Dataset:
    """The recipe's arrays."""
    parts = {"train": corpus.learned(), "valid": corpus.held_out(), "test": corpus.test}
    arrays = {}
    for name, pairs in parts.items():
        if pairs:
            tokens, lengths = numbering.padded([words for _, words in pairs])
            arrays |= {f"x_{name}": tokens, f"lengths_{name}": lengths}
            arrays[f"y_{name}"] = np.array([label for label, _ in pairs])
    return make_dataset(arrays, "classification", corpus.origin)


def load_corpus(folder: Path) -> Corpus:
    """``training_label.txt``; ``testing_label.txt``, ``training_nolabel.txt`` and
    ``testing_data.txt`` where they are there. Raises PenstockError, with the line that is wrong.
    """
    train = _labelled(_find(folder, "training_label.txt"))
    test_path = _find(folder, "testing_label.txt", is_needed=False)
    plain = _find(folder, "training_nolabel.txt", is_needed=False)
    asked = _find(folder, "testing_data.txt", is_needed=False)
    if test_path is None and asked is None:
        raise PenstockError(
            "there is nothing to test on", str(folder), "give testing_label.txt or testing_data.txt"
        )
    test = _labelled(test_path) if test_path else []
    return Corpus(
        train, test,
        [text.split() for _, text in _lines(plain)] if plain else [],
        _asked(asked) if asked else {str(row): words for row, (_, words) in enumerate(test)},
        str(folder),
    )  # fmt: skip


def _find(folder: Path, name: str, is_needed: bool = True) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    if not is_needed:
        return None
    raise PenstockError(f"{name} is missing", str(folder), "give it plain, or packed as .gz")


def _lines(path: Path) -> list[tuple[int, str]]:
    """(number, text) of every line."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise PenstockError(
            f"the file can't be read: {error}", str(path), "is it whole?"
        ) from error
    return list(enumerate(text.splitlines(), start=1))


def _labelled(path: Path | None) -> list[tuple[int, Words]]:
    assert path is not None
    found = []
    for number, line in _lines(path):
        label, mark, text = line.partition(MARK)
        if not mark or label.strip() not in ("0", "1"):
            raise _malformed(path, number, f"write 0 or 1,{MARK}and the text")
        if not text.split():
            raise _malformed(path, number, "leave out lines without text")
        found.append((int(label), text.split()))
    if len({label for label, _ in found}) < 2:
        raise PenstockError("there are not two kinds of labels", str(path), "give 0 and 1")
    return found


def _asked(path: Path) -> dict[str, Words]:
    """An empty text is kept: it is asked for, and gets the answer for unknown words."""
    found: dict[str, Words] = {}
    for number, line in _lines(path)[1:]:
        key, comma, text = line.partition(",")
        if not comma or not key.strip() or key.strip() in found:
            raise _malformed(path, number, "write id,text, each id once, below a heading")
        found[key.strip()] = text.split()
    return found


def _malformed(path: Path, number: int, hint: str) -> PenstockError:
    return PenstockError("the line is malformed", f"{path}, line {number}", hint)


# A corpus of our own


GOOD = [
    "wonderful", "moving", "funny", "brilliant", "warm", "clever", "charming", "superb", "fresh",
]  # fmt: skip
BAD = ["dull", "clumsy", "tedious", "awful", "shallow", "bland", "hollow", "boring", "flat"]
THINGS = ["film", "story", "plot", "cast", "script", "ending", "music", "director", "dialogue"]
SURE, NOT = ["very", "truly", "quite", "really"], ["not", "never", "hardly"]
FRAMES = ["the {t} is {a}", "a {a} {t}", "i found the {t} {a}", "what a {a} {t}", "{t} was {a}"]


def generated_corpus(train: int, test: int, seed: int = 0) -> Corpus:
    """Made-up sentences: adjectives say what is thought of a thing, "not" turns it round, and the
    last clause, behind "but", is what counts."""
    generator = np.random.default_rng(seed)

    def pick(choices: list[str]) -> str:
        return choices[generator.integers(len(choices))]

    def clause(label: int) -> str:
        turned = generator.random() < 0.3
        adjective = pick(GOOD if label != turned else BAD)
        said = f"{pick(NOT)} {adjective}" if turned else f"{pick([*SURE, ''])} {adjective}"
        return pick(FRAMES).format(t=pick(THINGS), a=said)

    def sentence() -> tuple[int, Words]:
        label = int(generator.integers(2))
        parts = [clause(int(generator.integers(2))) for _ in range(generator.integers(0, 3))]
        return label, " but ".join([*parts, clause(label)]).split()

    made = [sentence() for _ in range(train + test)]
    asked = {str(row): words for row, (_, words) in enumerate(made[train:])}
    return Corpus(made[:train], made[train:], [], asked, "a generated corpus, not real text")
