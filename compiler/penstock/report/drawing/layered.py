"""Where the boxes of one phase stand: layers from top to bottom, few crossings, straight chains.

By grandalf's Sugiyama layout, the only library for it that is plain Python: nothing to build, no
``dot`` to install, loaded in milliseconds. (networkx's ``multipartite_layout`` spreads each layer
evenly and neither orders it nor knows how wide a box is; networkx alone takes 0.2 s to load.)
The layers are ours; the library orders them and finds the abscissas. Two things are done around it:
parts that hang together are found here, for its ``Graph`` keeps their edges in a set, and so in no
order; and what its mean of four placements lets overlap is moved apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from grandalf.graphs import Edge, Vertex, graph_core
from grandalf.layouts import Layer, SugiyamaLayout

Pair = tuple[str, str]
"""The names of an edge's ends."""

SPACE = 18
"""Between two boxes of a layer, in pixels."""
BEND_WIDTH = 14
"""That an edge takes where it passes a layer."""
ROUNDS = 4
"""In which the layers are ordered, up and down."""


@dataclass(frozen=True)
class Layered:
    """x: of each box's middle, in pixels from the left edge. bends: of an edge that passes layers,
    layer -> where it does. width: of everything."""

    x: dict[str, float]
    bends: dict[Pair, dict[int, float]]
    width: float


@dataclass
class _View:
    """The size of a box as grandalf reads it, and where it leaves its middle."""

    w: float
    h: float = 1.0
    xy: tuple[float, float] = (0.0, 0.0)


class _Sugiyama(SugiyamaLayout):  # type: ignore[misc]
    """With the layers that it is given. layer_of: vertex's name -> its layer."""

    def __init__(self, core: Any, layer_of: Mapping[str, int]) -> None:
        super().__init__(core)
        self.layer_of, self.xspace, self.dw = layer_of, SPACE, BEND_WIDTH

    def rank_all(self, roots: Any, optimize: bool = False) -> None:
        """In place of its own ranks, counted from the component's first layer."""
        first = min(self.layer_of[vertex.data] for vertex in self.g.sV)
        last = max(self.layer_of[vertex.data] for vertex in self.g.sV)
        self.layers = [Layer() for _ in range(first, last + 1)]
        for vertex in self.g.sV:
            self.grx[vertex].rank = self.layer_of[vertex.data] - first
            self.layers[self.layer_of[vertex.data] - first].append(vertex)


def layers_of(names: Iterable[str], pairs: Iterable[Pair]) -> dict[str, int]:
    """The layer of each box: one below the last that it reads; what reads nothing, right above the
    first that reads it. names: in an order in which readers come behind what they read."""
    names, pairs = list(names), list(pairs)
    reads: dict[str, list[str]] = {name: [] for name in names}
    read_by: dict[str, list[str]] = {name: [] for name in names}
    for source, target in pairs:
        reads[target].append(source)
        read_by[source].append(target)
    found: dict[str, int] = {}
    for name in names:
        found[name] = max((found[source] + 1 for source in reads[name]), default=0)
    for name in names:
        if not reads[name] and read_by[name]:
            found[name] = min(found[target] for target in read_by[name]) - 1
    return found


def layered(
    widths: Mapping[str, float], pairs: Iterable[Pair], layer_of: Mapping[str, int]
) -> Layered:
    """Arrange boxes of these widths in their layers; parts that hang together, side by side.

    pairs: each edge once, from a box to one in a later layer.
    """
    pairs = list(pairs)
    x: dict[str, float] = {}
    bends: dict[Pair, dict[int, float]] = {}
    right = 0.0
    for names in _parts(widths, pairs):
        own = [pair for pair in pairs if pair[0] in names]
        places, own_bends, width = _part({name: widths[name] for name in names}, own, layer_of)
        x |= {name: right + place for name, place in places.items()}
        for pair, passed in own_bends.items():
            bends[pair] = {layer: right + place for layer, place in passed.items()}
        right += width + SPACE
    return Layered({name: x[name] for name in widths}, bends, max(right - SPACE, 0.0))


def _parts(names: Iterable[str], pairs: Iterable[Pair]) -> list[list[str]]:
    """The boxes that hang together, in the order of their first ones."""
    part_of = {name: [name] for name in names}
    for source, target in pairs:
        mine, other = part_of[source], part_of[target]
        if mine is not other:
            mine += other
            part_of |= dict.fromkeys(other, mine)
    parts = {id(part): part for part in part_of.values()}
    return list(parts.values())


def _part(
    widths: Mapping[str, float], pairs: list[Pair], layer_of: Mapping[str, int]
) -> tuple[dict[str, float], dict[Pair, dict[int, float]], float]:
    """(middles, bends, width) of boxes that hang together, from x = 0 on."""
    vertices = {name: Vertex(name) for name in widths}
    for name, vertex in vertices.items():
        vertex.view = _View(widths[name])
    edges = {pair: Edge(vertices[pair[0]], vertices[pair[1]]) for pair in pairs}
    layout = _Sugiyama(graph_core([*vertices.values()], [*edges.values()]), layer_of)
    lengths = (layer_of[target] - layer_of[source] for source, target in pairs)
    with _deep_enough(len(widths) + sum(lengths)):
        layout.init_all(roots=[], inverted_edges=[])
        layout.draw(ROUNDS)
    x: dict[Any, float] = {}
    for layer in layout.layers:
        places = _apart([vertex.view.xy[0] for vertex in layer], [v.view.w for v in layer])
        x |= dict(zip(layer, places, strict=True))
    left = min(place - vertex.view.w / 2 for vertex, place in x.items())
    right = max(place + vertex.view.w / 2 for vertex, place in x.items())
    bends = {
        pair: {
            layer_of[pair[0]] + rank - layout.grx[edge.v[0]].rank: x[bend] - left
            for rank, bend in sorted(layout.ctrls[edge].items())
            if bend not in edge.v
        }
        for pair, edge in edges.items()
        if edge in layout.ctrls
    }
    return {name: x[vertices[name]] - left for name in widths}, bends, right - left


def _apart(x: list[float], widths: list[float]) -> list[float]:
    """The places closest to these (least squares) in which boxes in this order do not overlap."""
    offsets = [0.0]
    for before, width in pairwise(widths):
        offsets.append(offsets[-1] + (before + width) / 2 + SPACE)
    groups: list[tuple[float, int]] = []  # the mean of neighbours that touch, and how many
    for place, offset in zip(x, offsets, strict=True):
        mean, count = place - offset, 1
        while groups and groups[-1][0] > mean:
            other, many = groups.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        groups.append((mean, count))
    means = [mean for mean, count in groups for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


@contextmanager
def _deep_enough(calls: int) -> Iterator[None]:
    """grandalf places boxes by calls within calls, one for each that pushes another aside."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, min(before + calls, 50_000)))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
