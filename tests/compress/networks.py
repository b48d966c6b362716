"""Networks to prune, and a training loop as a user writes it."""

from __future__ import annotations

import torch
from torch import nn

import penstock.nn

INPUTS, CELLS, CLASSES = 12, 16, 8
KINDS = {
    "torch": {},
    "penstock, plain": {"lstm": penstock.nn.LSTM},
    "peepholes and projection": {"lstm": penstock.nn.LSTM, "peephole": True, "proj_size": 8},
    "bidirectional, two layers": {"bidirectional": True, "num_layers": 2},
    "projection, no bias": {"proj_size": 8, "bias": False},
}


class Net(nn.Module):
    """An LSTM and a Linear layer on its last output."""

    def __init__(self, lstm=nn.LSTM, **options):
        super().__init__()
        self.lstm = lstm(INPUTS, CELLS, batch_first=True, **options)
        width = options.get("proj_size") or CELLS
        self.fc = nn.Linear(width * (2 if options.get("bidirectional") else 1), CLASSES)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


def make_net(seed=0, **options):
    torch.manual_seed(seed)
    return Net(**options)


def batch(step):
    """The same batch for the same step."""
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(6, 5, INPUTS, generator=generator)
    return x, torch.randint(CLASSES, (6,), generator=generator)


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.3)


def train(model, pruner, optimizer, steps):
    for step in steps:
        x, y = batch(step)
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pruner.step()


def nonzero(model, name):
    module, _, parameter = name.rpartition(".")
    return getattr(model.get_submodule(module), parameter).detach().numpy() != 0
