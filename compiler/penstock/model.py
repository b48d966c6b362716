"""RecurrentModel: a trained network as plain arrays, and its float semantics.

What a frontend gives and the compiler lowers. No torch objects, no fixed point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from penstock.fixed import FloatArray, IntArray
from penstock.layers.head import DenseHead
from penstock.layers.layer import Layer, Observe, matrices_of

HEAD = "head"
"""The head's name; those of the other layers are ``layer_name``'s."""


def layer_name(index: int, suffix: str) -> str:
    """The name of a direction of layer ``index``: ``l0``, ``l0_reverse``."""
    return f"l{index}{suffix}"


@dataclass(frozen=True)
class Stacked:
    """A layer in its place in the stack; ``backward``: of a bidirectional one, the other direction.

    Both read the same frames; their outputs stand side by side, forward first.
    """

    forward: Layer
    backward: Layer | None = None

    @property
    def directions(self) -> list[tuple[str, Layer]]:
        """(name suffix, direction): PyTorch's order."""
        both = [("", self.forward)]
        return [*both, ("_reverse", self.backward)] if self.backward else both

    @property
    def outputs(self) -> int:
        """Width of the output frame."""
        return sum(direction.outputs for _, direction in self.directions)


@dataclass(frozen=True)
class RecurrentModel:
    """A stack of layers with an optional dense head; at least one of the two.

    notes: what the frontend left to the host or wants the user to know, a sentence each.
    batch_first: how the source model orders its arrays; ``run`` follows it.
    """

    layers: list[Stacked]
    head: DenseHead | None = None
    name: str = "lstm"
    batch_first: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        _, first = next(self.named_layers())
        return first.inputs

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Every direction of every layer, then the head, by the names the compiler gives them."""
        for index, place in enumerate(self.layers):
            for suffix, layer in place.directions:
                yield layer_name(index, suffix), layer
        if self.head is not None:
            yield HEAD, self.head

    def weights(self) -> dict[str, FloatArray]:
        """All weight matrices by the names the compiler gives them (``l0.W_ix``, ``head.W``)."""
        return {
            f"{layer}.{name}": values
            for layer, part in self.named_layers()
            for name, values in matrices_of(part).items()
        }

    def run(
        self,
        x: FloatArray,
        lengths: IntArray | None = None,
        observe: Observe = lambda name, value: None,
    ) -> FloatArray:
        """Float64 reference: x (lanes, steps, inputs) -> (lanes, steps or 1, outputs), zero state.

        Semantics of packed ``torch.nn.LSTM``: steps beyond a lane's length leave its state alone
        and give zeros. A head gives its logits; ``activation`` is not applied.
        """
        lanes, steps, _ = x.shape
        length = np.full(lanes, steps) if lengths is None else np.asarray(lengths)
        frames = np.asarray(x, dtype=np.float64)
        finals = [frames[np.arange(lanes), np.maximum(length - 1, 0)]]
        observe("x", frames.reshape(lanes * steps, -1))
        for index, place in enumerate(self.layers):
            parts, finals = [], []
            for suffix, layer in place.directions:
                watch = _under(layer_name(index, suffix), observe)
                part, final = _run_direction(layer, frames, length, bool(suffix), watch)
                parts.append(part)
                finals.append(final)
            frames = np.concatenate(parts, axis=2)
        if self.head is None:
            return frames
        if self.head.at != "step":
            last = frames[np.arange(lanes), np.maximum(length - 1, 0)][:, None]
            is_final = self.head.at == "final"
            frames = np.concatenate(finals, axis=1)[:, None] if is_final else last
        logits, _ = self.head.step(frames, {}, _under(HEAD, observe))
        return logits


def _under(layer: str, observe: Observe) -> Observe:
    return lambda name, values: observe(f"{layer}.{name}", values)


def _run_direction(
    layer: Layer, frames: FloatArray, length: IntArray, is_backward: bool, observe: Observe
) -> tuple[FloatArray, FloatArray]:
    """frames (lanes, steps, inputs) -> (lanes, steps, outputs), and the output of the last step."""
    lanes, steps, _ = frames.shape
    state = {name: np.zeros((lanes, count)) for name, count in layer.states().items()}
    result, final = np.zeros((lanes, steps, layer.outputs)), np.zeros((lanes, layer.outputs))
    for t in reversed(range(steps)) if is_backward else range(steps):
        valid = (t < length)[:, None]
        y, after = layer.step(frames[:, t], state, observe)
        state = {name: np.where(valid, after[name], before) for name, before in state.items()}
        final = np.where(valid, y, final)
        result[:, t] = np.where(valid, y, 0.0)
    return result, final
