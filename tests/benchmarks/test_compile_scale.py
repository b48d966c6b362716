"""The bench of compiles by size: a small network is measured, and its row fits the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks/performance"


@pytest.fixture
def bench(monkeypatch):
    """Its modules, which import each other by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("children", "compile_scale"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import compile_scale

    return compile_scale


def test_a_network_is_measured_saved_and_listed(bench, tmp_path, monkeypatch):
    import children

    monkeypatch.setattr(children, "RESULTS", tmp_path / "results")
    (row,) = rows = bench.measure([0.03])
    assert row["network"] == "LSTM, 0.03 M"
    assert row["nonzeros"] == pytest.approx(0.1 * row["weights"], rel=0.1)
    assert all(row[name] > 0 for name in row if name.endswith(("_cpu_s", "_mb")))
    children.save("compile", rows)
    found = children.load("compile")
    assert found["rows"] == rows and found["machine"].keys() == {"cpu", "cores", "python", "date"}
    heading, _, line = bench.table(found["rows"]).splitlines()
    assert heading.count("|") == line.count("|") and "0.03 M" in line


def test_the_results_that_are_kept_make_a_table(bench):
    assert len(bench.table(bench.load("compile")["rows"]).splitlines()) == 2 + 1 + 5
