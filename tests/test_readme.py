"""What README.md shows as Python runs as it stands, given what it speaks of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import penstock

torch = pytest.importorskip("torch")
README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
INPUTS = 12


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUTS, 64, batch_first=True)
        self.head = torch.nn.Linear(64, 5)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The names that the blocks take for granted."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = Model()
    frames = np.random.default_rng(0).normal(0, 1, (6, 5, INPUTS))
    return {
        "penstock": penstock, "torch": torch, "model": model, "module": model, "frames": frames,
        "optimizer": torch.optim.SGD(model.parameters()), "batches": [(None, None)] * 100,
        "x": torch.tensor(frames), "lengths": torch.tensor([5, 4, 3, 5, 5, 1]),
    }  # fmt: skip


def test_compile_and_run(given):
    given |= {"x": given["frames"], "lengths": np.full(6, 5)}
    exec(BLOCKS[0], given)
    assert given["result"].values.shape == (6, 1, 1)


@pytest.mark.filterwarnings("ignore:finalized after step 100")
def test_prune_in_a_loop(given):
    exec(BLOCKS[1], given)
    assert given["pruner"].is_finalized
    density = np.count_nonzero(given["model"].lstm.weight_hh_l0.detach()) / (4 * 64 * 64)
    assert density < 1


def test_train_quantized_and_compile_to_the_same_integers(given):
    exec(BLOCKS[2], given)
    assert given["logits"].requires_grad and given["logits"].shape == (6, 1, 5)
    network, compiled = given["network"], given["compiled"]
    assert len(BLOCKS) == 3
    for name in network.constants():
        kind, raw = (getattr(compiled.graph[name].tensor, part) for part in ("type", "constant"))
        assert (kind.to_float(raw) == network.effective(name).detach().numpy()).all()
