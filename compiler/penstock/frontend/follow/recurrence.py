"""Recurrent layers of a network in the making: whole ones, and loops over a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.frontend.follow.builder import Builder
from penstock.frontend.follow.labels import Frames, Labels, Unfollowed, frames_of
from penstock.frontend.follow.values import Loop, Value
from penstock.layers import Cell
from penstock.model import layer_name

MakeCell = Callable[[FloatArray, FloatArray], Cell]
"""The cell, from the matrix (its inputs, columns) that its input weights are multiplied with, and
the constants (inputs) that are added to its frame."""


def _what(x: Labels) -> list[Any]:
    """What a pattern consists of, whatever the lane and the step."""
    return [np.where(x.is_constant, 0, x.value), np.where(x.is_constant, 0, x.feature), x.scale,
            x.shift]  # fmt: skip


def _is_state(x: Labels, number: int, width: int, step: int) -> bool:
    """True for (lanes, n): all of a value at one step."""
    is_plain = (x.scale == 1).all() and not x.shift.any() and x.shape[-1] == width
    return bool(
        is_plain and (x.value == number).all() and (x.step == step).all()
        and (x.feature == np.arange(width)).all() and (x.lane == x.lane[:, :1]).all()
    )  # fmt: skip


def recurrence(
    build: Builder, x: Labels, make: MakeCell, inputs: int, initial: Mapping[str, Labels],
    is_reverse: bool, index: int,
) -> tuple[Labels, dict[str, Labels]]:  # fmt: skip
    """One direction of a layer: x (steps, lanes, inputs) -> (steps, lanes, n), final states.

    initial: state -> (lanes, n). Raises Unfollowed.
    """
    frames = frames_of(x.moved(lambda part: part.reshape(-1, part.shape[-1])))
    if len(frames.pattern.value) != 1:
        raise Unfollowed("it runs over something else than the steps of a sequence")
    step, lane, is_flipped = _order(build, frames, x.shape[:2])
    is_backward = is_flipped != is_reverse
    matrix, shift, sources = build.mapped(frames.pattern, np.eye(inputs))
    cell = make(matrix, shift)
    name = build.unique(layer_name(index, "_reverse" if is_reverse else ""))
    for state, labels in initial.items():
        _start(build, f"{name}.{state}", labels)
    y = build.add(name, cell, sources, is_backward)
    numbers = {"y": y}
    for state, count in cell.states().items():
        if state != "y":
            numbers[state] = build.value(Value(f"{name}.{state}", count))
    ends = step[0 if is_reverse else -1]
    final = {
        state: Labels.of(number, lane[0][:, None], ends[:, None],
                         np.arange(build.values[number].width))
        for state, number in numbers.items()
    }  # fmt: skip
    out = Labels.of(y, lane[:, :, None], step[:, :, None], np.arange(cell.outputs))
    return out, final


def _order(
    build: Builder, frames: Frames, shape: tuple[int, ...]
) -> tuple[IntArray, IntArray, bool]:
    """Step and lane of every frame (steps, lanes), and whether they come last step first."""
    step = np.empty(len(frames.step), dtype=np.int64)
    lane = np.empty_like(step)
    step[frames.rows[:, 0]], lane[frames.rows[:, 0]] = frames.step, frames.lane
    step, lane = step.reshape(shape), lane.reshape(shape)
    times = np.arange(build.steps)
    is_flipped = len(step) == build.steps and bool((step == times[::-1, None]).all())
    if not (is_flipped or (len(step) == build.steps and (step == times[:, None]).all())):
        raise Unfollowed("it does not run over all steps in their order")
    return step, lane, is_flipped


def cell_step(
    build: Builder, key: Any, x: Labels, make: MakeCell, inputs: int, states: Mapping[str, Labels]
) -> dict[str, Labels]:  # fmt: skip
    """One step of a loop over a cell: x (lanes, inputs), states (lanes, n) -> the new states.

    key: of the cell's weights. The steps are those of one layer of the network if each takes
    the next frame and the states that the one before it left.
    """
    frames = frames_of(x)
    if len(frames.pattern.value) != 1 or len(set(frames.step.tolist())) != 1:
        raise Unfollowed("it does not take one frame of every sequence")
    step = int(frames.step[0])
    loop = _loop_before(build, key, frames.pattern, states, step)
    if loop is None:
        loop = _new_loop(build, key, frames.pattern, make, inputs, states, step)
    lane = frames.lane[np.argsort(frames.rows[:, 0])]
    loop.step = step
    return {
        state: Labels.of(number, lane[:, None], step, np.arange(build.values[number].width))
        for state, number in loop.numbers.items()
    }


def _loop_before(
    build: Builder, key: Any, x: Labels, states: Mapping[str, Labels], step: int
) -> Loop | None:
    """The loop whose states these are, at the step before."""
    for loop in build.loops:
        by = step - loop.step
        is_next = by in (1, -1) and loop.by in (0, by) and loop.key == key
        if is_next and all(
            _is_state(states[name], number, build.values[number].width, loop.step)
            for name, number in loop.numbers.items()
        ):
            if any((p != q).any() for p, q in zip(_what(x), _what(loop.x), strict=True)):
                raise Unfollowed("it does not take the same of every frame")
            if loop.by == 0 and by == -1:
                _turn(build, loop)
            loop.by = by
            return loop
    return None


def _turn(build: Builder, loop: Loop) -> None:
    """The loop runs from the last step to the first."""
    name = build.values[loop.numbers["y"]].name
    build.places = [
        replace(place, is_backward=True) if place.name == name else place for place in build.places
    ]


def _new_loop(
    build: Builder, key: Any, x: Labels, make: MakeCell, inputs: int, states: Mapping[str, Labels],
    step: int,
) -> Loop:  # fmt: skip
    if step not in (0, build.steps - 1):
        raise Unfollowed(f"a loop over a cell begins at step {step}")
    matrix, shift, sources = build.mapped(x, np.eye(inputs))
    cell = make(matrix, shift)
    name = build.unique(layer_name(build.next_cell))
    build.next_cell += 1
    for state, labels in states.items():
        _start(build, f"{name}.{state}", labels)
    numbers = {"y": build.add(name, cell, sources)}
    for state, count in cell.states().items():
        if state != "y":
            numbers[state] = build.value(Value(f"{name}.{state}", count))
    build.loops.append(Loop(key, x, numbers, step))
    return build.loops[-1]


def _start(build: Builder, state: str, labels: Labels) -> None:
    """Where a state starts: at zero, or as an input of the model says."""
    if labels.is_constant.all():
        if labels.shift.any():
            raise Unfollowed(
                "it starts from a state that is part of the model",
                "let forward take the initial state as an argument, and give its values to run "
                "through --state",
            )
        return
    value = build.values[int(labels.value.flat[0])]
    size = labels.value.size
    is_input = value.is_state and (labels.value == labels.value.flat[0]).all()
    is_plain = (labels.scale == 1).all() and not labels.shift.any()
    is_in_order = size == 1 or (np.diff(labels.feature.ravel()) == 1).all()
    if not (is_input and is_plain and is_in_order):
        raise Unfollowed(
            "it starts from a state that the network computes",
            "compile the two parts apart, and give the state of the first to the second",
        )
    build.states[state] = (value.name, labels.feature)
