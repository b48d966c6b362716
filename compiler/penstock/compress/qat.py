"""Quantization-aware training: the compiled graph itself, executed and differentiated by torch.

Forward values are exactly those of the integer interpreter: real numbers that are multiples of each
type's step, in float64, which holds every exact sum (proven below 2**53). Backward, rounding passes
the gradient on (Bengio et al. 2013), saturation stops it, a table has the slope of its function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penstock.calibration import Ranges
from penstock.fixed import Fixed, FloatArray, Overflow, rounds_up
from penstock.ir import Direction, Graph, Node
from penstock.layers import lower
from penstock.layers.build import parts_of
from penstock.model import DenseHead, LstmDirection, LstmLayer, RecurrentModel
from penstock.settings import Precision


def fake_quantize(x: Tensor, to: Fixed) -> Tensor:
    """``x`` (float64, real values) at the precision of ``to``.

    The gradient is 1 inside its range and 0 outside. The rounding and overflow modes are those of
    ``Fixed.quantize``, to which it is tested equal.
    """
    scale = 2.0**to.frac
    scaled = x.detach() * scale
    floor = torch.floor(scaled)
    raw = floor + rounds_up(to.rounding, floor, scaled - floor, 0.5)
    value = _overflowed(raw, to) / scale
    inside = x.clamp(to.raw_min / scale, to.raw_max / scale)
    return inside + (value - inside).detach()


def _overflowed(raw: Tensor, to: Fixed) -> Tensor:
    lo, hi = to.raw_min, to.raw_max
    if to.overflow is Overflow.SAT:
        return raw.clamp(lo, hi)
    if to.overflow is Overflow.SAT_SYM:
        return raw.clamp(-hi if to.signed and to.width > 1 else lo, hi)
    if to.overflow is Overflow.SAT_ZERO:
        return torch.where((raw < lo) | (raw > hi), torch.zeros_like(raw), raw)
    return torch.remainder(raw - lo, 2.0**to.width) + lo


class QuantizedNetwork(nn.Module):
    """A trained float model with the arithmetic of its compiled graph.

    Its parameters are the float weights; zeros among them are kept zero if ``keep_zeros`` (a
    pruned model stays pruned). ``forward`` takes (sequences, steps, inputs) and lengths
    (sequences), and gives what the interpreter gives, as real numbers. After training, ``to_model``
    and ``types`` compile to the same integers.
    """

    def __init__(
        self,
        model: RecurrentModel,
        ranges: Ranges,
        precision: Precision | None = None,
        keep_zeros: bool = True,
    ) -> None:
        super().__init__()
        if model.head is not None and model.head.activation == "argmax":  # trained on its logits
            model = replace(model, head=replace(model.head, activation="none"))
        self.model, self.ranges = model, ranges
        self.precision = precision or Precision()
        self.graph = lower(model, ranges, self.precision)
        self.weights = nn.ParameterDict()
        for name, values in float_constants(model, self.graph).items():
            self.weights[_key(name)] = nn.Parameter(torch.tensor(values, dtype=torch.float64))
            if keep_zeros and values.ndim == 2:
                self.register_buffer(f"mask_{_key(name)}", torch.tensor(values != 0))

    def retype(self) -> None:
        """Place the binary points of the weights anew, for what they have become."""
        self.graph = lower(self.to_model(), self.ranges, self.precision)

    @property
    def types(self) -> dict[str, Fixed]:
        """Types of all weights and biases: overrides under which ``to_model`` compiles the same."""
        return {name: self.graph[name].tensor.type for name in self.constants()}

    def constants(self) -> list[str]:
        """Names of the graph's trained constants."""
        names = [node.name for node in self.graph.of_kind("const")]
        return [name for name in names if _key(name) in self.weights]

    def effective(self, name: str) -> Tensor:
        """The quantized, masked values of a constant, differentiable."""
        return fake_quantize(self._masked(name), self.graph[name].tensor.type)

    def _masked(self, name: str) -> Tensor:
        values: Tensor = self.weights[_key(name)]
        mask = getattr(self, f"mask_{_key(name)}", None)
        return values if mask is None else values * mask

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(sequences, steps, inputs) real frames -> (sequences, frames, outputs)."""
        frames = x.to(torch.float64)
        steps = frames.shape[1]
        if lengths is None:
            lengths = torch.full((len(frames),), steps, device=frames.device)
        run = _Run(self, frames, lengths)
        for sweep, direction in enumerate(self.graph.sweeps):
            order = [steps - 1] if direction is Direction.ONCE else list(range(steps))
            for t in reversed(order) if direction is Direction.BACKWARD else order:
                run.step(sweep, t)
        return torch.stack(run.outputs, dim=1)

    def to_model(self, quantized: bool = False) -> RecurrentModel:
        """The float model as trained, pruned weights at zero; or with the weights as quantized."""
        trained = {}
        for name in self.constants():
            values = self.effective(name) if quantized else self._masked(name)
            trained[name] = values.detach().cpu().numpy()
        return with_constants(self.model, trained)


class _Run:
    """One forward pass: the values of every step, and the state."""

    def __init__(self, network: QuantizedNetwork, x: Tensor, lengths: Tensor) -> None:
        self.network, self.graph, self.x, self.lengths = network, network.graph, x, lengths
        self.outputs: list[Tensor] = []
        constants = {name: network.effective(name) for name in network.constants()}
        self.values: list[dict[str, Tensor]] = [dict(constants) for _ in range(x.shape[1])]
        self.state: dict[str, Tensor] = {}
        for node in self.graph.of_kind("state_read") + self.graph.of_kind("capture"):
            self.state[_state(node)] = x.new_zeros(len(x), node.tensor.length)

    def step(self, sweep: int, t: int) -> None:
        once = self.graph.sweeps[sweep] is Direction.ONCE
        self.valid = (self.lengths > (0 if once else t))[:, None]
        self.last = (self.lengths == t + 1)[:, None]
        for node in self.graph.nodes(sweep):
            if node.op.kind == "const":
                continue
            operands = [self._operand(t, source) for source in node.inputs]
            self.values[t][node.name] = getattr(self, f"_{node.op.kind}")(node, t, *operands)

    def _operand(self, t: int, source: str) -> Any:
        node = self.graph[source]
        if node.op.kind == "capture":
            return self.state[_state(node)]
        return self.values[t].get(source, node)  # a table stays a node

    def _input(self, node: Node, t: int) -> Tensor:
        return fake_quantize(self.x[:, t], node.tensor.type)

    def _state_read(self, node: Node, t: int) -> Tensor:
        return self.state[_state(node)]

    def _matvec(self, node: Node, t: int, *operands: Tensor) -> Tensor:
        pairs = zip(operands[::2], operands[1::2], strict=True)
        return torch.stack([x @ w.T for x, w in pairs]).sum(dim=0)

    def _add(self, node: Node, t: int, *operands: Tensor) -> Tensor:
        return sum(operands[1:], operands[0])

    def _mul(self, node: Node, t: int, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def _requant(self, node: Node, t: int, x: Tensor) -> Tensor:
        return fake_quantize(x, node.tensor.type)

    def _lut(self, node: Node, t: int, x: Tensor, table: Node, rise: Node | None = None) -> Tensor:
        op, kind = vars(node.op), self.graph[node.inputs[0]].tensor.type
        bits = op["interpolate_bits"]
        raw = torch.round(x.detach() * 2.0**kind.frac).to(torch.int64)
        index = (raw >> bits) & (table.tensor.length - 1)
        value = _real(table, x)[index]
        if rise is not None:
            low = (raw & ((1 << bits) - 1)) * 2.0**-bits
            value = fake_quantize(value + _real(rise, x)[index] * low, node.tensor.type)
        smooth = torch.sigmoid(x) if op["function"] == "sigma" else torch.tanh(x)
        return smooth + (value - smooth).detach()

    def _state_write(self, node: Node, t: int, x: Tensor) -> Tensor:
        self.state[_state(node)] = torch.where(self.valid, x, self.state[_state(node)])
        return x

    def _capture(self, node: Node, t: int, x: Tensor) -> Tensor:
        taken = self.last if vars(node.op)["when"] == "last" else self.valid
        self.state[_state(node)] = torch.where(taken, x, self.state[_state(node)])
        return self.state[_state(node)]

    def _output(self, node: Node, t: int, *operands: Tensor) -> Tensor:
        frame = torch.cat(operands, dim=1)
        self.outputs.append(torch.where(self.valid, frame, torch.zeros_like(frame)))
        return frame


def _state(node: Node) -> str:
    fields = vars(node.op)
    return str(fields["name"] if node.op.kind == "capture" else fields["state"])


def _real(constant: Node, like: Tensor) -> Tensor:
    raw = constant.tensor.constant
    assert raw is not None
    return torch.tensor(constant.tensor.type.to_float(raw), device=like.device)


def _key(name: str) -> str:
    return name.replace(".", "__")


def float_constants(model: RecurrentModel, graph: Graph) -> dict[str, FloatArray]:
    """The float values behind the graph's constants, tables apart: node name -> values."""
    found: dict[str, FloatArray] = {}
    for name, values in _named(model).items():
        start = 0
        for node in parts_of(graph, name):
            stop = start + node.tensor.shape[-1]
            found[node.name] = values[..., start:stop]
            start = stop
    return found


def _named(model: RecurrentModel) -> dict[str, FloatArray]:
    """Weights, biases and peepholes of a model by the compiler's names."""
    found = dict(model.weights())
    for index, layer in enumerate(model.layers):
        for suffix, part in layer.directions:
            prefix = f"l{index}{suffix}"
            found.update({f"{prefix}.b_{gate}": bias for gate, bias in part.bias.items()})
            found.update({f"{prefix}.w_{gate}c": w for gate, w in part.peephole.items()})
    if model.head is not None and model.head.bias is not None:
        found["head.b"] = model.head.bias
    return found


def with_constants(model: RecurrentModel, trained: dict[str, FloatArray]) -> RecurrentModel:
    """The same model with other values; ``trained`` by node name, split matrices in parts."""

    def value(name: str, old: FloatArray) -> FloatArray:
        if name in trained:
            return trained[name]
        parts: list[FloatArray] = []
        while f"{name}{len(parts)}" in trained:
            parts.append(trained[f"{name}{len(parts)}"])
        return np.concatenate(parts, axis=1) if parts else old

    def direction(prefix: str, part: LstmDirection) -> LstmDirection:
        return LstmDirection(
            {gate: value(f"{prefix}.W_{gate}x", w) for gate, w in part.w_x.items()},
            {gate: value(f"{prefix}.W_{gate}r", w) for gate, w in part.w_r.items()},
            {gate: value(f"{prefix}.b_{gate}", b) for gate, b in part.bias.items()},
            {gate: value(f"{prefix}.w_{gate}c", w) for gate, w in part.peephole.items()},
            None if part.projection is None else value(f"{prefix}.W_ym", part.projection),
            part.g_function,
        )

    layers = []
    for index, layer in enumerate(model.layers):
        parts = [direction(f"l{index}{suffix}", part) for suffix, part in layer.directions]
        layers.append(LstmLayer(*parts))
    head = model.head
    if head is not None:
        bias = None if head.bias is None else value("head.b", head.bias)
        head = DenseHead(value("head.W", head.weight), bias, head.at, head.activation)
    return replace(model, layers=layers, head=head)
