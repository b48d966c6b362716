"""RecurrentModel: a trained network as layers in a dataflow graph, and its float semantics.

What a frontend gives and the compiler lowers. No torch objects, no fixed point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from penstock.fixed import BoolArray, FloatArray, IntArray
from penstock.layers.head import DenseHead
from penstock.layers.layer import Layer, Observe, matrices_of
from penstock.layers.pool import Pool

INPUT = "x"
"""The value that comes from outside: the frames."""
HEAD = "head"
"""The name of a head; those of other layers in a stack are ``layer_name``'s."""

Watch = Callable[[str, int, FloatArray], None]
"""Called with a tensor's name, the step, and its rows: (sequences that have this step, n)."""


def layer_name(index: int, suffix: str = "") -> str:
    """The name of a direction of layer ``index`` of a stack: ``l0``, ``l0_reverse``."""
    return f"l{index}{suffix}"


@dataclass(frozen=True)
class Place:
    """A layer in its place.

    name: of the place, and of the value that the layer gives; a state of the layer that others read
    is a value of its own, ``l0.c``. sources: the values that the layer reads, side by side.
    is_backward: the layer runs from the last step to the first.
    """

    name: str
    layer: Layer
    sources: tuple[str, ...]
    is_backward: bool = False

    @property
    def is_pool(self) -> bool:
        """True if it makes one vector of a whole sequence."""
        return isinstance(self.layer, Pool)


@dataclass(frozen=True)
class RecurrentModel:
    """Layers in the order in which they can be computed; ``outputs`` are the values that leave it.

    A value is a vector at every step, or, behind a pool, one a sequence. All outputs, side by side,
    are of the same kind. notes: what the frontend assumed, left to the host or wants the user to
    know, a sentence each. batch_first: how the source model orders its arrays; ``run`` of a project
    follows it. table: (entries, inputs) of an embedding, whose look-up on the host gives the
    frames. is_regression: its outputs are quantities, so that the greatest of them decides nothing.
    """

    inputs: int
    places: tuple[Place, ...]
    outputs: tuple[str, ...]
    name: str = "lstm"
    batch_first: bool = True
    notes: list[str] = field(default_factory=list)
    table: FloatArray | None = field(default=None, repr=False)
    is_regression: bool = False

    def __post_init__(self) -> None:
        known = {INPUT}
        for place in self.places:
            _check_place(self, place, known)
            known.update(_values_of(place))
        if not self.outputs or not known.issuperset(self.outputs):
            raise ValueError(f"the outputs are {self.outputs}")
        if len({self.is_once(value) for value in self.outputs}) > 1:
            raise ValueError(f"of {self.outputs}, some come at every step and some once")

    def place(self, value: str) -> Place | None:
        """Where a value comes from; None for the input."""
        return self._givers.get(value)

    def width(self, value: str) -> int:
        """Elements of a value."""
        place = self.place(value)
        if place is None:
            return self.inputs
        return place.layer.outputs if value == place.name else _state_width(place, value)

    def is_once(self, value: str) -> bool:
        """True for a value that a sequence has once, at its end."""
        return value in self._once

    @cached_property
    def _givers(self) -> dict[str, Place]:
        return {value: place for place in self.places[::-1] for value in _values_of(place)}

    @cached_property
    def _once(self) -> set[str]:
        found: set[str] = set()
        for place in self.places:
            if place.is_pool or found.intersection(place.sources[:1]):
                found.update(_values_of(place))
        return found

    def __getitem__(self, name: str) -> Layer:
        """The layer of the place of this name."""
        return dict(self.named_layers())[name]

    def find(self, name: str) -> Layer | None:
        """The same, or None."""
        return dict(self.named_layers()).get(name)

    def __contains__(self, name: str) -> bool:
        return name in dict(self.named_layers())

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Every layer by the name of its place."""
        for place in self.places:
            yield place.name, place.layer

    def with_layers(self, layers: Mapping[str, Layer]) -> RecurrentModel:
        """The same network with other layers in the places named."""
        places = (replace(one, layer=layers.get(one.name, one.layer)) for one in self.places)
        return replace(self, places=tuple(places))

    def weights(self) -> dict[str, FloatArray]:
        """All weight matrices by the names the compiler gives them (``l0.W_ix``, ``head.W``)."""
        return {
            f"{layer}.{name}": values
            for layer, part in self.named_layers()
            for name, values in matrices_of(part).items()
        }

    def states(self) -> dict[str, int]:
        """Every state by its name (``l0.c``), and its elements."""
        return {
            f"{layer}.{name}": count
            for layer, part in self.named_layers()
            for name, count in part.states().items()
        }

    def run(
        self,
        x: FloatArray,
        lengths: IntArray | None = None,
        watch: Watch = lambda name, step, rows: None,
        state: Mapping[str, FloatArray] | None = None,
    ) -> FloatArray:
        """Float64 reference: x (lanes, steps, inputs) -> (lanes, steps or 1, outputs).

        state: name -> (lanes, n) before the first step; zero without. Semantics of packed
        ``torch.nn.LSTM``: steps beyond a lane's length leave its state alone and give zeros; they
        are never watched. A head gives its logits; ``activation`` is not applied.
        """
        lanes, steps, _ = x.shape
        length = np.full(lanes, steps) if lengths is None else np.asarray(lengths)
        run = _Run(length, length[:, None] > np.arange(steps), watch, state or {})
        values = {INPUT: np.where(run.valid[:, :, None], x, 0.0).astype(np.float64)}
        run.observe_all(INPUT, values[INPUT])
        for place in self.places:
            x = np.concatenate([values[source] for source in place.sources], axis=2)
            values |= run.values(place, x, self.is_once(place.name))
        return np.concatenate([values[name] for name in self.outputs], axis=2)


def _check_place(model: RecurrentModel, place: Place, known: set[str]) -> None:
    unknown = [source for source in place.sources if source not in known]
    if unknown or not place.sources:
        raise ValueError(f"{place.name} reads {unknown or 'nothing'}, which is not before it")
    if place.name in known:
        raise ValueError(f"there are two places named {place.name}")
    width = sum(model.width(source) for source in place.sources)
    if width != place.layer.inputs:
        raise ValueError(f"{place.name} takes {place.layer.inputs} values, but is given {width}")
    rates = {model.is_once(source) for source in place.sources}
    if len(rates) > 1 or (rates == {True} and (place.is_pool or place.layer.states())):
        raise ValueError(f"{place.name} reads values that a sequence has only once")


def _values_of(place: Place) -> list[str]:
    return [place.name, *(f"{place.name}.{name}" for name in place.layer.states())]


def _state_width(place: Place, value: str) -> int:
    return place.layer.states()[value.removeprefix(f"{place.name}.")]


@dataclass
class _Run:
    """One run of a float network. lengths: (lanes); valid: (lanes, steps)."""

    lengths: IntArray
    valid: BoolArray
    watch: Watch
    state: Mapping[str, FloatArray]

    def observe_all(self, name: str, values: FloatArray, is_once: bool = False) -> None:
        """Watch a value (lanes, steps, n) of all steps at once, in the order of the steps."""
        valid = self.lengths[:, None] > 0 if is_once else self.valid
        self.watch(name, 0, values.swapaxes(0, 1)[valid.T])

    def values(self, place: Place, x: FloatArray, is_once: bool) -> dict[str, FloatArray]:
        """What a place makes of x (lanes, steps, inputs): its value, and those of its states."""
        layer = place.layer
        if layer.states():
            return self._recurrence(place, x)

        def observe(name: str, rows: FloatArray) -> None:
            values = rows.reshape(len(x), -1, rows.shape[-1])
            self.observe_all(f"{place.name}.{name}", values, is_once)

        if isinstance(layer, Pool):
            y = layer.reduce(x, self.lengths)
            observe("y", y)
        else:
            y, _ = layer.step(x.reshape(-1, x.shape[2]), {}, observe)
        valid = self.lengths[:, None] > 0 if is_once else self.valid
        y = y.reshape(*valid.shape, -1)
        return {place.name: np.where(valid[:, :, None], y, 0.0)}

    def _recurrence(self, place: Place, x: FloatArray) -> dict[str, FloatArray]:
        lanes, steps, _ = x.shape
        layer, counts = place.layer, place.layer.states()
        state = {
            name: np.array(self.state.get(f"{place.name}.{name}", np.zeros((lanes, count))))
            for name, count in counts.items()
        }
        y = np.zeros((lanes, steps, layer.outputs))
        kept = {name: np.zeros((lanes, steps, count)) for name, count in counts.items()}
        for t in reversed(range(steps)) if place.is_backward else range(steps):
            valid = self.valid[:, t]
            observe = self._observe(place.name, t, valid)
            now, after = layer.step(x[:, t], state, observe)
            y[valid, t] = now[valid]
            for name, value in after.items():
                state[name] = np.where(valid[:, None], value, state[name])
                kept[name][valid, t] = value[valid]
        return {place.name: y} | {f"{place.name}.{name}": v for name, v in kept.items()}

    def _observe(self, place: str, t: int, valid: BoolArray) -> Observe:
        return lambda name, values: self.watch(f"{place}.{name}", t, values[valid])


def stack(
    layers: Sequence[Layer | tuple[Layer, ...]],
    head: DenseHead | None = None,
    at: str = "last",
    name: str = "lstm",
    batch_first: bool = True,
    notes: Sequence[str] = (),
) -> RecurrentModel:
    """A network of layers one behind the other, and a head at their end; at least one of the two.

    A pair is the two directions of a bidirectional layer: both read the same frames, and their
    outputs stand side by side, forward first. at: where the head runs, one of
    ``layers.head.PLACES`` or the pools ``mean`` and ``max``.
    """
    places: list[Place] = []
    values: tuple[str, ...] = (INPUT,)
    for index, layer in enumerate(layers):
        both = layer if isinstance(layer, tuple) else (layer,)
        suffixes = ("", "_reverse")[: len(both)]
        places += [
            Place(layer_name(index, suffix), part, values, bool(suffix))
            for suffix, part in zip(suffixes, both, strict=True)
        ]
        values = tuple(layer_name(index, suffix) for suffix in suffixes)
    if head is not None:
        widths = [head.inputs] if not places else [p.layer.outputs for p in places[-len(values) :]]
        values = _pooled(places, values, widths, at)
        places.append(Place(HEAD, head, values))
        values = (HEAD,)
    first = places[0].layer.inputs
    return RecurrentModel(first, tuple(places), values, name, batch_first, list(notes))


def _pooled(
    places: list[Place], values: tuple[str, ...], widths: list[int], at: str
) -> tuple[str, ...]:
    """What a head reads; of a backward direction, the final state is its first frame."""
    if at == "step":
        return values
    backward = {place.name for place in places if place.is_backward}
    found = []
    for value, width in zip(values, widths, strict=True):
        how = "first" if at == "final" and value in backward else "last"
        how = at if at in ("mean", "max") else how
        places.append(Place(f"{value}_{how}", Pool(width, how), (value,)))
        found.append(places[-1].name)
    return tuple(found)
