"""Random small modules, of what can be compiled and of what can't, drawn by a seed.

A module is a list of stages on an array: (sequences, steps, n), or (sequences, n) behind a pool.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

INPUTS, LANES, STEPS = 5, 3, 8
Stage = Callable[[torch.Tensor], torch.Tensor]


class Drawn(nn.Module):
    """Stages, one after the other. words: what each is called."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.parts, self.stages, self.words = nn.ModuleList(), [], []
        self.width, self.is_once = INPUTS, False
        for _ in range(self.number(2, 5)):
            self.draw()
        if self.chance(2):
            self.linear()

    def forward(self, x):
        """All stages; a stage may also look at x."""
        y = x
        for stage in self.stages:
            y = stage(y, x)
        return y

    def number(self, low, high):
        return int(self.generator.integers(low, high, endpoint=True))

    def chance(self, of):
        return self.number(1, of) == 1

    def pick(self, choices):
        return choices[self.number(0, len(choices) - 1)]

    def part(self, module):
        self.parts.append(module)
        return module

    def draw(self):
        """A stage that the array can take."""
        pool = ONCE if self.is_once else STEP
        getattr(self, self.pick(pool))()

    def stage(self, word, function, width=None, is_once=None):
        self.words.append(word)
        self.stages.append(function)
        self.width = width or self.width
        self.is_once = self.is_once if is_once is None else is_once

    # what can be compiled

    def recurrent(self):
        kind = self.pick((nn.LSTM, nn.LSTM, nn.GRU, nn.RNN))
        options = {"num_layers": self.number(1, 2), "bidirectional": self.chance(3),
                   "bias": not self.chance(4)}  # fmt: skip
        if kind is nn.LSTM and self.chance(4):
            options["proj_size"] = 2
        if kind is nn.RNN and self.chance(2):
            options["nonlinearity"] = "relu"
        cells = self.number(3, 6)
        part = self.part(kind(self.width, cells, batch_first=True, **options))
        width = options.get("proj_size", cells) * (1 + options["bidirectional"])
        self.stage(kind.__name__, lambda y, x: part(y)[0], width)

    def final_state(self):
        cells, both = self.number(3, 6), self.chance(2)
        part = self.part(nn.LSTM(self.width, cells, batch_first=True, bidirectional=both))
        which = self.number(0, 1)
        self.stage(
            "final state", lambda y, x: part(y)[1][which].transpose(0, 1).flatten(1),
            cells * (1 + both), True,
        )  # fmt: skip

    def linear(self):
        part = self.part(nn.Linear(self.width, self.number(2, 6), bias=not self.chance(3)))
        self.stage("Linear", lambda y, x: part(y), part.out_features)

    def function(self):
        name = self.pick(
            ("relu", "tanh", "sigmoid", "hardtanh", "relu6", "hardsigmoid", "leaky_relu")
        )
        self.stage(name, lambda y, x: getattr(F, name, getattr(torch, name, None))(y))

    def affine(self):
        a, b = float(self.generator.normal()), float(self.generator.normal())
        self.stage("affine", lambda y, x: y * a + b)

    def norm(self):
        part = self.part(nn.BatchNorm1d(self.width))
        part.running_mean.normal_()
        part.running_var.uniform_(0.5, 2)
        if self.is_once:
            self.stage("BatchNorm", lambda y, x: part(y))
        else:
            self.stage("BatchNorm", lambda y, x: part(y.transpose(1, 2)).transpose(1, 2))

    def dropout(self):
        part = self.part(nn.Dropout(0.5))
        self.stage("Dropout", lambda y, x: part(y))

    def residual(self):
        part = self.part(nn.Linear(self.width, self.width))
        self.stage("residual", lambda y, x: y + torch.tanh(part(y)))

    def gate(self):
        part = self.part(nn.Linear(self.width, self.width))
        self.stage("gate", lambda y, x: y * torch.sigmoid(part(y)))

    def beside(self):
        self.stage("x beside", lambda y, x: torch.cat([y, x], -1), self.width + INPUTS)

    def some(self):
        if self.width > 2:
            self.stage("a part", lambda y, x: y[..., 1:], self.width - 1)

    def turned(self):
        self.stage("flip", lambda y, x: y.flip(1))

    def pool(self):
        how = self.pick(("last", "first", "mean", "max", "last and mean"))
        pools = {
            "last": lambda y: y[:, -1], "first": lambda y: y[:, 0], "mean": lambda y: y.mean(1),
            "max": lambda y: y.amax(1),
            "last and mean": lambda y: torch.cat([y[:, -1], y.mean(1)], 1),
        }  # fmt: skip
        width = self.width * (2 if how == "last and mean" else 1)
        self.stage(how, lambda y, x: pools[how](y), width, True)

    # what can't, or not everywhere

    def outside(self):
        kinds = {
            "softmax": lambda y, x: torch.softmax(y, -1),
            "cumsum": lambda y, x: y.cumsum(-1),
            "exp": lambda y, x: torch.exp(-y * y),
            "sort": lambda y, x: y.sort(-1).values,
            "layer_norm": lambda y, x: F.layer_norm(y, y.shape[-1:]),
            "batch mean": lambda y, x: y - y.mean(0, keepdim=True),
            "shift": lambda y, x: torch.roll(y, 1, 1),
            "square": lambda y, x: y * y,
            "abs": lambda y, x: y.abs(),
            "norm": lambda y, x: y / (y.norm(dim=-1, keepdim=True) + 1),
            "middle": lambda y, x: y - y[:, 2:3],
            "cut": lambda y, x: y[:, 1:],
            "mean": lambda y, x: y - y.mean(1, keepdim=True),
        }
        word = self.pick(list(kinds))
        if not (self.is_once and word in ("shift", "middle", "cut", "mean")):
            self.stage(word, kinds[word])


STEP = ("recurrent",) * 5 + (
    "final_state", "linear", "linear", "function", "function", "affine", "norm", "dropout",
    "residual", "gate", "beside", "some", "turned", "pool", "pool", "outside",
)  # fmt: skip
ONCE = ("linear", "linear", "function", "affine", "norm", "dropout", "residual", "gate", "some",
        "outside")  # fmt: skip
