"""A bound on the distance between the bit-true network and its float original, from the types
alone.

Every node gets a bound on |integer result * 2**-frac - real result|, element by element: half a
step where a value is rounded, the slope of a function, the weights' own rounding errors. Nothing is
fitted. The bound holds while nothing saturates, which the caller must see to.
"""

from __future__ import annotations

import numpy as np

from penstock.fixed import requantize
from penstock.ir.evaluate import evaluate

SLOPE = {"sigma": 0.25, "tanh": 1.0}


class BoundedRun:
    """Runs a graph of forward sweeps and carries the bounds from step to step."""

    def __init__(self, graph, float_constants):
        self.graph, self.float_constants = graph, float_constants
        self.state_error: dict[str, np.ndarray] = {}
        self.values: dict[tuple[str, int], np.ndarray] = {}

    def run(self, x, lengths):
        """-> (real-valued outputs, bound), both (lanes, steps, n)."""

        def observe(name, t, raw, counts):
            self.values[name, t] = self.graph[name].tensor.type.to_float(raw)

        result = evaluate(self.graph, x, lengths, observe=observe)
        bounds = [self._step(t) for t in range(x.shape[1])]
        (output,) = self.graph.of_kind("output")
        return output.tensor.type.to_float(result.y), np.stack(bounds, axis=1)

    def _step(self, t):
        error: dict[str, np.ndarray] = {}
        for node in self.graph.nodes():
            error[node.name] = getattr(self, f"_{node.op.kind}")(node, t, error)
        (output,) = self.graph.of_kind("output")
        return error[output.name]

    def _value(self, name, t):
        constant = self.graph[name].tensor.constant
        if constant is not None:
            return self.graph[name].tensor.type.to_float(constant)
        return np.abs(self.values[name, t])

    def _input(self, node, t, error):
        return np.full_like(self.values[node.name, t], node.tensor.type.step / 2)

    def _const(self, node, t, error):
        if node.name not in self.float_constants:  # a table: its error is the function's
            return np.zeros(node.tensor.shape)
        return np.abs(self._value(node.name, t) - self.float_constants[node.name])

    def _state_read(self, node, t, error):
        return self.state_error.get(node.op.state, np.zeros_like(self.values[node.name, t]))

    def _matvec(self, node, t, error):
        total = 0.0
        for x, w in zip(node.inputs[::2], node.inputs[1::2], strict=True):
            weights = np.abs(self._value(w, t))
            total = total + error[x] @ (weights + error[w]).T + self._value(x, t) @ error[w].T
        return total

    def _add(self, node, t, error):
        return sum(error[source] for source in node.inputs)

    def _sub(self, node, t, error):
        return sum(error[source] for source in node.inputs)

    def _mul(self, node, t, error):
        a, b = node.inputs
        a_value, b_value = np.abs(self._value(a, t)), np.abs(self._value(b, t))
        return a_value * error[b] + b_value * error[a] + error[a] * error[b]

    def _requant(self, node, t, error):
        (source,) = node.inputs
        kind, before = node.op.to, self.graph[source].tensor.type
        raw = np.rint(np.ldexp(self.values[source, t], before.frac)).astype(np.int64)
        assert (np.abs(requantize(raw, before.frac, kind)) < kind.raw_max).all(), "it saturates"
        return error[source] + kind.step / 2

    def _lut(self, node, t, error):
        return SLOPE[node.op.function] * error[node.inputs[0]] + node.op.to.step

    def _state_write(self, node, t, error):
        self.state_error[node.op.state] = error[node.inputs[0]]
        return error[node.inputs[0]]

    def _output(self, node, t, error):
        return np.concatenate([error[source] for source in node.inputs], axis=1)
