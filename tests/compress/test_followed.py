"""Whether a checkpoint's tensors say all of a module, or the network must be saved with them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from frontend.modules import INPUTS, Module, both, frames, head, lstm  # noqa: E402
from torch import nn  # noqa: E402

from penstock.compress.followed import follow  # noqa: E402


@pytest.mark.parametrize(
    ("make", "at"),
    [
        (lambda: head(lambda m, y: y[:, -1]), "last"),
        (lambda: head(lambda m, y: y), "step"),
        (lambda: head(lambda m, y: y.mean(1)), None),
        (lambda: head(lambda m, y: torch.relu(y)), None),
        (lambda: Module(lambda m, x: m.fc(torch.cat([*m.lstm(x)[1][0]], 1)), lstm=both(),
                        fc=nn.Linear(16, 3)), "final"),
    ],
    ids=["the last step", "every step", "the mean", "relu", "both final states"],
)  # fmt: skip
def test_a_stack_is_one_that_computes_the_same(make, at):
    torch.manual_seed(1)
    module = make()
    found = follow(module, frames())
    assert found.is_stack is (at is not None)
    assert (found.head.at if found.head else None) == at
    with torch.no_grad():
        expected = module(torch.tensor(frames(), dtype=torch.float32)).numpy()
    y = found.model.run(frames())
    assert np.abs(y.reshape(expected.shape) - expected).max() < 1e-5


def test_an_embedding_is_kept():
    module = Module(lambda m, x: m.fc(m.lstm(m.table(x))[0]), table=nn.Embedding(9, INPUTS),
                    lstm=lstm(), fc=nn.Linear(8, 3))  # fmt: skip
    found = follow(module, np.random.default_rng(0).integers(0, 9, (3, 7)))
    assert found.is_stack
    assert (found.model.table == module.table.weight.detach().numpy()).all()
    (note,) = found.model.notes
    assert note == "table is an embedding of 9 entries: the look-up stays on the host"
