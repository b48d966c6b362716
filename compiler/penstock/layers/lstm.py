"""One direction of an LSTM layer (Sak et al. 2014; Han et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source, split_columns
from penstock.layers.gated import Gated
from penstock.layers.layer import Observe, Parameter, Role, State
from penstock.layers.product import product
from penstock.layers.pytorch import BIASES, TensorGroup, TorchCell
from penstock.ops.lut import FUNCTIONS

GATES = ("i", "f", "g", "o")
"""The order of gates in PyTorch's stacked weights."""
PEEPHOLES = {"i": "weight_ic", "f": "weight_fc", "o": "weight_oc"}
"""Gate -> its peephole, as penstock.nn.LSTM names it; torch.nn.LSTM has none."""
G_FUNCTIONS = ("tanh", "sigma")
"""Activations of the g gate; the index is the code in a state dict."""
G_FUNCTION_CODE = "cell_activation_code"
"""What penstock.nn.LSTM saves of its g gate; torch.nn.LSTM saves nothing, and has tanh."""


@dataclass(frozen=True)
class Lstm(Gated):
    """One direction of one LSTM layer, with projection and peepholes.

    i = sigma(W_ix x + W_ir y' + w_ic . c' + b_i)      f = sigma(W_fx x + W_fr y' + w_fc . c' + b_f)
    g = act(W_gx x + W_gr y' + b_g)                    c = f . c' + i . g
    o = sigma(W_ox x + W_or y' + w_oc . c + b_o)       m = o . tanh(c)         y = W_ym m, or m

    bias: gate -> (cells); peephole: i, f, o -> (cells), or empty; projection: (outputs, cells), or
    None: outputs = cells. g_function: one of ``G_FUNCTIONS``.
    """

    kind: ClassVar[str] = "lstm"
    learned: ClassVar[tuple[str, ...]] = ("c", "y")
    torch: ClassVar[TorchCell] = TorchCell(
        "LSTM", "an LSTM", GATES, has_projection=True,
        optional=(
            BIASES,
            TensorGroup(
                dict.fromkeys(PEEPHOLES.values(), ("cells",)),
                "peepholes come in threes, in all layers or none",
            ),
        ),
        codes={G_FUNCTION_CODE: G_FUNCTIONS},
    )  # fmt: skip

    peephole: dict[str, FloatArray] = field(default_factory=dict)
    projection: FloatArray | None = None
    g_function: str = "tanh"

    def parameters(self) -> dict[str, Parameter]:
        """Those of all gates, ``W_ym``, and ``w_ic`` of every peephole: see ``Layer``."""
        found = super().parameters()
        if self.projection is not None:
            found["W_ym"] = Parameter(Role.MATRIX, self.projection)
        for gate, weights in self.peephole.items():
            found[f"w_{gate}c"] = Parameter(Role.VECTOR, weights)
        return found

    def with_parameters(self, values: Mapping[str, FloatArray]) -> Self:
        """See ``Layer``."""
        return replace(
            super().with_parameters(values),
            peephole={gate: values[f"w_{gate}c"] for gate in self.peephole},
            projection=None if self.projection is None else values["W_ym"],
        )

    def states(self) -> dict[str, int]:
        """y and c."""
        return {"y": self.outputs, "c": self.cells}

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        sigma, y, c = FUNCTIONS["sigma"], state["y"], state["c"]
        pre = {g: self.products(g, x, y) + self.bias[g] for g in GATES}
        for gate in ("i", "f"):
            if self.peephole:
                pre[gate] = pre[gate] + self.peephole[gate] * c
        for gate in ("i", "f", "g"):
            pre[gate] = self.clipped(pre[gate])
        i, f, g = sigma(pre["i"]), sigma(pre["f"]), FUNCTIONS[self.g_function](pre["g"])
        c = f * c + i * g
        if self.peephole:
            pre["o"] = pre["o"] + self.peephole["o"] * c
        pre["o"] = self.clipped(pre["o"])
        m = sigma(pre["o"]) * np.tanh(c)
        y = m if self.projection is None else product(m, self.projection)
        for gate in GATES:
            observe(f"pre_{gate}", pre[gate])
        observe("c", c)
        observe("m", m)
        observe("y", y)
        return y, {"y": y, "c": c}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """See ``Layer``."""
        types = build.types
        c_type = types.cell(build.named("c"))
        if self.projection is None:
            m_type = y_type = types.product(build.named("m"), build.named("y"))
        else:
            m_type = types.product(build.named("m"))
            y_type = types.output(build.named("y"))
        y_before = build.read_state("y", self.outputs, y_type)
        c_before = build.read_state("c", self.cells, c_type)

        acc = {gate: self._gate_sum(build, gate, sources, y_before) for gate in GATES}
        i = self._gate(build, "i", acc, "sigma", c_before)
        f = self._gate(build, "f", acc, "sigma", c_before)
        g = self._gate(build, "g", acc, self.g_function, None)
        kept, fresh = build.mul("kept", f, c_before), build.mul("fresh", i, g)
        c = build.requant("c", build.add("c_sum", kept, fresh), c_type)
        build.write_state("c", c)
        o = self._gate(build, "o", acc, "sigma", c)
        tanh_c = build.function("tanh_c", "tanh", c, types.reach(build.named("c"), "tanh"))
        y = build.requant("m", build.mul("m_product", o, tanh_c), m_type)
        if self.projection is not None:
            projected = build.matvec("acc_y", (y, "W_ym", self.projection))
            y = build.requant("y", projected, y_type)
        build.write_state("y", y)
        return [y]

    def _gate_sum(self, build: Builder, gate: str, sources: list[Source], y_before: str) -> str:
        products = split_columns(f"W_{gate}x", self.w_x[gate], sources)
        return build.matvec(f"acc_{gate}", *products, (y_before, f"W_{gate}r", self.w_r[gate]))

    def _gate(
        self, build: Builder, gate: str, acc: dict[str, str], function: str, c: str | None
    ) -> str:
        """The gate; c: what its peephole looks at, if it can have one."""
        terms = self.biased(build, acc[gate], gate)
        if self.peephole and c is not None:
            weights = build.vector(f"w_{gate}c", self.peephole[gate], acc[gate], c)
            terms.append(build.mul(f"peephole_{gate}", weights, c))
        return self.gate(build, gate, function, *terms)

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {
            "inputs": self.inputs, "cells": self.cells, "outputs": self.outputs,
            "projection": self.projection is not None, "peepholes": bool(self.peephole),
            "gates": len(GATES), **self.described_clip(),
        }  # fmt: skip

    @classmethod
    def from_torch(cls, tensors: Mapping[str, FloatArray], codes: Mapping[str, str]) -> Self:
        """See ``Cell``. PyTorch's two biases are added up."""
        w_x, w_r = (cls.by_gate(tensors[tensor]) for tensor in ("weight_ih", "weight_hh"))
        bias = np.zeros(len(tensors["weight_ih"]))
        for tensor in BIASES.shapes:
            bias = bias + tensors.get(tensor, 0.0)
        peephole = {gate: tensors[name] for gate, name in PEEPHOLES.items() if name in tensors}
        projection = tensors.get("weight_hr")
        return cls(w_x, w_r, cls.by_gate(bias), peephole, projection, codes[G_FUNCTION_CODE])

    def to_torch(self) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """See ``Cell``. Of PyTorch's two biases, ``bias_hh`` is zero."""
        by_gate = {"weight_ih": self.w_x, "weight_hh": self.w_r, "bias_ih": self.bias}
        found = {tensor: self.stacked(gates) for tensor, gates in by_gate.items()}
        found["bias_hh"] = np.zeros_like(found["bias_ih"])
        found |= {PEEPHOLES[gate]: weights for gate, weights in self.peephole.items()}
        if self.projection is not None:
            found["weight_hr"] = self.projection
        is_default = self.g_function == G_FUNCTIONS[0]
        return found, {} if is_default else {G_FUNCTION_CODE: self.g_function}
