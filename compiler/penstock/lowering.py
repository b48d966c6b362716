"""A RecurrentModel -> one Graph: which layer runs in which sweep.

A layer runs in the first sweep of its direction in which all that it reads is known: forward layers
share a sweep as long as none waits for a backward one (the frames between sweeps are buffered).
What a sequence has once runs in a ``once`` sweep behind all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.ir import Direction, Graph
from penstock.ir.verify import verify
from penstock.layers.build import Builder, Source, Tables
from penstock.layers.ranges import Ranges
from penstock.layers.types import Types
from penstock.model import INPUT, Place, RecurrentModel
from penstock.ops import Input, Output
from penstock.settings import Precision


def lower(model: RecurrentModel, ranges: Ranges, precision: Precision) -> Graph:
    """Quantize ``model`` by ``ranges`` and ``precision`` into a verified Graph."""
    types = Types(precision, ranges)
    graph = Graph(model.name, [Direction.FORWARD])
    graph.add(INPUT, Input(model.inputs, types.input()), sweep=0)
    lowering = _Lowering(model, graph, types)
    is_once = {place.name: model.is_once(place.name) for place in model.places}
    for wanted in (False, True):  # whatever comes at every step, then what comes once
        for place in model.places:
            if is_once[place.name] == wanted:
                lowering.add(place, wanted)
    lowering.add_output()
    types.check_overrides()
    verify(graph)
    return graph


@dataclass
class _Lowering:
    """Places in the making. nodes: of every value so far, the nodes that make it up, in order."""

    model: RecurrentModel
    graph: Graph
    types: Types
    nodes: dict[str, list[str]] = field(default_factory=lambda: {INPUT: [INPUT]})
    tables: Tables = field(default_factory=dict)

    def add(self, place: Place, is_once: bool) -> None:
        """The operations of a place, in the sweep where it belongs."""
        sources = [node for value in place.sources for node in self.nodes[value]]
        direction = Direction.BACKWARD if place.is_backward else Direction.FORWARD
        sweep = self._sweep(sources, Direction.ONCE if is_once else direction)
        build = Builder(self.graph, self.types, place.name, sweep, self.tables)
        self.nodes[place.name] = place.layer.lower(build, self._columns(sources))
        for name in place.layer.states():
            state = self.graph.states()[f"{place.name}.{name}"]
            self.nodes[f"{place.name}.{name}"] = [state.write.inputs[0]]

    def add_output(self) -> None:
        """The network's result: values of one type, side by side."""
        sources = [node for value in self.model.outputs for node in self.nodes[value]]
        is_once = self.model.is_once(self.model.outputs[0])
        sweep = self._sweep(sources, Direction.ONCE if is_once else Direction.FORWARD)
        found = [self.graph[node].tensor.type for node in sources]
        if len(set(found)) > 1:
            to = self.types.common(found)
            build = Builder(self.graph, self.types, "y", sweep, self.tables)
            sources = [
                node if dtype == to else build.requant(f"part{index}", node, to)
                for index, (node, dtype) in enumerate(zip(sources, found, strict=True))
            ]
        self.graph.add("y", Output(), *sources, sweep=sweep)

    def _sweep(self, sources: list[str], direction: Direction) -> int:
        """The first of this direction in which the sources are known; a new one if there is none.

        A result of one step can't be used earlier than in the sweep that computes it.
        """
        first = max(self.graph[node].sweep for node in sources)
        for index, there in enumerate(self.graph.sweeps):
            if index >= first and there is direction:
                return index
        self.graph.sweeps.append(direction)
        return len(self.graph.sweeps) - 1

    def _columns(self, names: list[str]) -> list[Source]:
        start, sources = 0, []
        for name in names:
            stop = start + self.graph[name].tensor.length
            sources.append((name, start, stop))
            start = stop
        return sources
