"""Quantization-aware training: the compiled graph itself, executed and differentiated by torch.

Forward values are exactly those of the integer interpreter: real numbers that are multiples of each
type's step, in float64, which holds every exact sum (proven below 2**53).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from penstock.calibration import Ranges
from penstock.compress.constants import float_constants, parameters_of, with_constants
from penstock.compress.distributed import same_on_all_ranks, widest_of_all_ranks
from penstock.compress.execution import Execution
from penstock.compress.straight_through import fake_quantize
from penstock.fixed import Fixed
from penstock.ir import Node
from penstock.layers.build import exponents_of
from penstock.layers.head import DenseHead
from penstock.layers.layer import Role
from penstock.lowering import lower
from penstock.model import RecurrentModel
from penstock.settings import Precision

RANGE_RATE = 10.0
"""Ranges learn so much faster than weights: in log2, they are of greater size."""


class QuantizedNetwork(nn.Module):
    """A trained float model with the arithmetic of its compiled graph.

    Its parameters are the float weights; zeros among them are kept zero if ``keep_zeros`` (a
    pruned model stays pruned). With ``learn_ranges``, also log2 of the range of every weight matrix
    and peephole, of the input, cell states, projections and logits: a binary point moves when its
    range has grown or shrunk past a power of two. ``forward`` takes (sequences, steps, inputs) and
    lengths (sequences), and gives what the interpreter gives, as real numbers. After training,
    ``to_model`` and ``trained_precision`` compile to the same integers.

    In distributed training every process makes one, before DistributedDataParallel wraps it: the
    ranges are the widest of all ranks, the weights those of rank 0.
    """

    def __init__(
        self,
        model: RecurrentModel,
        ranges: Ranges,
        precision: Precision | None = None,
        keep_zeros: bool = True,
        learn_ranges: bool = False,
    ) -> None:
        super().__init__()
        model = _of_logits(model)
        model, self.ranges = same_on_all_ranks(model), widest_of_all_ranks(ranges)
        self.model = model
        self.precision = precision or Precision()
        self.graph = lower(model, self.ranges, self.precision)
        self.exponents = exponents_of(self.graph)
        self.weights = nn.ParameterDict()
        for name, values in float_constants(model, self.graph).items():
            self.weights[_key(name)] = nn.Parameter(torch.tensor(values, dtype=torch.float64))
            if keep_zeros and values.ndim == 2:
                self.register_buffer(f"mask_{_key(name)}", torch.tensor(values != 0))
            if name in self.exponents:
                column = torch.tensor(self.exponents[name], dtype=torch.float64)[:, None]
                self.register_buffer(f"scale_{_key(name)}", torch.exp2(column))
        self.log2_ranges = nn.ParameterDict()
        if learn_ranges:
            for node in self.graph.nodes():
                if self._has_learned_range(node):
                    start = torch.tensor(_log2_range(node.tensor.type), dtype=torch.float64)
                    self.log2_ranges[_key(node.name)] = nn.Parameter(start)

    def _has_learned_range(self, node: Node) -> bool:
        if node.op.kind == "const":
            return _key(node.name) in self.weights and node.name not in _biases(self.model)
        return node.op.kind in ("input", "requant", "mean") and node.name in _learned(self.model)

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """For an optimizer: weights at ``rate``, ranges at RANGE_RATE times as much."""
        weights, ranges = list(self.weights.values()), list(self.log2_ranges.values())
        groups = [{"params": weights, "lr": rate}, {"params": ranges, "lr": RANGE_RATE * rate}]
        return [group for group in groups if group["params"]]

    @property
    def trained_precision(self) -> Precision:
        """The precision under which ``to_model`` compiles to the integers of this network."""
        self._move_binary_points()
        return self._precision()

    def _precision(self) -> Precision:
        """That of the graph as it is."""
        learned = {_name(key) for key in self.log2_ranges}
        names = [node.name for node in self.graph.nodes()
                 if node.name in learned or node.name in self.constants()]  # fmt: skip
        types = {name: self.graph[name].tensor.type for name in names}
        return replace(
            self.precision,
            overrides={**self.precision.overrides, **types},
            row_exponents={name: rows.tolist() for name, rows in self.exponents.items()},
        )

    def constants(self) -> list[str]:
        """Names of the graph's trained constants."""
        names = [node.name for node in self.graph.of_kind("const")]
        return [name for name in names if _key(name) in self.weights]

    def effective(self, name: str) -> Tensor:
        """The quantized, masked values of a constant as the graph has them, differentiable.

        Where rows have scales of their own, each row is multiplied by its own.
        """
        key = _key(name)
        scale, mask = (getattr(self, f"{kind}_{key}", None) for kind in ("scale", "mask"))
        values = self.weights[key] if scale is None else self.weights[key] * scale
        to, log2_range = self.graph[name].tensor.type, self.log2_ranges.get(key)
        return fake_quantize(values, to, log2_range, mask=mask)

    def _masked(self, name: str) -> Tensor:
        values: Tensor = self.weights[_key(name)]
        mask = getattr(self, f"mask_{_key(name)}", None)
        return values if mask is None else values * mask

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(sequences, steps, inputs) real frames -> (sequences, frames, outputs)."""
        self._move_binary_points()
        frames = x.to(torch.float64)
        if lengths is None:
            lengths = torch.full((len(frames),), frames.shape[1], device=frames.device)
        ranges = {_name(key): value for key, value in self.log2_ranges.items()}
        constants = {name: self.effective(name) for name in self.constants()}
        execution = Execution(self.graph, constants, ranges, frames, lengths)
        del constants  # the execution keeps one copy of a matrix, in its place among others
        return execution.run()

    def _move_binary_points(self) -> None:
        """Lower the graph again if a learned range asks for another type than it has."""
        moved = {}
        for key, value in self.log2_ranges.items():
            dtype = self.graph[_name(key)].tensor.type
            frac = dtype.width - int(dtype.signed) - math.ceil(value.item())
            if frac != dtype.frac:
                moved[_name(key)] = replace(dtype, frac=frac)
        if moved:
            now = self._precision()
            precision = replace(now, overrides=now.overrides | moved)
            self.graph = lower(self._to_model(quantized=False), self.ranges, precision)

    def to_model(self, quantized: bool = False) -> RecurrentModel:
        """The float model as trained, pruned weights at zero; or with the weights as quantized."""
        self._move_binary_points()
        return self._to_model(quantized)

    def _to_model(self, quantized: bool) -> RecurrentModel:
        trained = {}
        for name in self.constants():
            values = self._masked(name)
            if quantized:
                values = self.effective(name) / getattr(self, f"scale_{_key(name)}", 1.0)
            trained[name] = values.detach().cpu().numpy()
        return with_constants(self.model, trained)


def _of_logits(model: RecurrentModel) -> RecurrentModel:
    """What gives a label is trained on its logits."""
    heads = {
        name: replace(layer, activation="none")
        for name, layer in model.named_layers()
        if isinstance(layer, DenseHead) and layer.activation == "argmax"
    }
    return model.with_layers(heads)


def _biases(model: RecurrentModel) -> set[str]:
    parameters = parameters_of(model).items()
    return {name for name, parameter in parameters if parameter.role is Role.BIAS}


def _learned(model: RecurrentModel) -> set[str]:
    """The activations whose range can be learned; the others have it by their nature."""
    tensors = {f"{name}.{own}" for name, part in model.named_layers() for own in part.learned}
    if any(place.is_backward for place in model.places):  # both directions have one type of y
        tensors = {name for name in tensors if not name.endswith(".y")}
    return tensors | {"x"}


def _log2_range(dtype: Fixed) -> float:
    """log2 of a range that asks for this type, midway between those that ask for its neighbours."""
    return dtype.width - int(dtype.signed) - dtype.frac - 0.5


def _key(name: str) -> str:
    return name.replace(".", "__")


def _name(key: str) -> str:
    return key.replace("__", ".")
