"""penstock compress, and compile of what it saved."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from penstock.cli import main

pytest.importorskip("torch")
FACTORY = """
import torch

class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])
"""
OPTIONS = ["--task", "labelling", "--pes", "4", "--density", "0.5", "--weight-bits", "5",
           "--dense-epochs", "2", "--prune-epochs", "2", "--qat-epochs", "1"]  # fmt: skip


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A factory and a data set: is the running sum of the first input positive?"""
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (80, 6, 3)).astype(np.float32)
    y = (x[:, :, 0].cumsum(axis=1) > 0).astype(np.int64)
    np.savez(tmp_path / "data.npz", x_train=x[:60], y_train=y[:60], x_valid=x[60:], y_valid=y[60:])
    (tmp_path / "model.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def penstock(monkeypatch, *arguments):
    """Run the command line; its exit status."""
    monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
    try:
        main()
    except SystemExit as status:
        return status.code
    return 0


def test_compress_then_compile_needs_no_further_options(workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made) == 0
    assert "trained quantized" in capsys.readouterr().out
    assert penstock(monkeypatch, "compile", "small.safetensors", "-o", "out", "--pes", "4") == 0
    assert "no calibration data" not in capsys.readouterr().out
    graph = (workplace / "out/graph.json").read_text()
    assert '"type": "s5.' in graph and '"type": "s12.' not in graph
    assert not list(workplace.glob(".*")), "temporary files are left"


def test_formats_that_were_trained_are_not_overridden(workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made) == 0
    compile_it = ["compile", "small.safetensors", "-o", "out", "--pes", "4", "--weight-bits", "3"]
    assert penstock(monkeypatch, *compile_it) == 2
    assert capsys.readouterr().err == (
        "error: the checkpoint carries the number formats it was trained for (small.safetensors); "
        "hint: leave out --calibration and the options for bits and tables\n"
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (("model.py:Tagger", "model.py:Missing"), "model.py has no function Missing"),
        (("model.py:Tagger", "nothing.py:Tagger"), "there is no such file"),
        (("model.py:Tagger", "Tagger"), "names no factory"),
        (("data.npz", "none.npz"), "the data can't be read"),
        (("data.npz", "model.py"), "this is no .npz file"),
        (("small.safetensors", "small.pt"), "a compressed checkpoint is a .safetensors file"),
        (("labelling", "translation"), "there is no task 'translation'"),
        (("0.5", "1.5"), "density"),
        (("5", "40"), "weights of 40 bits can't be built"),
        (("--pes", "--bank"), "pe_balanced"),
    ],
)
def test_what_can_not_be_compressed_is_refused_in_one_line(
    change, message, workplace, monkeypatch, capsys
):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    if change[0] == "--pes":
        made += ["--pattern", "bank_balanced"]
        message = "bank"
    else:
        made = [change[1] if part == change[0] else part for part in made]
    assert penstock(monkeypatch, *made) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert not (workplace / "small.safetensors").exists()


@pytest.mark.parametrize(
    "added, message",
    [
        (("--bank", "4"), "the pattern pe_balanced has no banks"),
        (("--head", "final"), "in labelling the head runs at every step"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(added, message, workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made, *added) == 2
    assert message in capsys.readouterr().err
    assert not (workplace / "small.safetensors.progress").exists()
