"""The table of C simulation's figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks/performance"


@pytest.fixture
def csim_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "csim", raising=False)
    import csim

    yield csim
    sys.modules.pop("csim")


def test_every_recorded_figure_stands_in_the_table(csim_benchmark):
    results = json.loads(csim_benchmark.RESULTS.read_text())
    table = csim_benchmark.table(results)
    for row in results["rows"]:
        for key in csim_benchmark.TITLES:
            assert f" {row[key]:.2f} " in table
    assert table.count("\n") == 1 + len(csim_benchmark.TITLES) + 2
    assert results["date"] in table and results["machine"] in table
