"""The benchmark of banks in small: made-up data, one seed, an epoch of each kind."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("rapidfuzz")
pytest.importorskip("matplotlib")
FOLDER = Path(__file__).parents[2] / "benchmarks/compression"
MODULES = ("tasks", "run", "report", "banks")


@pytest.fixture
def banks(monkeypatch):
    """The module, which imports others by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import banks

    yield banks
    for name in MODULES:  # tests/report is another report
        sys.modules.pop(name, None)


def frames(folder):
    """Is the running sum of the first input positive?"""
    from penstock.compress.dataset import make_dataset

    generator, arrays = np.random.default_rng(0), {}
    for name, count in (("train", 560), ("valid", 40), ("test", 40)):
        x = generator.normal(0, 1, (count, 6, 8)).astype(np.float32)
        y = (x[:, :, 0].cumsum(axis=1) > 0).astype(np.int64)
        arrays |= {f"x_{name}": x, f"y_{name}": y}
    return make_dataset(arrays, "labelling", str(folder))


def test_both_patterns_are_measured_alike_and_only_seeds_that_are_complete_are_told(
    banks, tmp_path, monkeypatch
):
    import tasks

    def make():
        lstm = torch.nn.LSTM(8, 16, batch_first=True)
        return tasks.Recognizer(lstm, 8, "step", dropout=0.1)

    small = replace(
        tasks.PHONES, name="made", load=frames, make=make, rate=2e-2,
        epochs=tasks.Epochs(dense=2, more=1, pruned=1, quantized=1),
        banks={"lstm.weight_ih_l0": 8, "lstm.weight_hh_l0": 16, "head.weight": 16}, floors={},
    )  # fmt: skip
    monkeypatch.setattr(banks, "PHONES", small)
    monkeypatch.setattr(banks, "RESULTS", tmp_path)
    monkeypatch.setattr(banks, "BANKS", 4)
    monkeypatch.setattr(banks, "FORMAT", banks.Format(0.5, 12))
    monkeypatch.setattr(banks, "LEVELS", (0.7, 0.5))
    hardware = banks.Hardware(dataflow="bank", rows=8, banks=4)
    monkeypatch.setitem(banks.HARDWARE, "banks", hardware)
    assert banks.text(2) == "No seed is complete yet."
    banks.results(2).mkdir()
    task = banks.task(2)
    runner = banks.Runner(task, 0, tmp_path, tmp_path, banks.results(2) / "0.jsonl")
    assert len(runner.data.train) == 280 and len(runner.data.test) == 20
    banks.measure(runner)
    assert list(runner.done) == [
        "dense", "pe_balanced/0.7", "pe_balanced/0.5", "quantized/pe_balanced", "banks/0.7",
        "banks/0.5", "quantized/banks",
    ]  # fmt: skip
    assert runner.done["quantized/banks"]["waste"] == 0
    assert runner.done["banks/0.5"]["density"] == pytest.approx(0.5)
    (banks.results(2) / "1.jsonl").write_text('{"run": "dense"}\n')
    table = banks.text(2)
    assert "Of 1 seed," in table and "every 2nd chunk" in table and "EVERY=2" in table
    assert "for 2 epochs" in table
