"""What is compressed is what ``forward`` computes, whatever that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from penstock.compress.dataset import make_dataset  # noqa: E402
from penstock.compress.recipe import Recipe, run_recipe  # noqa: E402
from penstock.entry import compile_checkpoint  # noqa: E402
from penstock.errors import PenstockError  # noqa: E402
from penstock.frontend import HeadOptions  # noqa: E402
from penstock.settings import Hardware  # noqa: E402
from penstock_runtime import Interpreter  # noqa: E402

QUICK = Recipe(dense_epochs=4, prune_epochs=2, qat_epochs=1, density=0.5, pes=4, rate=2e-2)


class Pooled(torch.nn.Module):
    """The mean of a rectified output: no state dict says so."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 12, batch_first=True)
        self.norm, self.fc = torch.nn.BatchNorm1d(12), torch.nn.Linear(12, 2)

    def forward(self, x, lengths):
        y = torch.relu(self.lstm(x)[0])
        counts = (torch.arange(x.size(1)) < lengths[:, None])[..., None].to(y.dtype)
        return self.fc(self.norm((y * counts).sum(1) / lengths[:, None]))


class Regressor(torch.nn.Module):
    """Two outputs, of which forward gives one each."""

    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.GRU(3, 12, batch_first=True)
        self.a, self.b = torch.nn.Linear(12, 1), torch.nn.Linear(12, 1)

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.a(y), self.b(y)


def frames(count=240, steps=10):
    return np.random.default_rng(0).normal(size=(count, steps, 3)).astype(np.float32)


def split(x, y, lengths=None):
    parts = {"train": slice(0, 160), "valid": slice(160, 200), "test": slice(200, None)}
    arrays = {f"{kind}_{name}": values[part] for name, part in parts.items()
              for kind, values in (("x", x), ("y", y))}  # fmt: skip
    if lengths is not None:
        arrays |= {f"lengths_{name}": lengths[part] for name, part in parts.items()}
    return arrays


def test_a_pooled_network_is_pruned_quantized_and_compiled_as_such(tmp_path):
    x, lengths = frames(), np.random.default_rng(1).integers(4, 11, 240)
    mean = np.array([one[:n, 0].mean() for one, n in zip(x, lengths, strict=True)])
    data = make_dataset(split(x, (mean > 0).astype(np.int64), lengths), "classification", "test")
    path = tmp_path / "pooled.safetensors"
    recipe = replace(QUICK, dense_epochs=20, qat_epochs=2)
    scores = run_recipe(Pooled, data, recipe, path).scores
    assert scores["dense"].accuracy > 0.8
    assert abs(scores["quantized"].accuracy - scores["pruned"].accuracy) <= 0.05
    compiled = compile_checkpoint(path)
    assert compiled.plan.hardware.pes == 4, "the checkpoint says what it is balanced for"
    result = Interpreter(compiled.write(tmp_path / "project")).run(data.test.x, data.test.lengths)
    accuracy = (result.values[:, 0].argmax(1) == data.test.y).mean()
    assert accuracy == pytest.approx(scores["trained quantized"].accuracy, abs=1e-12)
    kinds = [row["kind"] for row in compiled.report["network"]["layers"]]
    assert kinds == ["lstm", "relu", "pool", "head"]
    labels = compile_checkpoint(path, head=HeadOptions(activation="argmax"))
    assert labels.machine.is_argmax
    for choice in ({"head": HeadOptions("step")}, {"only": ["lstm"]}, {"batch_first": False}):
        with pytest.raises(PenstockError):
            compile_checkpoint(path, **choice)


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_a_regression_of_several_outputs(loss, tmp_path):
    x = frames()
    y = np.stack([np.cumsum(x[..., 0], 1) / 5, x[..., 1] - x[..., 2]], axis=-1)
    data = make_dataset(split(x, y), "regression", "test")
    path = tmp_path / "regressor.safetensors"
    scores = run_recipe(Regressor, data, replace(QUICK, task="regression", loss=loss), path).scores
    assert scores["trained quantized"].accuracy > 0.3
    compiled = compile_checkpoint(path)
    values = Interpreter(compiled.write(tmp_path / "project")).run(data.test.x).values
    apart = values - data.test.y
    measured = np.mean(apart**2) if loss == "mse" else np.mean(np.abs(apart))
    assert measured == pytest.approx(scores["trained quantized"].loss, rel=1e-6)


def test_other_pes_can_be_asked_for(tmp_path):
    data = make_dataset(split(frames(), frames()[:, 0, :2]), "regression", "test")

    class Last(Regressor):
        def forward(self, x):
            y = self.rnn(x)[0][:, -1]
            return torch.cat([self.a(y), self.b(y)], -1)

    path = tmp_path / "last.safetensors"
    run_recipe(Last, data, replace(QUICK, task="regression", dense_epochs=1, qat_epochs=0), path)
    assert compile_checkpoint(path, hardware=Hardware(pes=2)).plan.hardware.pes == 2


@pytest.mark.parametrize(
    "y, what",
    [
        (np.zeros((240, 3)), r"forward gives \(2, 10, 2\)"),
        (np.full((240, 10, 2), np.nan), "y_train has NaN or infinite values"),
        (np.zeros((240, 4, 2)), r"y_train is float64 of shape \(160, 4, 2\)"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, what, tmp_path):
    with pytest.raises(PenstockError, match=what):
        data = make_dataset(split(frames(), y), "regression", "test")
        run_recipe(Regressor, data, replace(QUICK, task="regression"), tmp_path / "r.safetensors")


def test_a_module_that_takes_the_steps_first_is_refused(tmp_path):
    class Turned(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.fc = torch.nn.LSTM(3, 12), torch.nn.Linear(12, 2)

        def forward(self, x):
            return self.fc(self.lstm(x)[0])

    data = make_dataset(split(frames(), np.zeros((240, 10), dtype=np.int64)), "labelling", "test")
    with pytest.raises(PenstockError, match="forward takes the steps first"):
        run_recipe(Turned, data, replace(QUICK, task="labelling"), tmp_path / "r.safetensors")
