"""Where the boxes of one phase stand: layers from top to bottom, few crossings, straight chains.

By grandalf's Sugiyama layout, the only library for it that is plain Python: nothing to build, no
``dot`` to install, loaded in milliseconds. (networkx's ``multipartite_layout`` spreads each layer
evenly and neither orders it nor knows how wide a box is; networkx alone takes 0.2 s to load.)
The layers are ours; the library orders them and finds the abscissas.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from grandalf.graphs import Edge, Graph, Vertex
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
    vertices = {name: Vertex(name) for name in widths}
    for name, vertex in vertices.items():
        vertex.view = _View(widths[name])
    edges = {pair: Edge(vertices[pair[0]], vertices[pair[1]]) for pair in pairs}
    x: dict[str, float] = {}
    bends: dict[Pair, dict[int, float]] = {}
    right = 0.0
    for core in Graph(list(vertices.values()), list(edges.values())).C:
        places, own_bends, width = _component(core, layer_of)
        x |= {name: right + place for name, place in places.items()}
        for pair, passed in own_bends.items():
            bends[pair] = {layer: right + place for layer, place in passed.items()}
        right += width + SPACE
    return Layered({name: x[name] for name in widths}, bends, max(right - SPACE, 0.0))


def _component(
    core: Any, layer_of: Mapping[str, int]
) -> tuple[dict[str, float], dict[Pair, dict[int, float]], float]:
    """(middles, bends, width) of what hangs together, from x = 0 on."""
    layout = _Sugiyama(core, layer_of)
    with _deep_enough(3 * (core.order() + len(layer_of)) * max(core.norm(), 1)):
        layout.init_all(roots=[], inverted_edges=[])
        layout.draw(ROUNDS)
    everything = [vertex for layer in layout.layers for vertex in layer]
    left = min(vertex.view.xy[0] - vertex.view.w / 2 for vertex in everything)
    right = max(vertex.view.xy[0] + vertex.view.w / 2 for vertex in everything)
    places = {vertex.data: vertex.view.xy[0] - left for vertex in core.sV}
    bends = {
        (edge.v[0].data, edge.v[1].data): {
            layer_of[edge.v[0].data] + rank - layout.grx[edge.v[0]].rank: bend.view.xy[0] - left
            for rank, bend in sorted(passed.items())
            if bend not in edge.v
        }
        for edge, passed in layout.ctrls.items()
    }
    return places, bends, right - left


@contextmanager
def _deep_enough(calls: int) -> Iterator[None]:
    """grandalf places boxes by calls within calls, one for each that pushes another aside."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, min(before + calls, 50_000)))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
