"""One direction of a plain recurrent layer (Elman 1990), as torch.nn.RNN defines it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from penstock.fixed import FloatArray
from penstock.layers.build import Builder, Source, split_columns
from penstock.layers.gated import Gated
from penstock.layers.layer import Observe, State
from penstock.layers.pytorch import BIASES, TorchCell
from penstock.ops import Relu
from penstock.ops.lut import FUNCTIONS

GATES = ("h",)
"""The one sum of the cell."""
NONLINEARITIES = ("tanh", "relu")
NONLINEARITY_CODE = "nonlinearity_code"
"""torch.nn.RNN saves nothing of it."""


@dataclass(frozen=True)
class Rnn(Gated):
    """y = function(W_hx x + W_hr y' + b_h); nonlinearity: one of ``NONLINEARITIES``."""

    kind: ClassVar[str] = "rnn"
    learned: ClassVar[tuple[str, ...]] = ()
    torch: ClassVar[TorchCell] = TorchCell(
        "RNN", "an RNN", GATES, codes={NONLINEARITY_CODE: NONLINEARITIES}
    )

    nonlinearity: str = "tanh"

    def states(self) -> dict[str, int]:
        """y."""
        return {"y": self.outputs}

    def step(self, x: FloatArray, state: State, observe: Observe) -> tuple[FloatArray, State]:
        """See ``Layer``."""
        pre = self.clipped(self.products("h", x, state["y"]) + self.bias["h"])
        y = FUNCTIONS["tanh"](pre) if self.nonlinearity == "tanh" else np.maximum(pre, 0.0)
        observe("pre_h", pre)
        observe("y", y)
        return y, {"y": y}

    def lower(self, build: Builder, sources: list[Source]) -> list[str]:
        """See ``Layer``. Behind tanh the state has the type of its table, unless it begins beyond
        1; else a cell's."""
        types, is_tanh, name = build.types, self.nonlinearity == "tanh", build.named("y")
        y_type = types.gate(name, "tanh", name) if is_tanh else types.cell(name)
        y_before = build.read_state("y", self.outputs, y_type)
        products = split_columns("W_hx", self.w_x["h"], sources)
        total = build.matvec("acc_h", *products, (y_before, "W_hr", self.w_r["h"]))
        terms = self.biased(build, total, "h")
        if is_tanh:
            y = self.gate(build, "h", "tanh", *terms)
            if build.graph[y].tensor.type != y_type:
                y = build.requant("y", y, y_type)
        else:
            pre = self.gate_sum(build, "h", *terms)
            rectified = build.graph.add(build.named("h"), Relu(), pre, sweep=build.sweep)
            y = build.requant("y", rectified, y_type)
        build.write_state("y", y)
        return [y]

    def describe(self) -> dict[str, Any]:
        """See ``Layer``."""
        return {
            "inputs": self.inputs, "cells": self.cells, "outputs": self.outputs,
            "gates": len(GATES), "function": self.nonlinearity, **self.described_clip(),
        }  # fmt: skip

    @classmethod
    def from_torch(cls, tensors: Mapping[str, FloatArray], codes: Mapping[str, str]) -> Self:
        """See ``Cell``. PyTorch's two biases are added up."""
        bias = np.zeros(len(tensors["weight_ih"]))
        for tensor in BIASES.shapes:
            bias = bias + tensors.get(tensor, 0.0)
        return cls(
            {"h": tensors["weight_ih"]}, {"h": tensors["weight_hh"]}, {"h": bias},
            codes[NONLINEARITY_CODE],
        )  # fmt: skip

    def to_torch(self) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """See ``Cell``. Of PyTorch's two biases, ``bias_hh`` is zero."""
        is_default = self.nonlinearity == NONLINEARITIES[0]
        return {
            "weight_ih": self.w_x["h"], "weight_hh": self.w_r["h"],
            "bias_ih": self.bias["h"], "bias_hh": np.zeros(self.cells),
        }, {} if is_default else {NONLINEARITY_CODE: self.nonlinearity}  # fmt: skip
