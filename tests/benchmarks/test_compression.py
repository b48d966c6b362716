"""The compression benchmark in small: made-up data, one seed, an epoch of each kind."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("rapidfuzz")
pytest.importorskip("matplotlib")
FOLDER = Path(__file__).parents[2] / "benchmarks/compression"


@pytest.fixture
def benchmark(monkeypatch):
    """Its modules, which import each other by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("tasks", "run", "report"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import report
    import run
    import tasks

    yield tasks, run, report
    for name in ("tasks", "run", "report"):  # tests/report is another report
        sys.modules.pop(name, None)


def made(tasks):
    """A task of the benchmark's kind, learned in a second: is the first input's sum positive?"""
    from penstock.compress.dataset import make_dataset

    def load(folder):
        generator = np.random.default_rng(0)
        arrays = {}
        for name, count in (("train", 300), ("valid", 60), ("test", 60)):
            x = generator.normal(0, 1, (count, 6, 8)).astype(np.float32)
            arrays |= {f"x_{name}": x, f"y_{name}": (x[:, :, 0].sum(axis=1) > 0).astype(int)}
        return make_dataset(arrays, "classification", str(folder))

    def make():
        lstm = torch.nn.LSTM(8, 32, batch_first=True)
        return tasks.Recognizer(lstm, 2, "last", dropout=0.2, noise=0.1)

    return replace(
        tasks.DIGITS, name="made", load=load, make=make, levels=(0.5, 0.2), longer=(0.3,),
        epochs=tasks.Epochs(dense=6, more=1, pruned=2, quantized=1), rate=2e-2,
        banks={"lstm.weight_ih_l0": 8, "lstm.weight_hh_l0": 16, "head.weight": 16},
    )  # fmt: skip


def test_runs_are_kept_gone_on_with_and_reported(benchmark, tmp_path, monkeypatch, capsys):
    tasks, run, report = benchmark
    task = made(tasks)
    for module in (tasks, run, report):
        monkeypatch.setattr(module, "TASKS", {"made": task})
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "FORMATS", (run.Format(0.2, 4, rows=True),))
    monkeypatch.setattr(run, "LONGER_FORMATS", (run.Format(0.3, 4, longer=True),))
    stages = ("more", "pe_balanced", "bank_balanced", "formats", "longer", "pack")
    run.work("made", 0, stages, tmp_path, tmp_path / "scratch")
    lines = [json.loads(line) for line in (tmp_path / "made-0.jsonl").read_text().splitlines()]
    found = {line["run"]: line for line in lines}
    assert list(found) == [
        "dense", "dense, trained on", "pe_balanced/0.5", "pe_balanced/0.2", "bank_balanced/0.5",
        "bank_balanced/0.2",
        "quantized/20%, 4 bits, scale a row", "longer/1.0", "longer/0.3",
        "quantized/30%, 4 bits, retrained longer", "smallest/20%, 4 bits, scale a row",
        "smallest/30%, 4 bits, retrained longer",
    ]  # fmt: skip
    assert found["dense"]["error"] < 0.25
    assert found["longer/1.0"]["density"] == 1.0
    assert found["longer/0.3"]["density"] == pytest.approx(0.3, abs=0.02)
    assert found["pe_balanced/0.2"]["density"] == pytest.approx(0.2, abs=0.02)
    quantized = found["quantized/20%, 4 bits, scale a row"]
    assert quantized["density"] < 0.25, "pruned weights came back"
    assert quantized["ratio"] > 5 and 8 <= quantized["bits_per_nonzero"] < 16
    smallest = found["smallest/20%, 4 bits, scale a row"]
    assert smallest["ratio"] >= quantized["ratio"] and smallest["index_bits"] in run.INDEX_BITS
    assert smallest["density"] == quantized["density"]
    assert (tmp_path / "scratch/made/0/20%-4-bits-scale-a-row/graph.json").exists()
    capsys.readouterr()
    run.work("made", 0, stages, tmp_path, tmp_path / "scratch")
    assert capsys.readouterr().out == "", "something was run again"
    shown = report.text()
    assert "| 20%, 4 bits, scale a row |" in shown and "| 50% |" in shown
    assert "dense, with itself as the teacher" in shown and ", 30% " in shown
    denser = [{f"{name}/0.2": {"error": 0.5, "density": density}} for name, density in
              (("unstructured", 0.2), ("column_balanced", 0.3))]  # fmt: skip
    assert report.cell([denser[0] | denser[1]], "column_balanced", 0.2).endswith(" (at 30.0%)")
    assert report.cell([denser[0]], "unstructured", 0.2) == "50.0 +- 0.0"
    monkeypatch.setattr(report, "PICTURES", tmp_path)
    report.draw()
    assert (tmp_path / "density.svg").stat().st_size > 1000


def test_the_standard_error_is_that_of_sequences(benchmark, tmp_path):
    """For one label a sequence, it is that of a proportion."""
    tasks, run, _ = benchmark
    runner = run.Runner(made(tasks), 0, tmp_path, tmp_path, tmp_path / "none.jsonl")
    fixed = torch.zeros(60, 2)
    fixed[:, 1] = 1.0
    found = runner.score(runner.loop("x"), lambda x, lengths: fixed[: len(x)])
    wrong = float((runner.data.test.y == 0).mean())
    assert found["error"] == pytest.approx(wrong)
    assert found["standard_error"] == pytest.approx((wrong * (1 - wrong) / 60) ** 0.5)


def test_phone_errors_are_counted_over_all_utterances(benchmark):
    from penstock.compress.dataset import IGNORED, Split

    tasks, _, _ = benchmark
    y = np.array([[IGNORED, 1, 1, 1, 2, 2, 2], [IGNORED, 3, 3, 3, IGNORED, IGNORED, IGNORED]])
    split = Split(np.zeros((2, 7, 1), np.float32), y, np.array([7, 4]))
    answers = [np.eye(5)[[0, 1, 1, 1, 2, 2, 2]], np.eye(5)[[0, 4, 4, 4]]]
    assert tasks.phone_error(split, answers) == {"per": pytest.approx(1 / 3)}
