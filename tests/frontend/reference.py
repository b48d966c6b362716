"""What torch computes: the reference for every network that the frontend reads."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import penstock.nn

STEPS, INPUTS, CELLS = 7, 4, 6
LENGTHS = np.array([7, 3, 1])
VARIANTS = {
    "plain": {},
    "without biases": {"bias": False},
    "projection": {"proj_size": 3},
    "three layers": {"num_layers": 3},
    "bidirectional": {"bidirectional": True},
    "two bidirectional layers with projection": {
        "num_layers": 2, "bidirectional": True, "proj_size": 3,
    },
    "peepholes": {"peephole": True},
    "sigma as g": {"cell_activation": "sigma"},
    "peepholes, sigma, projection, three bidirectional layers, no biases": {
        "peephole": True, "cell_activation": "sigma", "proj_size": 2, "num_layers": 3,
        "bidirectional": True, "bias": False,
    },
}  # fmt: skip


def make_lstm(inputs=INPUTS, cells=CELLS, **options):
    is_ours = {"peephole", "cell_activation"} & options.keys()
    kind = penstock.nn.LSTM if is_ours else torch.nn.LSTM
    return kind(inputs, cells, batch_first=True, **options)


def outputs_of(lstm):
    return (lstm.proj_size or lstm.hidden_size) * (2 if lstm.bidirectional else 1)


def frames(inputs=INPUTS):
    return torch.randn(len(LENGTHS), STEPS, inputs)


@torch.no_grad()
def run_torch(lstm, x, lengths=None, head=None, at="step"):
    """What torch gives for padded sequences of these lengths; ``head`` runs at ``at``."""
    lengths = np.full(len(x), STEPS) if lengths is None else lengths
    packed = pack_padded_sequence(
        x, torch.as_tensor(lengths), batch_first=True, enforce_sorted=False
    )
    output, (h_n, _) = lstm(packed)
    y = pad_packed_sequence(output, batch_first=True, total_length=STEPS)[0]
    if head is None:
        return y.numpy()
    if at == "last":
        y = y[torch.arange(len(x)), torch.as_tensor(lengths) - 1][:, None]
    elif at == "final":
        directions = 2 if lstm.bidirectional else 1
        y = h_n[-directions:].transpose(0, 1).flatten(1)[:, None]
    values = head(y).numpy()
    counts = np.arange(STEPS)[:, None] < lengths[:, None, None]
    return np.where(counts, values, 0) if at == "step" else values


def assert_same(values, expected):
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6, strict=True)
