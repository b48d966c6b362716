"""What recurrent cells with gates have in common: their parameters, and a gate's operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder
from penstock.layers.clamp import add_clamp
from penstock.layers.layer import Parameter, Role
from penstock.layers.product import product
from penstock.layers.pytorch import TorchCell


@dataclass(frozen=True)
class Gated:
    """The arrays of a cell whose gates each have a matrix for x and one for the y before.

    w_x: gate -> (cells, inputs); w_r: gate -> (cells, outputs); bias: name of a sum -> (cells).
    clip: greatest magnitude of what a gate's function is given (ONNX's attribute); infinity: none.
    """

    torch: ClassVar[TorchCell]

    w_x: dict[str, FloatArray]
    w_r: dict[str, FloatArray]
    bias: dict[str, FloatArray]
    clip: float = field(default=np.inf, kw_only=True)

    @property
    def cells(self) -> int:
        """Memory cells of this direction."""
        return len(self.w_x[self.torch.gates[0]])

    @property
    def inputs(self) -> int:
        """Width of the input frame."""
        return int(self.w_x[self.torch.gates[0]].shape[1])

    @property
    def outputs(self) -> int:
        """Width of y."""
        return int(self.w_r[self.torch.gates[0]].shape[1])

    def parameters(self) -> dict[str, Parameter]:
        """``W_ix``, ``W_ir`` of every gate i, then ``b_i`` of every bias: see ``Layer``."""
        found = {}
        for gate in self.torch.gates:
            found[f"W_{gate}x"] = Parameter(Role.MATRIX, self.w_x[gate])
            found[f"W_{gate}r"] = Parameter(Role.MATRIX, self.w_r[gate])
        return found | {f"b_{name}": Parameter(Role.BIAS, b) for name, b in self.bias.items()}

    def with_parameters(self, values: Mapping[str, FloatArray]) -> Self:
        """See ``Layer``."""
        return replace(
            self,
            w_x={gate: values[f"W_{gate}x"] for gate in self.w_x},
            w_r={gate: values[f"W_{gate}r"] for gate in self.w_r},
            bias={name: values[f"b_{name}"] for name in self.bias},
        )

    @classmethod
    def by_gate(cls, rows: FloatArray) -> dict[str, FloatArray]:
        """PyTorch's stacked rows, gate by gate."""
        gates = cls.torch.gates
        return dict(zip(gates, np.split(rows, len(gates)), strict=True))

    @classmethod
    def stacked(cls, by_gate: Mapping[str, FloatArray]) -> FloatArray:
        """The inverse of ``by_gate``."""
        return np.concatenate([by_gate[gate] for gate in cls.torch.gates])

    def biased(self, build: Builder, total: str, name: str) -> list[str]:
        """The terms of a sum: the products ``total``, and the bias ``name`` unless it is zero."""
        bias = self.bias[name]
        return [total, build.bias(f"b_{name}", bias, total)] if bias.any() else [total]

    def products(self, gate: str, x: FloatArray, y: FloatArray) -> FloatArray:
        """W x + R y of a gate; y: of the step before."""
        return product(x, self.w_x[gate]) + product(y, self.w_r[gate])

    def clipped(self, pre: FloatArray) -> FloatArray:
        """A gate's sum, within ``clip``."""
        return pre if self.clip == np.inf else np.clip(pre, -self.clip, self.clip)

    def gate_sum(self, build: Builder, name: str, *terms: str) -> str:
        """The sum of ``terms``, exact; or, within ``clip``, rounded to an activation's type."""
        pre = build.add(f"pre_{name}", *terms)
        if self.clip == np.inf:
            return pre
        to = build.types.activation(build.named(f"pre_{name}"))
        rounded = build.requant(f"rounded_{name}", pre, to)
        return add_clamp(build, f"clipped_{name}", rounded, -self.clip, self.clip)

    def described_clip(self) -> dict[str, float]:
        """``clip`` for ``describe``, if there is one."""
        return {} if self.clip == np.inf else {"clip": self.clip}

    def gate(self, build: Builder, name: str, function: str, *terms: str) -> str:
        """The gate's function of the sum of ``terms``."""
        pre = self.gate_sum(build, name, *terms)
        reach = build.types.reach(build.named(f"pre_{name}"), function)
        return build.function(name, function, pre, reach)
