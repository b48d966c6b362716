"""Data sets as NumPy arrays: what a recipe trains and measures on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.arrays import read_arrays
from penstock.errors import PenstockError

TASKS = ("classification", "labelling", "language-model", "regression")
IGNORED = -1
"""The label of a step that does not count."""


@dataclass(frozen=True)
class Split:
    """x: (sequences, steps, inputs) floats, or (sequences, steps) token numbers.

    y: classes, (sequences) for classification, else (sequences, steps) with -1 where none counts.
    For a regression, floats, (sequences, outputs) or (sequences, steps, outputs), with NaN where
    none counts.
    lengths: (sequences) valid steps.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def part(self, chosen: NDArray[Any]) -> Split:
        """The chosen sequences, as many steps as the longest of them has."""
        lengths = self.lengths[chosen]
        steps = slice(0, int(lengths.max()))
        labels = self.y[chosen]
        is_of_steps = labels.ndim == (3 if labels.dtype.kind == "f" else 2)
        return Split(self.x[chosen, steps], labels[:, steps] if is_of_steps else labels, lengths)


@dataclass(frozen=True)
class Dataset:
    """What to train on, what to choose by, and (if given) what to report on."""

    train: Split
    valid: Split
    test: Split | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """Those that there are, by name."""
        found = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    def check_inputs(self, tokens: int | None) -> None:
        """Refuse what a model with an embedding of ``tokens`` (or without one) can't read.

        Raises PenstockError.
        """
        for name, split in self.splits.items():
            is_tokens = split.x.ndim == 2
            if is_tokens != (tokens is not None):
                raise PenstockError(
                    f"x_{name} holds {'token numbers' if is_tokens else 'frames'}, but the model "
                    f"has {'no' if is_tokens else 'an'} embedding",
                    "data set",
                    "token numbers need a model with an embedding, frames one without",
                )
            if tokens is not None:
                _check_numbers(f"x_{name}", split.x, 0, tokens)

    def check_outputs(self, count: int) -> None:
        """Refuse labels of more classes, or of other outputs, than a model has.

        Raises PenstockError.
        """
        for name, split in self.splits.items():
            if split.y.dtype.kind != "f":
                _check_numbers(f"y_{name}", split.y, IGNORED, max(count, 2))
            elif split.y.shape[-1] != count:
                raise PenstockError(
                    f"y_{name} has {split.y.shape[-1]} values, but the model gives {count}",
                    "data set", "give a target for each output",
                )  # fmt: skip

    @property
    def measured(self) -> tuple[str, Split]:
        """The split that results are reported on."""
        return ("test", self.test) if self.test is not None else ("valid", self.valid)


def _check_numbers(name: str, numbers: NDArray[Any], least: int, count: int) -> None:
    for number in (int(numbers.min()), int(numbers.max())):
        if not least <= number < count:
            raise PenstockError(
                f"{name} holds {number}, but the model only knows 0 to {count - 1}",
                "data set",
                "number classes and tokens from 0, or build the model with more of them",
            )


def make_dataset(arrays: dict[str, NDArray[Any]], task: str, where: str) -> Dataset:
    """x_train, y_train, x_valid, y_valid (and x_test, y_test; lengths_* where sequences differ).

    Raises PenstockError for missing arrays, shapes that do not agree, values that are not finite.
    """
    if task not in TASKS:
        raise PenstockError(
            f"there is no task {task!r}", where, f"choose one of {', '.join(TASKS)}"
        )
    parts = {
        name: _split(arrays, name, task, where)
        for name in ("train", "valid", "test")
        if name != "test" or "x_test" in arrays
    }
    train = parts["train"]
    for name, part in parts.items():
        if part.x.dtype != train.x.dtype or part.x.shape[2:] != train.x.shape[2:]:
            raise PenstockError(
                f"x_{name} is {part.x.dtype} of shape {part.x.shape}, and x_train "
                f"{train.x.dtype} of shape {train.x.shape}", where,
                "only the numbers of sequences and steps may differ",
            )  # fmt: skip
    return Dataset(**parts)


def load_dataset(path: Path, task: str) -> Dataset:
    """``make_dataset`` from an .npz file without pickles. Raises PenstockError."""
    return make_dataset(read_arrays(path), task, str(path))


def _split(arrays: dict[str, NDArray[Any]], name: str, task: str, where: str) -> Split:
    for kind in ("x", "y"):
        if f"{kind}_{name}" not in arrays:
            raise PenstockError(
                f"{kind}_{name} is missing", where, "give x_train, y_train, x_valid and y_valid"
            )
    x, y = np.asarray(arrays[f"x_{name}"]), np.asarray(arrays[f"y_{name}"])
    is_tokens = x.dtype.kind in "iu" and x.ndim == 2
    if x.size == 0 or not (is_tokens or (x.dtype.kind in "fiu" and x.ndim == 3)):
        raise PenstockError(
            f"x_{name} is {x.dtype} of shape {x.shape}",
            where,
            "give floats (sequences, steps, inputs) or token numbers (sequences, steps)",
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise PenstockError(f"x_{name} has NaN or infinite values", where, "clean the data first")
    lengths = _lengths(arrays, name, x, where)
    if task == "regression":
        y = _targets(y, name, x, lengths, where)
        return Split(x if is_tokens else x.astype(np.float32), y, lengths)
    wanted = x.shape[:1] if task == "classification" else x.shape[:2]
    if y.shape != wanted or y.dtype.kind not in "iu":
        more = ", or --task regression for numbers" if y.dtype.kind == "f" else ""
        raise PenstockError(
            f"y_{name} is {y.dtype} of shape {y.shape}", where,
            f"give integers of shape {wanted}{more}",
        )  # fmt: skip
    labels = y.astype(np.int64)
    if task != "classification":  # what lies beyond a sequence's end never counts
        labels = np.where(np.arange(x.shape[1]) < lengths[:, None], labels, IGNORED)
    return Split(x if is_tokens else x.astype(np.float32), labels, lengths)


def _lengths(arrays: dict[str, NDArray[Any]], name: str, x: Any, where: str) -> NDArray[np.int64]:
    lengths = np.asarray(arrays.get(f"lengths_{name}", np.full(len(x), x.shape[1])))
    fits = lengths.shape == (len(x),) and lengths.dtype.kind in "iu"
    if not fits or lengths.min() < 1 or lengths.max() > x.shape[1]:
        raise PenstockError(
            f"lengths_{name} must be {len(x)} integers from 1 to {x.shape[1]}",
            where,
            "count the valid steps of each sequence",
        )
    return lengths.astype(np.int64)


def _targets(y: Any, name: str, x: Any, lengths: NDArray[np.int64], where: str) -> NDArray[Any]:
    """Of a regression: what lies beyond a sequence's end never counts."""
    if y.dtype.kind not in "fiu" or y.ndim not in (1, 2, 3) or len(y) != len(x) or y.size == 0 or (
        y.ndim == 3 and y.shape[1] != x.shape[1]
    ):  # fmt: skip
        raise PenstockError(
            f"y_{name} is {y.dtype} of shape {y.shape}", where,
            f"give floats of shape ({len(x)}, outputs) or ({len(x)}, {x.shape[1]}, outputs)",
        )  # fmt: skip
    targets = (y[:, None] if y.ndim == 1 else y).astype(np.float32)
    counts = np.ones(len(y), dtype=bool)[:, None]
    if y.ndim == 3:
        counts = (np.arange(x.shape[1]) < lengths[:, None])[..., None]
    if not np.isfinite(np.where(counts, targets, 0.0)).all():
        raise PenstockError(f"y_{name} has NaN or infinite values", where, "clean the data first")
    return np.where(counts, targets, np.nan)
