"""What a followed computation becomes before it is a network: nothing dead, no Linear for nothing.

Additions, scales and selections come as Linear layers of sparse matrices (``affine``). Most of them
belong to a neighbour: BatchNorm to the Linear before it, a selection to the layer behind it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers import Activation, DenseHead, Linear, Pool, Sum
from penstock.model import HEAD, INPUT, Place, RecurrentModel


def simplified(model: RecurrentModel, affine: set[str], activation: str = "none") -> RecurrentModel:
    """The same network with fewer layers. affine: places that stand for no layer of the model.

    activation: what follows the result, if it is a Linear layer's; see ``DenseHead``.
    """
    found = _Network(model, set(affine))
    found.drop_dead()
    while found.pool_earlier():
        found.drop_dead()
    while found.fold_back() or found.fold_forward() or found.drop_copy():
        found.drop_dead()
    found.merge_results()
    found.drop_dead()
    found.make_sums()
    found.make_head(activation)
    found.sort()
    return replace(model, places=tuple(found.places), outputs=tuple(found.outputs))


class _Network:
    """Places while they change."""

    def __init__(self, model: RecurrentModel, affine: set[str]) -> None:
        self.model = model
        self.places = list(model.places)
        self.outputs = list(model.outputs)
        self.affine = affine

    def sort(self) -> None:
        """Every place behind those that it reads, otherwise in the order in which they are."""
        known, left, done = {INPUT}, list(self.places), []
        while left:
            place = next(one for one in left if known.issuperset(one.sources))
            left.remove(place)
            done.append(place)
            known |= {place.name, *(f"{place.name}.{state}" for state in place.layer.states())}
        self.places = done

    def _linear(self, value: str) -> tuple[Place, Linear] | None:
        """The place that gives a value, if it is a Linear layer."""
        for place in self.places:
            if place.name == value and type(place.layer) is Linear:
                return place, place.layer
        return None

    def _users(self, value: str) -> int:
        return sum(place.sources.count(value) for place in self.places) + self.outputs.count(value)

    def _put(self, old: Place, new: Place) -> None:
        self.places[self.places.index(old)] = new

    def drop_dead(self) -> None:
        """Leave out what no output needs."""
        needed, kept = set(self.outputs), []
        for place in reversed(self.places):
            own = {place.name, *(f"{place.name}.{state}" for state in place.layer.states())}
            if own & needed:
                needed |= set(place.sources)
                kept.append(place)
        self.places = kept[::-1]

    def pool_earlier(self) -> bool:
        """A layer without state of which only the first or the last result is wanted."""
        for pool in self.places:
            if not isinstance(pool.layer, Pool) or pool.layer.how not in ("first", "last"):
                continue
            (value,) = pool.sources
            inner = next((place for place in self.places if place.name == value), None)
            if inner is None or inner.layer.states() or inner.is_pool or self._users(value) != 1:
                continue
            how = pool.layer.how
            pools = [self._pool(source, how) for source in inner.sources]
            at = self.places.index(inner)
            self.places.remove(pool)
            new = [one for one in pools if one not in self.places]
            moved = replace(inner, sources=tuple(one.name for one in pools))
            self.places[at : at + 1] = [*dict.fromkeys(new), moved]
            self._rename(pool.name, moved.name)
            return True
        return False

    def _pool(self, source: str, how: str) -> Place:
        """The pool of a value, which may be there already."""
        layer = Pool(self._width(source), how)
        for place in self.places:
            if place.sources == (source,) and place.layer == layer:
                return place
        name = f"{source}_{how}".replace(".", "_")
        taken = {place.name for place in self.places}
        while name in taken:
            name += "_"
        return Place(name, layer, (source,))

    def fold_back(self) -> bool:
        """An affine function of a Linear layer that nobody else reads is that layer itself."""
        for place in self.places:
            if place.name not in self.affine or not isinstance(place.layer, Linear):
                continue
            for source in place.sources:
                inner = self._linear(source)
                if inner and self._users(source) == 1 and inner[1].outputs >= place.layer.outputs:
                    self._compose(place, place.layer, *inner)
                    if inner[0].name not in self.affine:
                        self.affine.discard(place.name)
                        self._take_name(place.name, source)
                    return True
        return False

    def _take_name(self, old: str, new: str) -> None:
        """The layer that took in another one is called as that was."""
        self._rename(old, new)
        self.places = [replace(p, name=new) if p.name == old else p for p in self.places]

    def fold_forward(self) -> bool:
        """A Linear layer of an affine function takes it in where that makes no more weights."""
        for place in self.places:
            outer = place.layer
            if type(outer) is not Linear:
                continue
            for source in place.sources:
                inner = self._linear(source)
                if inner is None or source not in self.affine or self._users(source) != 1:
                    continue
                start = self._start(place, source)
                part = outer.weight[:, start : start + inner[1].outputs]
                before = np.count_nonzero(part) + np.count_nonzero(inner[1].weight)
                if np.count_nonzero(part @ inner[1].weight) <= before:
                    self._compose(place, outer, *inner)
                    return True
        return False

    def _start(self, place: Place, source: str) -> int:
        """The first column of a source."""
        index = place.sources.index(source)
        return sum(self._width(value) for value in place.sources[:index])

    def _width(self, value: str) -> int:
        for place in self.places:
            if place.name == value:
                return place.layer.outputs
            for state, count in place.layer.states().items():
                if value == f"{place.name}.{state}":
                    return count
        return self.model.inputs

    def _compose(self, place: Place, outer: Linear, inside: Place, inner: Linear) -> None:
        """``outer`` of ``inner``: one Linear layer."""
        start = self._start(place, inside.name)
        stop = start + inner.outputs
        part = outer.weight[:, start:stop]
        columns: dict[str, FloatArray] = {}
        at = 0
        for source in place.sources:
            width = self._width(source)
            if source != inside.name:
                columns[source] = columns.get(source, 0.0) + outer.weight[:, at : at + width]
            at += width
        at = 0
        for source in inside.sources:
            width = self._width(source)
            columns[source] = columns.get(source, 0.0) + part @ inner.weight[:, at : at + width]
            at += width
        bias = np.zeros(outer.outputs) if outer.bias is None else outer.bias
        if inner.bias is not None:
            bias = bias + part @ inner.bias
        layer = Linear(np.concatenate(list(columns.values()), axis=1), bias if bias.any() else None)
        self._put(place, replace(place, layer=layer, sources=tuple(columns)))
        self.places.remove(inside)

    def drop_copy(self) -> bool:
        """An affine function that changes nothing is what it reads."""
        for place in self.places:
            layer = place.layer
            if place.name in self.affine and isinstance(layer, Linear) and len(place.sources) == 1:
                is_square = layer.weight.shape[0] == layer.weight.shape[1]
                if (
                    is_square
                    and layer.bias is None
                    and (layer.weight == np.eye(layer.inputs)).all()
                ):
                    self._rename(place.name, place.sources[0])
                    self.places.remove(place)
                    return True
        return False

    def _rename(self, old: str, new: str) -> None:
        self.outputs = [new if name == old else name for name in self.outputs]
        self.places = [
            replace(place, sources=tuple(new if name == old else name for name in place.sources))
            for place in self.places
        ]

    def merge_results(self) -> None:
        """Several Linear layers whose outputs stand side by side as results are one."""
        found = [self._linear(name) for name in self.outputs]
        linear = [one for one in found if one is not None]
        if len(linear) < 2 or len(linear) < len(found):
            return
        if any(self._users(place.name) != 1 for place, _ in linear):
            return
        sources = list(dict.fromkeys(value for place, _ in linear for value in place.sources))
        starts, total = {}, 0
        for value in sources:
            starts[value] = total
            total += self._width(value)
        rows = sum(layer.outputs for _, layer in linear)
        weight, bias, row = np.zeros((rows, total)), np.zeros(rows), 0
        for place, layer in linear:
            at = 0
            for value in place.sources:
                width = self._width(value)
                part = layer.weight[:, at : at + width]
                weight[row : row + layer.outputs, starts[value] : starts[value] + width] += part
                at += width
            if layer.bias is not None:
                bias[row : row + layer.outputs] = layer.bias
            row += layer.outputs
        last = max(self.places.index(place) for place, _ in linear)
        name = self.places[last].name
        merged = Place(name, Linear(weight, bias if bias.any() else None), tuple(sources))
        self.places[last] = merged
        self.places = [p for p in self.places if p is merged or p.name not in self.outputs]
        self.outputs = [name]

    def make_sums(self) -> None:
        """A Linear layer that only adds up whole vectors needs no multiplier."""
        for place in list(self.places):
            layer, count = place.layer, len(place.sources)
            if place.name not in self.affine or type(layer) is not Linear or count < 2:
                continue
            if layer.bias is not None or layer.inputs != count * layer.outputs:
                continue
            if (layer.weight == np.tile(np.eye(layer.outputs), count)).all():
                self._put(place, replace(place, layer=Sum(layer.inputs, count)))

    def make_head(self, activation: str) -> None:
        """A Linear layer that gives all of the result is the head."""
        if len(self.outputs) != 1 or self.outputs[0] not in {one.name for one in self.places}:
            return
        (last,) = (place for place in self.places if place.name == self.outputs[0])
        is_sigma = isinstance(last.layer, Activation) and last.layer.function == "sigma"
        result = last.sources[0] if is_sigma else last.name
        found = self._linear(result)
        if found is None or self._users(result) != 1:
            return
        place, layer = found
        if is_sigma:
            self.places.remove(last)
            activation = "sigmoid"
        head = DenseHead(layer.weight, layer.bias, activation)
        self._put(place, replace(place, name=HEAD, layer=head))
        self.outputs = [HEAD]
