"""Labels: an array whose elements say what they are, instead of what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import FloatArray, IntArray

NO_STEP = -1
"""The step of an element of a value that a sequence has once."""


MOST_ELEMENTS = 2**22
"""Of an array of labels."""


class Unfollowed(Exception):  # noqa: N818 - it is a refusal, no fault
    """An operation that can't be part of a network here. hint: what to do about it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True)
class Labels:
    """Every element is scale * value + shift. All five arrays have the shape of the array.

    value: number of a value of the network; lane, step: of which sequence, and when (``NO_STEP``:
    once); feature: which of its elements. An element of scale 0 is a constant, and of no value.
    """

    value: IntArray
    lane: IntArray
    step: IntArray
    feature: IntArray
    scale: FloatArray
    shift: FloatArray

    @classmethod
    def of(cls, number: int, lane: Any, step: Any, feature: Any) -> Labels:
        """The elements of one value; the arrays are broadcast."""
        parts = np.broadcast_arrays(np.int64(number), lane, step, feature, 1.0, 0.0)
        value, lane, step, feature, scale, shift = (np.array(part) for part in parts)
        return cls(value, lane, step, feature, scale.astype(float), shift.astype(float))

    @classmethod
    def constants(cls, values: FloatArray) -> Labels:
        """Elements that are known."""
        zero = np.zeros(values.shape, dtype=np.int64)
        return cls(zero, zero, zero, zero, np.zeros(values.shape), np.asarray(values, dtype=float))

    @property
    def parts(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order of the constructor."""
        return (self.value, self.lane, self.step, self.feature, self.scale, self.shift)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.value.shape

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """Of every element, if it is known."""
        is_known: NDArray[np.bool_] = self.scale == 0
        return is_known

    def moved(self, move: Callable[..., Any]) -> Labels:
        """What an operation that only moves elements gives: ``move`` is done to each array."""
        return Labels(*(np.asarray(move(part)) for part in self.parts))

    def scaled(self, by: Any) -> Labels:
        """Every element times a number of its own."""
        whole = self.broadcast(np.broadcast_shapes(self.shape, np.shape(by)))
        by = np.broadcast_to(by, whole.shape)
        return replace(whole, scale=whole.scale * by, shift=whole.shift * by)

    def shifted(self, by: Any) -> Labels:
        """A number added to every element."""
        whole = self.broadcast(np.broadcast_shapes(self.shape, np.shape(by)))
        return replace(whole, shift=whole.shift + np.broadcast_to(by, whole.shape))

    def broadcast(self, shape: tuple[int, ...]) -> Labels:
        """The same elements, repeated as NumPy does."""
        return (
            self
            if shape == self.shape
            else self.moved(lambda p: np.array(np.broadcast_to(p, shape)))
        )


@dataclass(frozen=True)
class Frames:
    """Rows of labels, sorted into frames: those of one step of one sequence.

    pattern: what every frame is made of, (rows a frame, n): its ``lane`` and ``step`` mean nothing.
    lane, step: of each frame, in the order of ``rows``: (frames, rows a frame) numbers of rows.
    """

    pattern: Labels
    lane: IntArray
    step: IntArray
    rows: IntArray


def frames_of(labels: Labels) -> Frames:
    """Sort rows (rows, n) into frames that are all made of the same elements.

    Raises Unfollowed where a row has elements of several steps or sequences, or frames differ.
    """
    known = labels.is_constant
    if known.all(axis=1).any():
        raise Unfollowed("it computes with a frame of constants")
    lane, step = (_of_row(part, known) for part in (labels.lane, labels.step))
    for part, of_row, what in ((labels.lane, lane, "sequences"), (labels.step, step, "steps")):
        if ((part != of_row[:, None]) & ~known).any():
            raise _mixture(labels, known, what)
    order = np.lexsort((np.arange(len(lane)), step, lane))
    keys = np.stack([lane[order], step[order]], axis=1)
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
    count = len(keys) // len(starts)
    if len(keys) % len(starts) or (np.diff(np.r_[starts, len(keys)]) != count).any():
        raise Unfollowed("it computes more with some steps than with others")
    rows = order.reshape(-1, count)
    pattern = labels.moved(lambda part: part[rows[0]])
    parts: tuple[NDArray[Any], ...] = (
        np.where(known, 0, labels.value), np.where(known, 0, labels.feature), labels.scale,
        labels.shift,
    )  # fmt: skip
    for part in parts:
        whole = part[rows]
        if (whole != whole[0]).any():
            raise Unfollowed("it does not compute the same with every step of every sequence")
    return Frames(pattern, lane[rows[:, 0]], step[rows[:, 0]], rows)


def _of_row(part: IntArray, known: NDArray[np.bool_]) -> IntArray:
    """That of the first element of each row that is no constant."""
    first = np.argmax(~known, axis=1)
    found: IntArray = part[np.arange(len(part)), first]
    return found


def _mixture(labels: Labels, known: NDArray[np.bool_], what: str) -> Unfollowed:
    found = f"it combines elements of several {what}"
    if what != "steps":
        return Unfollowed(found)
    steps = np.unique(labels.step[~known])
    if NO_STEP in steps:
        return Unfollowed("it combines every step with a value of the whole sequence")
    if len(steps) == 2 and steps[1] - steps[0] == 1:
        return Unfollowed(
            found,
            "if this is a recurrent layer of your own, use torch's LSTM, GRU or RNN, or a loop "
            "over their cells; other sums over steps run on the host",
        )
    return Unfollowed(found)
