"""Small torch models through torch.onnx.export, by both exporters, against the module itself."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import penstock
from penstock import PenstockError
from penstock.frontend import from_onnx, is_onnx

pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript: pip install '.[dev]'")
INPUTS, CELLS, CLASSES = 4, 6, 3
DYNAMO = pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])


class Classifier(nn.Module):
    """A recurrent module, and a Linear layer on its last step, at every step, or on a mean."""

    def __init__(self, kind, at="last", **options):
        super().__init__()
        self.rnn = kind(INPUTS, CELLS, batch_first=True, **options)
        width = options.get("proj_size") or CELLS
        self.fc = nn.Linear(width * (2 if options.get("bidirectional") else 1), CLASSES)
        self.at = at

    def forward(self, x):
        y = self.rnn(x)[0]
        if self.at == "mean":
            return self.fc(y.mean(1))
        return self.fc(y if self.at == "step" else y[:, -1])


class Stateful(nn.Module):
    """An LSTM whose state is given and returned."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(INPUTS, CELLS, batch_first=True)

    def forward(self, x, h0, c0):
        y, (h, c) = self.rnn(x, (h0, c0))
        return y, h, c


def exported(module, path, dynamo, *arguments, **options):
    arguments = arguments or (torch.randn(2, 5, INPUTS),)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dynamo:
                torch.onnx.export(module.eval(), arguments, path, dynamo=True, verbose=False)
            else:
                free = {"x": {0: "lanes", 1: "steps"}}
                torch.onnx.export(module.eval(), arguments, path, dynamo=False,
                                  input_names=["x", "h0", "c0"][: len(arguments)],
                                  dynamic_axes=free if len(arguments) == 1 else None)  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    return path


@pytest.mark.parametrize(
    ("at", "dynamo"), [("last", False), ("step", False), ("mean", False), ("mean", True)]
)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LSTM, {}), (nn.GRU, {}), (nn.LSTM, {"bidirectional": True, "num_layers": 2}),
        (nn.GRU, {"bidirectional": True, "bias": False}),
    ],
    ids=["LSTM", "GRU", "two bidirectional LSTMs", "bidirectional GRU"],
)  # fmt: skip
@torch.no_grad()
def test_a_classifier_is_what_the_module_is(tmp_path, kind, options, at, dynamo):
    torch.manual_seed(0)
    module = Classifier(kind, at, **options)
    model = from_onnx(exported(module, tmp_path / "m.onnx", dynamo))
    x = torch.randn(3, 9, INPUTS)
    expected = module(x).numpy().reshape(3, -1, CLASSES)
    np.testing.assert_allclose(model.run(x.numpy()), expected, rtol=0, atol=1e-5)
    assert not [note for note in model.notes if "not compared" in note]


@DYNAMO
def test_the_content_says_that_it_is_onnx(tmp_path, dynamo):
    path = exported(Classifier(nn.LSTM), tmp_path / "model.bin", dynamo)
    assert is_onnx(path)
    assert penstock.compile(path, hardware=penstock.Hardware(pes=2)).machine.products
    for option in ({"key": "model"}, {"only": ["rnn"]}):
        with pytest.raises(PenstockError, match="key and only choose in a state dict"):
            penstock.compile(path, **option)


@torch.no_grad()
def test_nn_rnn_is_followed_from_the_legacy_exporter(tmp_path):
    module = Classifier(nn.RNN)
    model = from_onnx(exported(module, tmp_path / "m.onnx", dynamo=False))
    x = torch.randn(3, 9, INPUTS)
    np.testing.assert_allclose(model.run(x.numpy())[:, 0], module(x).numpy(), rtol=0, atol=1e-5)


def test_nn_rnn_is_unrolled_by_dynamo_and_refused(tmp_path):
    path = exported(Classifier(nn.RNN), tmp_path / "m.onnx", dynamo=True)
    with pytest.raises(PenstockError, match="the recurrence is unrolled into single operations"):
        from_onnx(path)


def test_a_projection_is_cut_by_dynamo_and_refused(tmp_path):
    path = exported(Classifier(nn.LSTM, proj_size=3), tmp_path / "m.onnx", dynamo=True)
    with pytest.raises(PenstockError, match="torch's exporter writes an LSTM with proj_size so"):
        from_onnx(path)


@DYNAMO
def test_states_are_inputs_and_final_states_are_read(tmp_path, dynamo):
    states = (torch.randn(1, 2, CELLS), torch.randn(1, 2, CELLS))
    path = exported(Stateful(), tmp_path / "m.onnx", dynamo, torch.randn(2, 5, INPUTS), *states)
    model = from_onnx(path)
    assert model.notes == [
        "the final states are read with --state-output",
        "the initial state (h0, c0) is given with --state; zero without",
        "'x' has 5 steps in the file; the network takes any",
    ]


@DYNAMO
@torch.no_grad()
def test_an_embedding_stays_on_the_host(tmp_path, dynamo):
    module = nn.Sequential(nn.Embedding(9, INPUTS), Classifier(nn.LSTM))
    tokens = torch.randint(9, (2, 5))
    model = from_onnx(exported(module, tmp_path / "m.onnx", dynamo, tokens))
    assert model.table is not None
    y = model.run(model.table[tokens.numpy()])
    np.testing.assert_allclose(y[:, 0], module(tokens).numpy(), rtol=0, atol=1e-5)
