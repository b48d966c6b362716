"""One direction of a GRU layer (Cho et al. 2014, in the form of cuDNN and torch.nn.GRU)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source, split_columns
from penstock.layers.gated import Gated
from penstock.layers.layer import Observe, State
from penstock.layers.product import product
from penstock.layers.pytorch import TorchCell
from penstock.ops.lut import FUNCTIONS

GATES = ("r", "z", "n")
"""The order of gates in PyTorch's stacked weights."""


@dataclass(frozen=True)
class Gru(Gated):
    """One direction of one GRU layer; the reset gate scales W_nr y' + b_nr ("reset after"), or y'.

    r = sigma(W_rx x + W_rr y' + b_r)         u = W_nr y' + b_nr
    z = sigma(W_zx x + W_zr y' + b_z)         n = tanh(W_nx x + b_nx + r . u)
    y = n + z . (y' - n)

    bias: r, z, nx, nr -> (cells). resets_before: n = tanh(W_nx x + b_nx + W_nr (r . y') + b_nr), as
    first published, and as ONNX and Keras can have it.
    """

    kind: ClassVar[str] = "gru"
    learned: ClassVar[tuple[str, ...]] = ("u",)
    torch: ClassVar[TorchCell] = TorchCell("GRU", "a GRU", GATES, apart=("n",))

    resets_before: bool = False

    def states(self) -> dict[str, int]:
        """y."""
        return {"y": self.outputs}

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        y, sigma = state["y"], FUNCTIONS["sigma"]
        pre = {g: self.clipped(self.products(g, x, y) + self.bias[g]) for g in ("r", "z")}
        r, of_x = sigma(pre["r"]), product(x, self.w_x["n"]) + self.bias["nx"]
        if self.resets_before:
            u = r * y
            pre["n"] = of_x + product(u, self.w_r["n"]) + self.bias["nr"]
        else:
            u = product(y, self.w_r["n"]) + self.bias["nr"]
            pre["n"] = of_x + r * u
        pre["n"] = self.clipped(pre["n"])
        n = FUNCTIONS["tanh"](pre["n"])
        y = n + sigma(pre["z"]) * (y - n)
        for gate in GATES:
            observe(f"pre_{gate}", pre[gate])
        observe("u", u)
        observe("y", y)
        return y, {"y": y}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """See ``Layer``."""
        types = build.types
        y_type = types.product(build.named("y"), build.named("y"))
        y_before = build.read_state("y", self.cells, y_type)
        of_y = {gate: (y_before, f"W_{gate}r", self.w_r[gate]) for gate in GATES}
        of_x = {gate: split_columns(f"W_{gate}x", self.w_x[gate], sources) for gate in GATES}
        acc = {gate: build.matvec(f"acc_{gate}", *of_x[gate], of_y[gate]) for gate in ("r", "z")}
        acc["nx"] = build.matvec("acc_nx", *of_x["n"])
        if not self.resets_before:
            acc["nr"] = build.matvec("acc_nr", of_y["n"])
        r = self.gate(build, "r", "sigma", *self.biased(build, acc["r"], "r"))
        z = self.gate(build, "z", "sigma", *self.biased(build, acc["z"], "z"))
        if self.resets_before:
            kept = build.requant("u", build.mul("reset", r, y_before), y_type)
            acc["nr"] = build.matvec("acc_nr", (kept, "W_nr", self.w_r["n"]))
            inner = self.biased(build, acc["nr"], "nr")
        else:
            total = build.add("inner", *self.biased(build, acc["nr"], "nr"))
            u = build.requant("u", total, types.activation(build.named("u")))
            inner = [build.mul("reset", r, u)]
        n = self.gate(build, "n", "tanh", *self.biased(build, acc["nx"], "nx"), *inner)
        kept = build.mul("kept", z, build.sub("change", y_before, n))
        y = build.requant("y", build.add("y_sum", n, kept), y_type)
        build.write_state("y", y)
        return [y]

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {
            "inputs": self.inputs, "cells": self.cells, "outputs": self.outputs,
            "gates": len(GATES), "resets": "before" if self.resets_before else "after",
            **self.described_clip(),
        }  # fmt: skip

    @classmethod
    def from_torch(cls, tensors: Mapping[str, FloatArray], codes: Mapping[str, str]) -> Self:
        """See ``Cell``. The two biases of r and z are added up; those of n stay apart."""
        zeros = np.zeros(len(tensors["weight_ih"]))
        w_x, w_r, b_x, b_r = (
            cls.by_gate(tensors.get(tensor, zeros))
            for tensor in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        bias = {"r": b_x["r"] + b_r["r"], "z": b_x["z"] + b_r["z"], "nx": b_x["n"], "nr": b_r["n"]}
        return cls(w_x, w_r, bias)

    def to_torch(self) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """See ``Cell``. Of PyTorch's two biases of r and z, the one in ``bias_hh`` is zero."""
        zeros, bias = np.zeros(self.cells), self.bias
        return {
            "weight_ih": self.stacked(self.w_x),
            "weight_hh": self.stacked(self.w_r),
            "bias_ih": self.stacked(bias | {"n": bias["nx"]}),
            "bias_hh": self.stacked({"r": zeros, "z": zeros, "n": bias["nr"]}),
        }, {}
