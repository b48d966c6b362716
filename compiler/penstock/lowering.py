"""A RecurrentModel -> one Graph: which layer runs in which sweep.

Forward directions share a sweep as long as none waits for a backward one, which needs a sweep of
its own (the frames between sweeps are buffered), as does what follows it. A head at the end of the
sequence runs in a ``once`` sweep.
"""

from __future__ import annotations

from penstock.ir import Direction, Graph
from penstock.ir.verify import verify
from penstock.layers.build import Builder, Source, Tables
from penstock.layers.ranges import Ranges
from penstock.layers.types import Types
from penstock.model import HEAD, RecurrentModel, layer_name
from penstock.ops import Capture, Input, Output
from penstock.settings import Precision


def lower(model: RecurrentModel, ranges: Ranges, precision: Precision) -> Graph:
    """Quantize ``model`` by ``ranges`` and ``precision`` into a verified Graph."""
    types = Types(precision, ranges)
    graph = Graph(model.name, [Direction.FORWARD])
    graph.add("x", Input(model.inputs, types.input()), sweep=0)
    sources: list[Source] = [("x", 0, model.inputs)]
    tables: Tables = {}
    for index, place in enumerate(model.layers):
        results = []
        for suffix, layer in place.directions:
            if suffix:
                _new_sweep(graph, Direction.BACKWARD)
            elif index and model.layers[index - 1].backward is not None:
                _new_sweep(graph, Direction.FORWARD)
            name = layer_name(index, suffix)
            build = Builder(graph, types, name, len(graph.sweeps) - 1, tables)
            results += layer.lower(build, sources)
        sources = _columns(graph, results)
    _lower_end(graph, model, types, sources, tables)
    types.check_overrides()
    verify(graph)
    return graph


def _lower_end(
    graph: Graph,
    model: RecurrentModel,
    types: Types,
    sources: list[Source],
    tables: Tables,
) -> None:
    head, results = model.head, [source for source, _, _ in sources]
    if head is not None and head.at != "step":
        captured = []
        for name in results:
            capture = Capture(f"{name}.captured", "final" if head.at == "final" else "last")
            captured.append(graph.add(capture.name, capture, name, sweep=graph[name].sweep))
        _new_sweep(graph, Direction.ONCE)
        sources = _columns(graph, captured)
    elif model.layers and model.layers[-1].backward is not None:
        _new_sweep(graph, Direction.FORWARD)
    sweep = len(graph.sweeps) - 1
    if head is not None:
        results = head.lower(Builder(graph, types, HEAD, sweep, tables), sources)
    graph.add("y", Output(), *results, sweep=sweep)


def _new_sweep(graph: Graph, direction: Direction) -> None:
    graph.sweeps.append(direction)


def _columns(graph: Graph, names: list[str]) -> list[Source]:
    start, sources = 0, []
    for name in names:
        stop = start + graph[name].tensor.length
        sources.append((name, start, stop))
        start = stop
    return sources
