"""RecurrentModel: a trained network as plain arrays, and its float semantics.

What a frontend gives and the compiler lowers. No torch objects, no fixed point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.ops.lut import FUNCTIONS

GATES = ("i", "f", "g", "o")
"""The order of gates in PyTorch's stacked weights."""

Observer = Callable[[str, FloatArray], None]
"""Called with a tensor's name and values, (lanes, n), of every step."""


def _under(prefix: str, observe: Observer) -> Observer:
    return lambda name, values: observe(prefix + name, values)


@dataclass(frozen=True)
class LstmDirection:
    """One direction of one LSTM layer (Sak et al. 2014 with projection and peepholes).

    w_x: gate -> (cells, inputs); w_r: gate -> (cells, outputs); bias: gate -> (cells);
    peephole: i, f, o -> (cells), or empty; projection: (outputs, cells), or None: outputs = cells.
    """

    w_x: dict[str, FloatArray]
    w_r: dict[str, FloatArray]
    bias: dict[str, FloatArray]
    peephole: dict[str, FloatArray] = field(default_factory=dict)
    projection: FloatArray | None = None
    g_function: str = "tanh"

    @property
    def cells(self) -> int:
        """Memory cells of this direction."""
        return int(self.w_x["i"].shape[0])

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        return int(self.w_x["i"].shape[1])

    @property
    def outputs(self) -> int:
        """Width of y: of the projection, or the cells."""
        return self.cells if self.projection is None else int(self.projection.shape[0])

    def step(
        self,
        x: FloatArray,
        y: FloatArray,
        c: FloatArray,
        observe: Observer = lambda name, value: None,
    ) -> tuple[FloatArray, FloatArray]:
        """One time step in float64: x (lanes, inputs), y (lanes, outputs), c (lanes, cells)."""
        sigma = FUNCTIONS["sigma"]
        pre = {g: x @ self.w_x[g].T + y @ self.w_r[g].T + self.bias[g] for g in GATES}
        for gate in ("i", "f"):
            if self.peephole:
                pre[gate] = pre[gate] + self.peephole[gate] * c
        i, f, g = sigma(pre["i"]), sigma(pre["f"]), FUNCTIONS[self.g_function](pre["g"])
        c = f * c + i * g
        if self.peephole:
            pre["o"] = pre["o"] + self.peephole["o"] * c
        m = sigma(pre["o"]) * np.tanh(c)
        y = m if self.projection is None else m @ self.projection.T
        for gate in GATES:
            observe(f"pre_{gate}", pre[gate])
        observe("c", c)
        observe("m", m)
        observe("y", y)
        return y, c


@dataclass(frozen=True)
class LstmLayer:
    """One layer: a forward direction and, if bidirectional, a backward one."""

    forward: LstmDirection
    backward: LstmDirection | None = None

    @property
    def directions(self) -> list[tuple[str, LstmDirection]]:
        """(name suffix, direction): PyTorch's order."""
        both = [("", self.forward)]
        return [*both, ("_reverse", self.backward)] if self.backward else both

    @property
    def outputs(self) -> int:
        """Width of the layer's output frame."""
        return sum(direction.outputs for _, direction in self.directions)


@dataclass(frozen=True)
class DenseHead:
    """y = W x + b, then ``activation``: none, sigmoid or argmax.

    at: ``step``, for every step; ``last``, for the last step's frame (output[:, -1]); ``final``,
    for
    the final state of each direction (h_n). Without a backward direction the last two are the same.
    """

    weight: FloatArray
    bias: FloatArray | None
    at: str = "last"
    activation: str = "none"


@dataclass(frozen=True)
class RecurrentModel:
    """A stack of LSTM layers with an optional dense head.

    notes: what the frontend left to the host or wants the user to know, a sentence each.
    batch_first: how the source model orders its arrays; ``run`` follows it.
    """

    layers: list[LstmLayer]
    head: DenseHead | None = None
    name: str = "lstm"
    batch_first: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        return self.layers[0].forward.inputs

    def weights(self) -> dict[str, FloatArray]:
        """All weight matrices by the names the compiler gives them (``l0.W_ix``, ``head.W``)."""
        found = {}
        for index, layer in enumerate(self.layers):
            for suffix, part in layer.directions:
                prefix = f"l{index}{suffix}"
                for gate in GATES:
                    found[f"{prefix}.W_{gate}x"] = part.w_x[gate]
                    found[f"{prefix}.W_{gate}r"] = part.w_r[gate]
                if part.projection is not None:
                    found[f"{prefix}.W_ym"] = part.projection
        if self.head is not None:
            found["head.W"] = self.head.weight
        return found

    def run(
        self,
        x: FloatArray,
        lengths: IntArray | None = None,
        observe: Observer = lambda name, value: None,
    ) -> FloatArray:
        """Float64 reference: x (lanes, steps, inputs) -> (lanes, steps or 1, outputs), zero state.

        Semantics of packed ``torch.nn.LSTM``: steps beyond a lane's length leave its state alone
        and give zeros. A head gives its logits; ``activation`` is not applied.
        """
        lanes, steps, _ = x.shape
        length = np.full(lanes, steps) if lengths is None else np.asarray(lengths)
        frames = np.asarray(x, dtype=np.float64)
        finals: list[FloatArray] = []
        observe("x", frames.reshape(lanes * steps, -1))
        for index, layer in enumerate(self.layers):
            parts = []
            finals = []
            for suffix, part in layer.directions:
                y = np.zeros((lanes, part.outputs))
                c = np.zeros((lanes, part.cells))
                result = np.zeros((lanes, steps, part.outputs))
                name = f"l{index}{suffix}."
                for t in range(steps) if not suffix else range(steps - 1, -1, -1):
                    valid = (t < length)[:, None]
                    y_new, c_new = part.step(frames[:, t], y, c, _under(name, observe))
                    y, c = np.where(valid, y_new, y), np.where(valid, c_new, c)
                    result[:, t] = np.where(valid, y_new, 0.0)
                parts.append(result)
                finals.append(y)
            frames = np.concatenate(parts, axis=2)
        if self.head is None:
            return frames
        if self.head.at != "step":
            last = frames[np.arange(lanes), np.maximum(length - 1, 0)][:, None]
            is_final = self.head.at == "final"
            frames = np.concatenate(finals, axis=1)[:, None] if is_final else last
        bias = 0.0 if self.head.bias is None else self.head.bias
        logits: FloatArray = frames @ self.head.weight.T + bias
        observe("head.logits", logits.reshape(-1, logits.shape[-1]))
        return logits
