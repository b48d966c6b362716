"""The bit-true definition: a graph, executed on integers, node by node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.ir.graph import Direction, Graph
from penstock.ir.op import Value

Observer = Callable[[str, int, IntArray, NDArray[np.bool_]], None]
"""Called with a node's name, the step, its raw values (lanes, n) and which lanes count."""


@dataclass
class Result:
    """What a run leaves. y: (lanes, frames, n); state: name -> (lanes, n). All raw integers."""

    y: IntArray
    state: dict[str, IntArray]


@dataclass
class _Step:
    """One time step of one sweep; implements ``ir.op.Step``."""

    x: IntArray
    valid: NDArray[np.bool_]
    last: NDArray[np.bool_]
    state: dict[str, IntArray]
    outputs: list[IntArray] = field(default_factory=list)

    def read_input(self, name: str) -> IntArray:
        return self.x

    def read_state(self, name: str) -> IntArray:
        return self.state[name]

    def write_state(self, name: str, value: IntArray) -> None:
        self.state[name] = np.where(self.valid, value, self.state[name])

    def write_output(self, name: str, value: IntArray) -> None:
        self.outputs.append(value)


def initial_state(graph: Graph, lanes: int) -> dict[str, IntArray]:
    """All states at zero: name -> (lanes, n)."""
    return {
        vars(node.op)["state"]: np.zeros((lanes, node.tensor.length), dtype=np.int64)
        for node in graph.of_kind("state_read")
    }


def evaluate(
    graph: Graph,
    x: IntArray,
    lengths: IntArray,
    state: dict[str, IntArray] | None = None,
    observe: Observer | None = None,
) -> Result:
    """One run of a graph; see ``Evaluator.run``."""
    return Evaluator(graph).run(x, lengths, state, observe)


class Evaluator:
    """Runs a graph any number of times; what never changes is prepared once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants = {
            node.name: Value(node.tensor.constant, node.tensor.type)
            for node in graph.nodes()
            if node.tensor.constant is not None
        }
        self.read_later = [_read_later(graph, sweep) for sweep in range(len(graph.sweeps))]

    def run(
        self,
        x: IntArray,
        lengths: IntArray,
        state: dict[str, IntArray] | None = None,
        observe: Observer | None = None,
    ) -> Result:
        """Run the whole sequence: x (lanes, steps, inputs) raw, lengths (lanes) <= steps.

        ``state`` is the state before the first step (default: zero) and is not changed.
        """
        graph = self.graph
        lanes, steps, _ = x.shape  # at least one step
        carried = dict(state) if state is not None else initial_state(graph, lanes)
        for node in graph.of_kind("capture"):
            carried[vars(node.op)["name"]] = np.zeros((lanes, node.tensor.length), dtype=np.int64)
        frames: list[dict[str, Value]] = [{} for _ in range(steps)]
        y: list[IntArray] = []
        for sweep, direction in enumerate(graph.sweeps):
            once = direction is Direction.ONCE
            order = [steps - 1 if once else t for t in range(1 if once else steps)]
            for t in reversed(order) if direction is Direction.BACKWARD else order:
                valid = np.asarray(lengths > 0 if once else lengths > t)
                last = np.asarray(lengths == t + 1)
                step = _Step(x[:, t], valid[:, None], last[:, None], carried)
                values = self.constants | frames[t]
                _run_step(graph, sweep, 0 if once else t, step, values, observe)
                kept = self.read_later[sweep] & values.keys()
                frames[t] = {name: values[name] for name in kept}
                y += step.outputs
        captures = {vars(node.op)["name"] for node in graph.of_kind("capture")}
        remaining = {name: value for name, value in carried.items() if name not in captures}
        return Result(np.stack(y, axis=1), remaining)


def _run_step(
    graph: Graph, sweep: int, t: int, step: _Step, values: dict[str, Value],
    observe: Observer | None,
) -> None:  # fmt: skip
    """One step of one sweep. ``values`` holds this step's values of the sweeps before."""
    for node in graph.nodes(sweep):
        if node.name in values:  # a constant
            continue
        try:
            operands = [_operand(graph, step, values, source) for source in node.inputs]
            raw = node.op.eval(step, *operands)
        except Exception as error:
            error.add_note(f"while executing node {node.name} ({node.op.kind}), step {t}")
            raise
        values[node.name] = Value(raw, node.tensor.type)
        if observe is not None:
            counts = step.last if vars(node.op).get("when") == "last" else step.valid
            observe(node.name, t, raw, counts[:, 0])


def _read_later(graph: Graph, sweep: int) -> set[str]:
    """The values of this step that later sweeps read; the others need not be kept."""
    later = range(sweep + 1, len(graph.sweeps))
    return {source for after in later for node in graph.nodes(after) for source in node.inputs}


def _operand(graph: Graph, step: _Step, values: dict[str, Value], source: str) -> Value:
    node = graph[source]
    if node.op.kind == "capture":
        return Value(step.read_state(vars(node.op)["name"]), node.tensor.type)
    return values[source]
