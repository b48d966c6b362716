"""A graph executed by torch on real numbers: the interpreter's values, with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.compress.straight_through import fake_quantize, look_up
from penstock.ir import Direction, Graph, Node


class Execution:
    """One run over a batch. x: (sequences, steps, inputs), float64; lengths: (sequences).

    constants: the real values of the trained ones; log2_ranges: learned, by tensor name. ``run``
    gives (sequences, frames, outputs). An operation is the method of its kind. frames: of each
    step, the values that a later sweep reads.
    """

    def __init__(
        self,
        graph: Graph,
        constants: Mapping[str, Tensor],
        log2_ranges: Mapping[str, Tensor],
        x: Tensor,
        lengths: Tensor,
    ) -> None:
        self.graph, self.x, self.lengths = graph, x, lengths
        self.log2_ranges = log2_ranges
        self.shortest = int(lengths.min())
        self.constants = dict(constants)
        for node in graph.of_kind("const"):
            if node.name not in self.constants and len(node.tensor.shape) == 1:
                self.constants[node.name] = _real(node, x)
        self.frames: list[dict[str, Tensor]] = [{} for _ in range(x.shape[1])]
        self.state = {
            _state(node): x.new_zeros(len(x), node.tensor.length)
            for node in graph.of_kind("state_read") + graph.of_kind("capture")
        }
        self.outputs: list[Tensor] = []
        self.siblings = _siblings(graph)
        self.read_later = _read_later(graph)
        self.stacked: dict[tuple[str, ...], list[Tensor]] = {}
        self.slopes: dict[str, Tensor] = {}

    def run(self) -> Tensor:
        """All sweeps over all steps."""
        steps = self.x.shape[1]
        for sweep, direction in enumerate(self.graph.sweeps):
            order = [steps - 1] if direction is Direction.ONCE else list(range(steps))
            for t in reversed(order) if direction is Direction.BACKWARD else order:
                self._step(sweep, t)
        return torch.stack(self.outputs, dim=1)

    def _step(self, sweep: int, t: int) -> None:
        reached = 0 if self.graph.sweeps[sweep] is Direction.ONCE else t
        everybody = reached < self.shortest
        self.valid = None if everybody else (self.lengths > reached)[:, None]
        self.last = (self.lengths == t + 1)[:, None]
        values = self.frames[t]
        for node in self.graph.nodes(sweep):
            if node.op.kind == "const" or node.name in values:
                continue
            operands = [self._operand(values, source) for source in node.inputs]
            values[node.name] = getattr(self, f"_{node.op.kind}")(node, t, *operands)
        self.frames[t] = {name: values[name] for name in self.read_later[sweep] & values.keys()}

    def _operand(self, values: Mapping[str, Tensor], source: str) -> Any:
        node = self.graph[source]
        if node.op.kind == "capture":
            return self.state[_state(node)]
        return values[source] if source in values else self.constants[source]

    def _where_valid(self, new: Tensor, old: Tensor) -> Tensor:
        return new if self.valid is None else torch.where(self.valid, new, old)

    def _input(self, node: Node, t: int) -> Tensor:
        return self._to_type(node, self.x[:, t])

    def _to_type(self, node: Node, x: Tensor) -> Tensor:
        return fake_quantize(x, node.tensor.type, self.log2_ranges.get(node.name))

    def _state_read(self, node: Node, t: int) -> Tensor:
        return self.state[_state(node)]

    def _matvec(self, node: Node, t: int, *operands: Tensor) -> Tensor:
        """The sums of all MatVecs of the same vectors (four gates) by one product of each vector:
        in float64 they are exact in any order."""
        siblings = self.siblings[node.name]
        if siblings not in self.stacked:
            columns = zip(*(self.graph[name].inputs[1::2] for name in siblings), strict=True)
            self.stacked[siblings] = [
                torch.cat([self.constants[name] for name in names]).T for names in columns
            ]
        total: Tensor | None = None
        for x, w in zip(operands[::2], self.stacked[siblings], strict=True):
            total = x @ w if total is None else torch.addmm(total, x, w)
        assert total is not None
        rows = [self.graph[name].tensor.length for name in siblings]
        self.frames[t].update(zip(siblings, total.split(rows, dim=1), strict=True))
        return self.frames[t][node.name]

    def _add(self, node: Node, t: int, *operands: Tensor) -> Tensor:
        return sum(operands[1:], operands[0])

    def _mul(self, node: Node, t: int, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def _scale(self, node: Node, t: int, x: Tensor, exponent: Tensor) -> Tensor:
        return x * torch.exp2(-exponent)

    def _requant(self, node: Node, t: int, x: Tensor) -> Tensor:
        return self._to_type(node, x)

    def _lut(
        self, node: Node, t: int, x: Tensor, table: Tensor, rise: Tensor | None = None
    ) -> Tensor:
        bits, kind = vars(node.op)["interpolate_bits"], self.graph[node.inputs[0]].tensor.type
        raw = (x.detach() * 2.0**kind.frac).to(torch.int64)
        index = (raw >> bits) & (len(table) - 1)
        value = look_up(index, x, table, self._slopes(node, table))
        if rise is None:
            return value
        low = (raw & ((1 << bits) - 1)) * 2.0**-bits
        return fake_quantize(value + rise[index] * low, node.tensor.type)

    def _slopes(self, node: Node, table: Tensor) -> Tensor:
        """The function's slope at each entry, by its value: s (1 - s), and 1 - t^2."""
        if node.name not in self.slopes:
            is_sigma = vars(node.op)["function"] == "sigma"
            self.slopes[node.name] = table * (1 - table) if is_sigma else 1 - table * table
        return self.slopes[node.name]

    def _state_write(self, node: Node, t: int, x: Tensor) -> Tensor:
        self.state[_state(node)] = self._where_valid(x, self.state[_state(node)])
        return x

    def _capture(self, node: Node, t: int, x: Tensor) -> Tensor:
        before = self.state[_state(node)]
        if vars(node.op)["when"] == "last":
            taken = torch.where(self.last, x, before)
        else:
            taken = self._where_valid(x, before)
        self.state[_state(node)] = taken
        return taken

    def _output(self, node: Node, t: int, *operands: Tensor) -> Tensor:
        frame = torch.cat(operands, dim=1)
        self.outputs.append(self._where_valid(frame, torch.zeros_like(frame)))
        return frame


def _siblings(graph: Graph) -> dict[str, tuple[str, ...]]:
    """MatVec -> all of its sweep that read the same vectors."""
    groups: dict[tuple[Any, ...], tuple[str, ...]] = {}
    keys = {node.name: (node.sweep, *node.inputs[::2]) for node in graph.of_kind("matvec")}
    for name, key in keys.items():
        groups[key] = (*groups.get(key, ()), name)
    return {name: groups[key] for name, key in keys.items()}


def _read_later(graph: Graph) -> list[set[str]]:
    """Of each sweep, what the sweeps behind it read: all else is forgotten with the step."""
    sweeps = range(len(graph.sweeps))
    reads = [{name for node in graph.nodes(k) for name in node.inputs} for k in sweeps]
    captures = {node.name for node in graph.of_kind("capture")}
    return [set().union(*reads[k + 1 :]) - captures for k in sweeps]


def _state(node: Node) -> str:
    fields = vars(node.op)
    return str(fields["name"] if node.op.kind == "capture" else fields["state"])


def _real(constant: Node, like: Tensor) -> Tensor:
    raw = constant.tensor.constant
    assert raw is not None
    values: Any = np.asarray(constant.tensor.type.to_float(raw))
    return torch.tensor(values, device=like.device)
