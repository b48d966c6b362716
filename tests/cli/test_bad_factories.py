"""Factories and data sets that penstock compress can't work with: a line each."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
OPTIONS = ("--pes", "2", "--density", "0.5", "--prune-epochs", "1", "-o", "small.safetensors")
FACTORIES = """
import torch

def fails():
    raise RuntimeError("no such data")

def takes(size):
    return torch.nn.LSTM(size, 4)

def number():
    return 3

def nothing():
    pass

def tagger():
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
            self.fc = torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.lstm(x)[0][:, -1])

    return Tagger()
"""
ALONE = "run it on its own to see why; it is called without arguments"
MODULE = "let it return the torch.nn.Module to compress"
REFUSED = {
    "fails": f"RuntimeError: no such data (FACTORY); hint: {ALONE}",
    "takes": "TypeError: takes() missing 1 required positional argument: 'size' (FACTORY); "
    f"hint: {ALONE}",
}


@pytest.fixture
def data(work):
    """Arrays that can be changed, saved."""
    (work / "model.py").write_text(FACTORIES)
    x = np.random.default_rng(0).normal(size=(8, 4, 3)).astype(np.float32)
    y = np.arange(8) % 2

    def saved(**changed):
        arrays = {"x_train": x, "y_train": y, "x_valid": x, "y_valid": y} | changed
        np.savez(work / "data.npz", **arrays)

    saved()
    return saved


@pytest.mark.parametrize("name", REFUSED)
def test_a_factory_may_fail(data, refused, name):
    line = refused("compress", f"model.py:{name}", "data.npz", *OPTIONS)
    assert line == f"model.py:{name} fails: {REFUSED[name]}"


@pytest.mark.parametrize(("name", "what"), [("number", "an int"), ("nothing", "None")])
def test_a_factory_gives_a_module(data, refused, name, what):
    line = refused("compress", f"model.py:{name}", "data.npz", *OPTIONS)
    assert line == f"model.py:{name} gives {what} (FACTORY); hint: {MODULE}"


def test_all_frames_of_a_data_set_are_of_one_width(data, refused):
    data(x_valid=np.zeros((8, 4, 2), np.float32))
    assert refused("compress", "model.py:tagger", "data.npz", *OPTIONS) == (
        "x_valid is float32 of shape (8, 4, 2), and x_train float32 of shape (8, 4, 3) (data.npz); "
        "hint: only the numbers of sequences and steps may differ"
    )


def test_numbers_to_learn_are_a_task_of_their_own(data, refused):
    data(y_train=np.zeros(8))
    assert refused("compress", "model.py:tagger", "data.npz", *OPTIONS) == (
        "y_train is float64 of shape (8,) (data.npz); "
        "hint: give integers of shape (8,), or --task regression for numbers"
    )
