"""A network in the making: what is computed with labels becomes places of a RecurrentModel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.frontend.follow.labels import NO_STEP, Frames, Labels, Unfollowed, frames_of
from penstock.frontend.follow.values import Loop, Value
from penstock.layers import Layer, Linear, Pool, Product
from penstock.model import INPUT, Place

LEAST_STEPS = 3
"""Of a computation that is followed: the first, the last and another step are told apart."""


def _is_same(a: Layer, b: Layer) -> bool:
    """True for layers that compute the same."""
    if a.describe() != b.describe() or type(a) is not type(b):
        return False
    mine, theirs = a.parameters(), b.parameters()
    return mine.keys() == theirs.keys() and all(
        np.array_equal(mine[name].values, theirs[name].values) for name in mine
    )


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
    table: FloatArray | None = None
    """Of the embedding that stays on the host."""
    loops: list[Loop] = field(default_factory=list)
    next_cell: int = 0
    """Number of the recurrent layer that comes next."""
    _made: dict[tuple[str, int], int] = field(default_factory=dict)
    """Function and value -> the value that is made of it."""

    # -- what comes from outside ------------------------------------------------------------------

    def frames(self, width: int, is_time_major: bool) -> Labels:
        """The input: (lanes, steps, width), or (steps, lanes, width)."""
        number = self.value(Value(INPUT, width))
        lane, step = np.arange(self.lanes)[:, None, None], np.arange(self.steps)[None, :, None]
        labels = Labels.of(number, lane, step, np.arange(width))
        return labels.moved(lambda part: part.swapaxes(0, 1)) if is_time_major else labels

    def tokens(self, is_time_major: bool) -> Labels:
        """The input of an embedding: (lanes, steps), or (steps, lanes)."""
        return self.frames(1, is_time_major).moved(lambda part: part[..., 0])

    def embedded(self, tokens: Labels, table: FloatArray, name: str) -> Labels:
        """What an embedding on the host gives: the frames that the network begins with."""
        if (tokens.value != 0).any() or self.places or self.values[0].width != 1:
            raise Unfollowed(
                "its input is not that of the model, or it is the second embedding",
                "look both up on the host: compile the state dict, or a module whose forward takes "
                "the frames that they give",
            )
        self.table = table
        self.notes.append(
            f"{name} is an embedding of {len(table)} entries: the look-up stays on the host"
        )
        self.values[0] = Value(INPUT, table.shape[1])
        lane, step = tokens.lane[..., None], tokens.step[..., None]
        return Labels.of(0, lane, step, np.arange(table.shape[1]))

    def initial_state(self, name: str, shape: tuple[int, ...]) -> Labels:
        """An input of the model that is an initial state, of any shape."""
        size = int(np.prod(shape))
        number = self.value(Value(name, size, is_once=True, is_state=True))
        return Labels.of(number, 0, NO_STEP, np.arange(size).reshape(shape))

    # -- values and places ------------------------------------------------------------------------

    def value(self, value: Value) -> int:
        """A new value's number."""
        self.values.append(value)
        return len(self.values) - 1

    def add(
        self, name: str, layer: Layer, sources: Sequence[int], is_backward: bool = False
    ) -> int:
        """A place; the number of its value. A layer that is there already is not made again."""
        names = tuple(self.values[number].name for number in sources)
        for place in self.places if not layer.states() else ():
            if place.sources == names and _is_same(place.layer, layer):
                known = (n for n, value in enumerate(self.values) if value.name == place.name)
                return next(known)
        is_once = isinstance(layer, Pool) or self.values[sources[0]].is_once
        self.places.append(Place(self.unique(name), layer, names, is_backward))
        return self.value(Value(self.places[-1].name, layer.outputs, is_once))

    def unique(self, name: str) -> str:
        """The name, with a number if a place has it already."""
        taken = {place.name for place in self.places}
        return next(
            tried
            for k in range(len(taken) + 1)
            if (tried := name + (str(k + 1) if k else "")) not in taken
        )

    # -- layers -----------------------------------------------------------------------------------

    def linear(self, x: Labels, weight: FloatArray, bias: FloatArray | None, name: str) -> Labels:
        """x (..., inputs), weight (outputs, inputs) -> (..., outputs)."""
        frames = self.framed(x.moved(lambda part: part.reshape(-1, part.shape[-1])))
        matrix, shift, sources = self.mapped(frames.pattern, weight)
        if bias is not None:
            shift = shift + np.tile(bias, len(frames.pattern.value))
        number = self.add(name, Linear(matrix, shift if shift.any() else None), sources)
        return self._labelled(number, frames, (*x.shape[:-1], len(weight)))

    def combination(self, terms: Sequence[Labels], name: str = "sum") -> Labels:
        """The sum of arrays of one shape, element by element: one value of the network."""
        flat = [term.moved(np.ravel) for term in terms]
        rows = Labels(
            *(np.stack(parts, axis=1) for parts in zip(*(t.parts for t in flat), strict=True))
        )
        frames = self.framed(rows)
        matrix, shift, sources = self.mapped(frames.pattern, np.ones((1, len(terms))))
        number = self.add(name, Linear(matrix, shift if shift.any() else None), sources)
        self.affine.add(self.places[-1].name)
        return self._labelled(number, frames, terms[0].shape)

    def elementwise(self, x: Labels, kind: str, layer: Callable[[int], Layer]) -> Labels:
        """A function of every element. layer: makes it for so many; kind: what it is called."""
        whole = self._plain(x)
        found = np.array(whole.value)
        for number in np.unique(whole.value):
            key = (kind, int(number))
            if key not in self._made:
                self._made[key] = self.add(kind, layer(self.values[number].width), [int(number)])
            found[whole.value == number] = self._made[key]
        return Labels(found, *whole.parts[1:])

    def product(self, a: Labels, b: Labels) -> Labels:
        """The product of two arrays of one shape, element by element."""
        whole = [a, b]
        both = Labels(*(np.stack([p.ravel(), q.ravel()], axis=1)
                        for p, q in zip(whole[0].parts, whole[1].parts, strict=True)))  # fmt: skip
        frames = self.framed(both)
        numbers = [self._as_value(one, frames, index) for index, one in enumerate(whole)]
        width = len(frames.pattern.value)
        return self._labelled(self.add("product", Product(2 * width), numbers), frames, a.shape)

    def _as_value(self, x: Labels, frames: Frames, column: int) -> int:
        """The value that has the elements of a column of frames, in order; made if need be."""
        pattern = frames.pattern.moved(lambda part: part[:, column])
        number, width = int(pattern.value[0]), len(pattern.value)
        is_whole = (pattern.value == number).all() and width == self.values[number].width
        is_plain = (pattern.scale == 1).all() and not pattern.shift.any()
        if is_whole and is_plain and (pattern.feature == np.arange(width)).all():
            return number
        return int(self.combination([x], "selected").value.flat[0])

    def pooled(self, x: Labels, how: str) -> Labels:
        """Every value of labels, pooled; scales and shifts stay."""
        found = np.array(x.value)
        for number in np.unique(x.value[~x.is_constant]):
            value = self.values[number]
            if value.is_once:
                continue
            key = (how, int(number))
            if key not in self._made:
                name = f"{value.name}_{how}".replace(".", "_")
                self._made[key] = self.add(name, Pool(value.width, how), [int(number)])
            found[x.value == number] = self._made[key]
        step = np.full_like(x.step, NO_STEP)
        return Labels(found, x.lane, step, x.feature, x.scale, x.shift)

    def framed(self, rows: Labels) -> Frames:
        """Rows as frames; those that take several ends of a sequence are of values it has once."""
        try:
            return frames_of(rows)
        except Unfollowed:
            steps = set(np.unique(rows.step[~rows.is_constant]).tolist())
            if len(steps) == 1 or not steps <= {NO_STEP, 0, self.steps - 1}:
                raise
            return frames_of(self.settled(rows))

    def settled(self, x: Labels) -> Labels:
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
                pooled = self.pooled(x.moved(lambda part, c=chosen: part[c]), how)
                for part, new in zip(parts, pooled.parts, strict=True):
                    part[chosen] = new
        return Labels(*parts)

    # -- shared -----------------------------------------------------------------------------------

    def _plain(self, x: Labels) -> Labels:
        """Labels without scale and shift; an affine function becomes a value of its own."""
        if (x.scale == 1).all() and not x.shift.any():
            return x
        return self.combination([x], "scaled")

    def mapped(
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
