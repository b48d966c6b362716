"""The end of a computation that is followed: its network, and where its results are in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import NO_STEP, Frames, Labels, Unfollowed, frames_of
from penstock.frontend.follow.simplify import simplified
from penstock.layers import Linear
from penstock.model import RecurrentModel


@dataclass(frozen=True)
class Result:
    """One array that the model gives: which element of the network's result each element is.

    index: feature of the result; lane, step (0 where it comes once): all of the array's shape.
    """

    lane: IntArray
    step: IntArray
    index: IntArray

    def of(self, y: FloatArray) -> FloatArray:
        """The array, from the network's result y (lanes, steps or 1, n)."""
        found: FloatArray = y[self.lane, self.step, self.index]
        return found


def _check_order(result: Labels) -> None:
    """Raise Unfollowed for a result whose steps or sequences are not in the order of the input."""
    for part, what in ((result.step, "steps"), (result.lane, "sequences")):
        order = part.ravel()[np.sort(np.unique(part.ravel(), return_index=True)[1])]
        if (np.diff(order) < 0).any():
            raise Unfollowed(f"its {what} leave in another order than they came")


def is_final_state(build: Builder, labels: Labels) -> bool:
    """True for whole final states: (layers * directions, lanes, n), or the lanes first."""
    if len(labels.shape) != 3 or labels.is_constant.any():
        return False
    turned = labels.moved(lambda part: part.swapaxes(0, 1))
    return _is_final(build, labels) or _is_final(build, turned)


def _is_final(build: Builder, labels: Labels) -> bool:
    if labels.shape[1] != build.lanes:
        return False
    for index in range(len(labels.value)):
        part = labels.moved(lambda array, k=index: array[k])
        value = build.values[int(part.value.flat[0])]
        place = next((p for p in build.places if value.name in (p.name, f"{p.name}.c")), None)
        if place is None or not place.layer.states() or (part.value != part.value.flat[0]).any():
            return False
        end = 0 if place.is_backward else build.steps - 1
        is_whole = part.shape[1] == value.width and (part.feature == np.arange(value.width)).all()
        is_plain = (part.scale == 1).all() and not part.shift.any()
        if not (is_whole and is_plain) or (part.step != end).any():
            return False
    return True


def argmax_of(build: Builder, outputs: Sequence[Any]) -> str:
    """``argmax`` if that is what the only result ends in, and it is of whole frames."""
    kinds = [getattr(output, "kind", "") for output in outputs]
    if kinds != ["argmax"]:
        return "none"
    labels, axis = outputs[0].labels, outputs[0].axis
    moved = labels.moved(lambda part: np.moveaxis(part, axis, -1))
    is_of_a_frame = (moved.step == moved.step[..., :1]).all() and (
        moved.lane == moved.lane[..., :1]
    ).all()
    rows = moved.value.size // moved.shape[-1]
    is_whole = rows in (build.lanes, build.lanes * build.steps)
    return "argmax" if is_of_a_frame and is_whole else "none"


def finish(
    build: Builder, outputs: Sequence[Labels], name: str, batch_first: bool, activation: str
) -> tuple[RecurrentModel, list[Result]]:
    """The network of all that the outputs need, and where each output is in its result."""
    settled = [build.settled(output) for output in outputs]
    sorted_ = [frames_of(one.moved(lambda part: part.reshape(-1, 1))) for one in settled]
    for one in settled:
        _check_order(one)
    is_once = _is_once(build, sorted_)
    patterns = [frames.pattern.moved(np.ravel) for frames in sorted_]
    pattern = Labels(
        *(np.concatenate(p) for p in zip(*(one.parts for one in patterns), strict=True))
    )
    numbers = _whole(build, pattern)
    is_shared = is_once and numbers is not None and len(numbers) > 1  # a phase gives one vector
    if numbers is None or is_shared or len(set(numbers)) != len(numbers):
        numbers = [_gathered(build, pattern)]
    names = tuple(build.values[number].name for number in numbers)
    inputs = build.values[0].width
    model = RecurrentModel(inputs, tuple(build.places), names, name, batch_first, list(build.notes))
    return simplified(model, build.affine, activation), _results(build, settled, sorted_, is_once)


def _is_once(build: Builder, results: Sequence[Frames]) -> bool:
    """Whether all results come once for a sequence, not at every step. Raises Unfollowed."""
    if len({(tuple(frames.lane), tuple(frames.step)) for frames in results}) > 1:
        raise Unfollowed("some of its results come at every step and some once",
                         "compile one network for each")  # fmt: skip
    steps = results[0].step
    is_once = bool((steps == NO_STEP).all())
    if len(steps) != build.lanes * (1 if is_once else build.steps):
        raise Unfollowed("its result has some steps and not others")
    return is_once


def _whole(build: Builder, pattern: Labels) -> list[int] | None:
    """The values that a frame consists of, if they are whole, as they are and side by side."""
    if (pattern.scale != 1).any() or pattern.shift.any():
        return None
    numbers, start = [], 0
    while start < len(pattern.value):
        number = int(pattern.value[start])
        stop = start + build.values[number].width
        if build.values[number].is_state:
            return None
        own = pattern.moved(lambda part, a=start, b=stop: part[a:b])
        if stop > len(pattern.value) or (own.value != number).any():
            return None
        if (own.feature != np.arange(len(own.feature))).any():
            return None
        numbers.append(number)
        start = stop
    return numbers


def _gathered(build: Builder, pattern: Labels) -> int:
    """A value of the elements of a frame."""
    row = pattern.moved(lambda part: part[:, None])
    matrix, shift, sources = build.mapped(row, np.ones((1, 1)))
    number = build.add("result", Linear(matrix, shift if shift.any() else None), sources)
    build.affine.add(build.places[-1].name)
    return number


def _results(
    build: Builder, outputs: Sequence[Labels], sorted_: Sequence[Frames], is_once: bool
) -> list[Result]:
    found, start = [], 0
    for labels, frames in zip(outputs, sorted_, strict=True):
        count = len(frames.pattern.value)
        index = np.empty(labels.value.size, dtype=np.int64)
        index[frames.rows] = start + np.arange(count)
        step = np.zeros_like(labels.step) if is_once else labels.step
        found.append(Result(labels.lane, step, index.reshape(labels.shape)))
        start += count
    return found
