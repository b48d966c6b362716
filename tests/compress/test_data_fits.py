"""Labels, tokens and lengths that a model can't have are refused before any training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock import PenstockError
from penstock.compress.dataset import make_dataset

torch = pytest.importorskip("torch")
from penstock.compress.recipe import Recipe, run_recipe  # noqa: E402


class Untrained(torch.nn.Module):
    def __init__(self, tokens=None):
        super().__init__()
        self.embedding = torch.nn.Embedding(tokens, 3) if tokens else None
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x):
        assert not torch.is_grad_enabled(), "training has begun"
        frames = x if self.embedding is None else self.embedding(x)
        return self.head(self.lstm(frames)[0][:, -1])


def arrays(x):
    y = np.arange(len(x)) % 2
    return {"x_train": x, "y_train": y, "x_valid": x, "y_valid": y}


FRAMES = arrays(np.zeros((6, 4, 3), np.float32))
TOKENS = arrays(np.tile(np.arange(4), (6, 1)))


@pytest.mark.parametrize(
    ("tokens", "given", "change", "what"),
    [
        (None, FRAMES, {"y_valid": np.full(6, 2)},
         "y_valid holds 2, but the model only knows 0 to 1"),
        (None, FRAMES, {"y_train": np.full(6, -2)},
         "y_train holds -2, but the model only knows 0 to 1"),
        (3, TOKENS, {}, "x_train holds 3, but the model only knows 0 to 2"),
        (9, TOKENS, {"x_valid": np.full((6, 4), -1)},
         "x_valid holds -1, but the model only knows 0 to 8"),
        (None, TOKENS, {}, "x_train holds token numbers, but the model has no embedding"),
        (9, FRAMES, {}, "x_train holds frames, but the model has an embedding"),
    ],
)  # fmt: skip
def test_numbers_that_a_model_has_not_are_refused(tokens, given, change, what, tmp_path):
    data = make_dataset(given | change, "classification", "here")
    recipe = Recipe(dense_epochs=1, prune_epochs=1, qat_epochs=0, pes=1, density=0.5)
    with pytest.raises(PenstockError) as caught:
        run_recipe(lambda: Untrained(tokens), data, recipe, tmp_path / "m.safetensors")
    assert caught.value.what == what
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"x_train": np.array(3.0)}, "x_train is float64 of shape ()"),
        ({"x_train": np.zeros((6, 0, 3))}, "x_train is float64 of shape (6, 0, 3)"),
        ({"y_train": np.array(3)}, "y_train is int64 of shape ()"),
        ({"lengths_train": np.full(6, 1.5)}, "lengths_train must be 6 integers from 1 to 4"),
        ({"lengths_train": np.full(6, "4")}, "lengths_train must be 6 integers from 1 to 4"),
    ],
)
def test_arrays_of_odd_shapes_and_types_are_refused(change, what):
    with pytest.raises(PenstockError) as caught:
        make_dataset(FRAMES | change, "classification", "here")
    assert caught.value.what == what


def test_labels_behind_the_end_of_a_sequence_do_not_count():
    steps = FRAMES | {"y_train": np.ones((6, 4), int), "y_valid": np.ones((6, 4), int)}
    data = make_dataset(
        steps | {"lengths_train": np.array([4, 1, 2, 3, 4, 4])}, "labelling", "here"
    )
    assert data.train.y[:4].tolist() == [
        [1, 1, 1, 1],
        [1, -1, -1, -1],
        [1, 1, -1, -1],
        [1, 1, 1, -1],
    ]
    assert (data.valid.y == 1).all()
