"""A network in the making: what is computed with labels becomes places of a RecurrentModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.frontend.follow.labels import NO_STEP, Frames, Labels, Unfollowed, frames_of
from penstock.frontend.follow.simplify import simplified
from penstock.layers import Cell, Layer, Linear, Pool, Product
from penstock.model import INPUT, Place, RecurrentModel, layer_name

LEAST_STEPS = 3
"""Of a computation that is followed: the first, the last and another step are told apart."""


@dataclass(frozen=True)
class Value:
    """A value of the network. is_state: an initial state, which comes from outside."""

    name: str
    width: int
    is_once: bool = False
    is_state: bool = False


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


def _is_same(a: Layer, b: Layer) -> bool:
    """True for layers that compute the same."""
    if a.describe() != b.describe() or type(a) is not type(b):
        return False
    mine, theirs = a.parameters(), b.parameters()
    return mine.keys() == theirs.keys() and all(
        np.array_equal(mine[name].values, theirs[name].values) for name in mine
    )


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


@dataclass
class Loop:
    """A recurrent layer that the model steps through itself. x: the frame that it takes.

    numbers: state -> value; step: where it stands; by: 1 or -1, once that is known.
    """

    key: Any
    x: Labels
    numbers: dict[str, int]
    step: int
    by: int = 0


@dataclass
class Builder:
    """Follows a computation on sequences of ``steps`` steps in ``lanes`` lanes.

    Every method takes labels and gives those of its result; raises Unfollowed for what no layer can
    compute.
    """

    lanes: int
    steps: int
    values: list[Value] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    affine: set[str] = field(default_factory=set)
    """Linear places that stand for no layer of the model, but for its additions and scales."""
    notes: list[str] = field(default_factory=list)
    states: dict[str, tuple[str, IntArray]] = field(default_factory=dict)
    """State -> the input of the model that it starts from, and which of its elements."""
    _made: dict[tuple[str, int], int] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    next_cell: int = 0
    """Number of the recurrent layer that comes next."""

    # -- what comes from outside ------------------------------------------------------------------

    def frames(self, width: int, is_time_major: bool) -> Labels:
        """The input: (lanes, steps, width), or (steps, lanes, width)."""
        number = self._value(Value(INPUT, width))
        lane, step = np.arange(self.lanes)[:, None, None], np.arange(self.steps)[None, :, None]
        labels = Labels.of(number, lane, step, np.arange(width))
        return labels.moved(lambda part: part.swapaxes(0, 1)) if is_time_major else labels

    def tokens(self, is_time_major: bool) -> Labels:
        """The input of an embedding: (lanes, steps), or (steps, lanes)."""
        return self.frames(1, is_time_major).moved(lambda part: part[..., 0])

    def embedded(self, tokens: Labels, width: int) -> Labels:
        """What an embedding on the host gives: the frames that the network begins with."""
        if (tokens.value != 0).any() or self.places or self.values[0].width != 1:
            raise Unfollowed("its input is not that of the model, or it is the second embedding")
        self.values[0] = Value(INPUT, width)
        return Labels.of(0, tokens.lane[..., None], tokens.step[..., None], np.arange(width))

    def initial_state(self, name: str, shape: tuple[int, ...]) -> Labels:
        """An input of the model that is an initial state, of any shape."""
        size = int(np.prod(shape))
        number = self._value(Value(name, size, is_once=True, is_state=True))
        return Labels.of(number, 0, NO_STEP, np.arange(size).reshape(shape))

    def _value(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _add(
        self, name: str, layer: Layer, sources: Sequence[int], is_backward: bool = False
    ) -> int:
        """A place; the number of its value. A layer that is there already is not made again."""
        names = tuple(self.values[number].name for number in sources)
        for place in self.places if not layer.states() else ():
            if place.sources == names and _is_same(place.layer, layer):
                known = (n for n, value in enumerate(self.values) if value.name == place.name)
                return next(known)
        is_once = isinstance(layer, Pool) or self.values[sources[0]].is_once
        self.places.append(Place(self._unique(name), layer, names, is_backward))
        return self._value(Value(self.places[-1].name, layer.outputs, is_once))

    def _unique(self, name: str) -> str:
        taken = {place.name for place in self.places}
        return next(
            tried
            for k in range(len(taken) + 1)
            if (tried := name + (str(k + 1) if k else "")) not in taken
        )

    # -- layers -----------------------------------------------------------------------------------

    def linear(self, x: Labels, weight: FloatArray, bias: FloatArray | None, name: str) -> Labels:
        """x (..., inputs), weight (outputs, inputs) -> (..., outputs)."""
        frames = self._framed(x.moved(lambda part: part.reshape(-1, part.shape[-1])))
        matrix, shift, sources = self._mapped(frames.pattern, weight)
        if bias is not None:
            shift = shift + np.tile(bias, len(frames.pattern.value))
        number = self._add(name, Linear(matrix, shift if shift.any() else None), sources)
        return self._labelled(number, frames, (*x.shape[:-1], len(weight)))

    def combination(self, terms: Sequence[Labels], name: str = "sum") -> Labels:
        """The sum of arrays of one shape, element by element: one value of the network."""
        flat = [term.moved(np.ravel) for term in terms]
        rows = Labels(
            *(np.stack(parts, axis=1) for parts in zip(*(t.parts for t in flat), strict=True))
        )
        frames = self._framed(rows)
        matrix, shift, sources = self._mapped(frames.pattern, np.ones((1, len(terms))))
        number = self._add(name, Linear(matrix, shift if shift.any() else None), sources)
        self.affine.add(self.places[-1].name)
        return self._labelled(number, frames, terms[0].shape)

    def elementwise(self, x: Labels, kind: str, layer: Callable[[int], Layer]) -> Labels:
        """A function of every element. layer: makes it for so many; kind: what it is called."""
        whole = self._plain(x)
        found = np.array(whole.value)
        for number in np.unique(whole.value):
            key = (kind, int(number))
            if key not in self._made:
                self._made[key] = self._add(kind, layer(self.values[number].width), [int(number)])
            found[whole.value == number] = self._made[key]
        return Labels(found, *whole.parts[1:])

    def product(self, a: Labels, b: Labels) -> Labels:
        """The product of two arrays of one shape, element by element."""
        whole = [a, b]
        both = Labels(*(np.stack([p.ravel(), q.ravel()], axis=1)
                        for p, q in zip(whole[0].parts, whole[1].parts, strict=True)))  # fmt: skip
        frames = self._framed(both)
        numbers = [self._as_value(one, frames, index) for index, one in enumerate(whole)]
        width = len(frames.pattern.value)
        return self._labelled(self._add("product", Product(2 * width), numbers), frames, a.shape)

    def _as_value(self, x: Labels, frames: Frames, column: int) -> int:
        """The value that has the elements of a column of frames, in order; made if need be."""
        pattern = frames.pattern.moved(lambda part: part[:, column])
        number, width = int(pattern.value[0]), len(pattern.value)
        is_whole = (pattern.value == number).all() and width == self.values[number].width
        is_plain = (pattern.scale == 1).all() and not pattern.shift.any()
        if is_whole and is_plain and (pattern.feature == np.arange(width)).all():
            return number
        return int(self.combination([x], "selected").value.flat[0])

    def recurrence(
        self, x: Labels, make: Callable[[FloatArray, FloatArray], Cell], inputs: int,
        initial: Mapping[str, Labels], is_reverse: bool, index: int,
    ) -> tuple[Labels, dict[str, Labels]]:  # fmt: skip
        """One direction of a layer: x (steps, lanes, inputs) -> (steps, lanes, n), final states.

        make: the cell, from the matrix (its inputs, columns) that its input weights are multiplied
        with, and the constants (inputs) that are added to its frame. initial: state -> (lanes, n).
        """
        frames = frames_of(x.moved(lambda part: part.reshape(-1, part.shape[-1])))
        if len(frames.pattern.value) != 1:
            raise Unfollowed("it runs over something else than the steps of a sequence")
        step = np.empty(len(frames.step), dtype=np.int64)
        lane = np.empty_like(step)
        step[frames.rows[:, 0]], lane[frames.rows[:, 0]] = frames.step, frames.lane
        step, lane = step.reshape(x.shape[:2]), lane.reshape(x.shape[:2])
        times = np.arange(self.steps)
        is_flipped = len(step) == self.steps and (step == times[::-1, None]).all()
        if not (is_flipped or (len(step) == self.steps and (step == times[:, None]).all())):
            raise Unfollowed("it does not run over all steps in their order")
        is_backward = bool(is_flipped) != is_reverse
        matrix, shift, sources = self._mapped(frames.pattern, np.eye(inputs))
        cell = make(matrix, shift)
        name = self._unique(layer_name(index, "_reverse" if is_reverse else ""))
        for state, labels in initial.items():
            self._start(f"{name}.{state}", labels)
        y = self._add(name, cell, sources, is_backward)
        numbers = {"y": y}
        for state, count in cell.states().items():
            if state != "y":
                numbers[state] = self._value(Value(f"{name}.{state}", count))
        ends = step[0 if is_reverse else -1]
        final = {
            state: Labels.of(number, lane[0][:, None], ends[:, None],
                             np.arange(self.values[number].width))
            for state, number in numbers.items()
        }  # fmt: skip
        out = Labels.of(y, lane[:, :, None], step[:, :, None], np.arange(cell.outputs))
        return out, final

    def cell_step(
        self, key: Any, x: Labels, make: Callable[[FloatArray, FloatArray], Cell], inputs: int,
        states: Mapping[str, Labels],
    ) -> dict[str, Labels]:  # fmt: skip
        """One step of a loop over a cell: x (lanes, inputs), states (lanes, n) -> the new states.

        key: of the cell's weights. The steps are those of one layer of the network if each takes
        the next frame and the states that the one before it left.
        """
        frames = frames_of(x)
        if len(frames.pattern.value) != 1 or len(set(frames.step.tolist())) != 1:
            raise Unfollowed("it does not take one frame of every sequence")
        step = int(frames.step[0])
        loop = self._loop_before(key, frames.pattern, states, step)
        if loop is None:
            loop = self._new_loop(key, frames.pattern, make, inputs, states, step)
        lane = frames.lane[np.argsort(frames.rows[:, 0])]
        loop.step = step
        return {
            state: Labels.of(number, lane[:, None], step, np.arange(self.values[number].width))
            for state, number in loop.numbers.items()
        }

    def _loop_before(
        self, key: Any, x: Labels, states: Mapping[str, Labels], step: int
    ) -> Loop | None:
        """The loop whose states these are, at the step before."""
        for loop in self.loops:
            by = step - loop.step
            is_next = by in (1, -1) and loop.by in (0, by) and loop.key == key
            if is_next and all(
                _is_state(states[name], number, self.values[number].width, loop.step)
                for name, number in loop.numbers.items()
            ):
                if any((p != q).any() for p, q in zip(_what(x), _what(loop.x), strict=True)):
                    raise Unfollowed("it does not take the same of every frame")
                if loop.by == 0 and by == -1:
                    self._turn(loop)
                loop.by = by
                return loop
        return None

    def _turn(self, loop: Loop) -> None:
        """The loop runs from the last step to the first."""
        name = self.values[loop.numbers["y"]].name
        self.places = [
            replace(place, is_backward=True) if place.name == name else place
            for place in self.places
        ]

    def _new_loop(
        self, key: Any, x: Labels, make: Callable[[FloatArray, FloatArray], Cell], inputs: int,
        states: Mapping[str, Labels], step: int,
    ) -> Loop:  # fmt: skip
        if step not in (0, self.steps - 1):
            raise Unfollowed(f"a loop over a cell begins at step {step}")
        matrix, shift, sources = self._mapped(x, np.eye(inputs))
        cell = make(matrix, shift)
        name = self._unique(layer_name(self.next_cell))
        self.next_cell += 1
        for state, labels in states.items():
            self._start(f"{name}.{state}", labels)
        numbers = {"y": self._add(name, cell, sources)}
        for state, count in cell.states().items():
            if state != "y":
                numbers[state] = self._value(Value(f"{name}.{state}", count))
        self.loops.append(Loop(key, x, numbers, step))
        return self.loops[-1]

    def _start(self, state: str, labels: Labels) -> None:
        """Where a state starts: at zero, or as an input of the model says."""
        if labels.is_constant.all():
            if labels.shift.any():
                raise Unfollowed(
                    "it starts from a state that is part of the model",
                    "let forward take the initial state as an argument, and give its values to run "
                    "through --state",
                )
            return
        value = self.values[int(labels.value.flat[0])]
        size = labels.value.size
        is_input = value.is_state and (labels.value == labels.value.flat[0]).all()
        is_plain = (labels.scale == 1).all() and not labels.shift.any()
        is_in_order = size == 1 or (np.diff(labels.feature.ravel()) == 1).all()
        if not (is_input and is_plain and is_in_order):
            raise Unfollowed(
                "it starts from a state that the network computes",
                "compile the two parts apart, and give the state of the first to the second",
            )
        self.states[state] = (value.name, labels.feature)

    # -- over the steps ---------------------------------------------------------------------------

    def pool(self, x: Labels, axes: Sequence[int], how: str, keep: bool) -> Labels:
        """The mean, max or sum over axes: of the steps, or (but for max) of the elements."""
        rest = [axis for axis in range(len(x.shape)) if axis not in axes]
        flat = x.moved(lambda part: part.transpose(*rest, *axes).reshape(
            *(part.shape[axis] for axis in rest), -1))  # fmt: skip
        shape = tuple(
            1 if axis in axes else n for axis, n in enumerate(x.shape) if keep or axis not in axes
        )
        count = flat.shape[-1]
        if count == 1:
            return flat.moved(lambda part: part.reshape(shape))
        steps = np.sort(flat.step, axis=-1)
        if flat.is_constant.any() or (steps[..., :1] == steps).all():
            pooled = self._of_elements(flat, how)
        elif count == self.steps and (steps == np.arange(count)).all():
            pooled = self._of_steps(flat, how)
        else:
            raise Unfollowed("it reduces over a part of the steps, or over more than them")
        return pooled.moved(lambda part: part.reshape(shape))

    def _of_elements(self, x: Labels, how: str) -> Labels:
        if how == "max":
            raise Unfollowed("it takes the greatest of several elements")
        by = 1.0 if how == "sum" else 1.0 / x.shape[-1]
        terms = [x.moved(lambda part, k=k: part[..., k]).scaled(by) for k in range(x.shape[-1])]
        return self.combination(terms)

    def _of_steps(self, x: Labels, how: str) -> Labels:
        first = x.moved(lambda part: part[..., 0])
        for name in ("value", "lane", "feature", "scale", "shift"):
            part = getattr(x, name)
            if (part != part[..., :1]).any():
                raise Unfollowed("it reduces over different elements of the steps")
        if how == "max" and (first.scale < 0).any():
            raise Unfollowed("it takes the greatest of negated values")
        pooled = self._pooled(first, "mean" if how == "sum" else how)
        return pooled.scaled(self.steps) if how == "sum" else pooled

    def _pooled(self, x: Labels, how: str) -> Labels:
        """Every value of labels, pooled; scales and shifts stay."""
        found = np.array(x.value)
        for number in np.unique(x.value[~x.is_constant]):
            value = self.values[number]
            if value.is_once:
                continue
            key = (how, int(number))
            if key not in self._made:
                name = f"{value.name}_{how}".replace(".", "_")
                self._made[key] = self._add(name, Pool(value.width, how), [int(number)])
            found[x.value == number] = self._made[key]
        step = np.full_like(x.step, NO_STEP)
        return Labels(found, x.lane, step, x.feature, x.scale, x.shift)

    def _framed(self, rows: Labels) -> Frames:
        """Rows as frames; those that take several ends of a sequence are of values it has once."""
        try:
            return frames_of(rows)
        except Unfollowed:
            steps = set(np.unique(rows.step[~rows.is_constant]).tolist())
            if len(steps) == 1 or not steps <= {NO_STEP, 0, self.steps - 1}:
                raise
            return frames_of(self._settled(rows))

    def _settled(self, x: Labels) -> Labels:
        """Elements of the first or the last step alone become values that a sequence has once."""
        steps = np.unique(x.step[~x.is_constant])
        ends = {0: "first", self.steps - 1: "last"}
        if len(steps) == 1 and steps[0] not in (NO_STEP, *ends):
            raise Unfollowed(
                f"it takes step {steps[0]} of the sequence", "take the first or the last"
            )
        if not set(steps.tolist()) <= {NO_STEP, *ends}:
            return x
        parts = [np.array(part) for part in x.parts]
        for step, how in ends.items():
            chosen = (x.step == step) & ~x.is_constant
            if chosen.any():
                pooled = self._pooled(x.moved(lambda part, c=chosen: part[c]), how)
                for part, new in zip(parts, pooled.parts, strict=True):
                    part[chosen] = new
        return Labels(*parts)

    # -- the end ----------------------------------------------------------------------------------

    def is_final_state(self, labels: Labels) -> bool:
        """True for whole final states: (layers * directions, lanes, n), or the lanes first."""
        if len(labels.shape) != 3 or labels.is_constant.any():
            return False
        turned = labels.moved(lambda part: part.swapaxes(0, 1))
        return self._is_final(labels) or self._is_final(turned)

    def _is_final(self, labels: Labels) -> bool:
        if labels.shape[1] != self.lanes:
            return False
        for index in range(len(labels.value)):
            part = labels.moved(lambda array, k=index: array[k])
            value = self.values[int(part.value.flat[0])]
            place = next((p for p in self.places if value.name in (p.name, f"{p.name}.c")), None)
            if (
                place is None
                or not place.layer.states()
                or (part.value != part.value.flat[0]).any()
            ):
                return False
            end = 0 if place.is_backward else self.steps - 1
            is_whole = (
                part.shape[1] == value.width and (part.feature == np.arange(value.width)).all()
            )
            if not is_whole or (part.step != end).any() or (part.scale != 1).any():
                return False
        return True

    def argmax_of(self, outputs: Sequence[Any]) -> str:
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
        is_whole = rows in (self.lanes, self.lanes * self.steps)
        return "argmax" if is_of_a_frame and is_whole else "none"

    def finish(
        self, outputs: Sequence[Labels], name: str, batch_first: bool, activation: str = "none"
    ) -> tuple[RecurrentModel, list[Result]]:
        """The network of all that the outputs need, and where each output is in its result."""
        settled = [self._settled(output) for output in outputs]
        sorted_ = [frames_of(one.moved(lambda part: part.reshape(-1, 1))) for one in settled]
        grids = {(tuple(frames.lane), tuple(frames.step)) for frames in sorted_}
        if len(grids) > 1:
            raise Unfollowed("some of its results come at every step and some once",
                             "compile one network for each")  # fmt: skip
        for one in settled:
            _check_order(one)
        steps = sorted_[0].step
        is_once = bool((steps == NO_STEP).all())
        if len(steps) != self.lanes * (1 if is_once else self.steps):
            raise Unfollowed("its result has some steps and not others")
        patterns = [frames.pattern.moved(np.ravel) for frames in sorted_]
        pattern = Labels(
            *(np.concatenate(p) for p in zip(*(one.parts for one in patterns), strict=True))
        )
        numbers = self._whole(pattern)
        is_shared = is_once and numbers is not None and len(numbers) > 1  # a phase gives one vector
        if numbers is None or is_shared or len(set(numbers)) != len(numbers):
            numbers = [self._gathered(pattern)]
        names = tuple(self.values[number].name for number in numbers)
        inputs = self.values[0].width
        model = RecurrentModel(
            inputs, tuple(self.places), names, name, batch_first, list(self.notes)
        )
        return simplified(model, self.affine, activation), self._results(settled, sorted_, is_once)

    def _whole(self, pattern: Labels) -> list[int] | None:
        """The values that a frame consists of, if they are whole, as they are and side by side."""
        if (pattern.scale != 1).any() or pattern.shift.any():
            return None
        numbers, start = [], 0
        while start < len(pattern.value):
            number = int(pattern.value[start])
            stop = start + self.values[number].width
            if self.values[number].is_state:
                return None
            own = pattern.moved(lambda part, a=start, b=stop: part[a:b])
            if stop > len(pattern.value) or (own.value != number).any():
                return None
            if (own.feature != np.arange(len(own.feature))).any():
                return None
            numbers.append(number)
            start = stop
        return numbers

    def _gathered(self, pattern: Labels) -> int:
        """A value of the elements of a frame."""
        row = pattern.moved(lambda part: part[:, None])
        matrix, shift, sources = self._mapped(row, np.ones((1, 1)))
        number = self._add("result", Linear(matrix, shift if shift.any() else None), sources)
        self.affine.add(self.places[-1].name)
        return number

    def _results(
        self, outputs: Sequence[Labels], sorted_: Sequence[Frames], is_once: bool
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

    # -- shared -----------------------------------------------------------------------------------

    def _plain(self, x: Labels) -> Labels:
        """Labels without scale and shift; an affine function becomes a value of its own."""
        if (x.scale == 1).all() and not x.shift.any():
            return x
        return self.combination([x], "scaled")

    def _mapped(
        self, pattern: Labels, weight: FloatArray
    ) -> tuple[FloatArray, FloatArray, list[int]]:
        """weight (n, m) of every row of a pattern (rows, m) of labels, one matrix of whole values.

        -> (rows * n, all their elements), the sums of what is constant, and the values.
        """
        rows, _ = pattern.shape
        known = pattern.is_constant
        sources = [int(number) for number in dict.fromkeys(pattern.value[~known].tolist())]
        if any(self.values[number].is_state for number in sources):
            raise Unfollowed(
                "it computes with an initial state", "only a recurrent layer may read it"
            )
        starts, total = {}, 0
        for number in sources:
            starts[number] = total
            total += self.values[number].width
        offset = np.array([starts.get(int(v), 0) for v in range(len(self.values))])
        matrix = np.zeros((rows, len(weight), total))
        for row in range(rows):
            used = np.flatnonzero(~known[row])
            columns = offset[pattern.value[row, used]] + pattern.feature[row, used]
            np.add.at(matrix[row].T, columns, (weight[:, used] * pattern.scale[row, used]).T)
        shift = pattern.shift @ weight.T
        return matrix.reshape(rows * len(weight), total), shift.ravel(), sources

    def _labelled(self, number: int, frames: Frames, shape: tuple[int, ...]) -> Labels:
        """A new value, whose features are counted through the rows of a frame."""
        count = len(frames.pattern.value)
        width = self.values[number].width // count
        rows = np.empty((frames.rows.size, 3), dtype=np.int64)
        rows[frames.rows.ravel(), 0] = np.repeat(frames.lane, count)
        rows[frames.rows.ravel(), 1] = np.repeat(frames.step, count)
        rows[frames.rows.ravel(), 2] = np.tile(np.arange(count) * width, len(frames.lane))
        feature = rows[:, 2:] + np.arange(width)
        labels = Labels.of(number, rows[:, :1], rows[:, 1:2], feature)
        return labels.moved(lambda part: part.reshape(shape))
