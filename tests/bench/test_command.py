"""``penstock bench``, as a user calls it."""

from __future__ import annotations

import json
from functools import partial

import pytest

from penstock_runtime.bench import table
from penstock_runtime.bench.table import NOT_RUN, NOT_SHOWN

ROW = {"seconds": [1e-6] * 9, "step_seconds": 2e-5, "step_joules": None}
CPU = {"dense": ROW, "sparse": ROW, "engine": {**ROW, "name": "numpy", "seconds": None}}


@pytest.fixture
def bench(folder, run_penstock, monkeypatch):
    """Run the command; what children measure is CPU. -> (exit status, stdout, stderr)."""
    monkeypatch.setattr(table, "_threads", lambda: [1, 4])
    monkeypatch.setattr(table, "find_spec", lambda name: None)

    def child(folder, what, threads, sequences, repeat):
        assert (sequences, repeat) == (2, 9)
        found = {key: dict(row) for key, row in CPU.items()}
        if threads > 1:
            del found["sparse"]
        return found

    monkeypatch.setattr(table, "_child", child)

    return partial(run_penstock, "bench", folder)


def test_the_table(bench):
    status, out, err = bench()
    assert (status, err) == (0, "")
    assert "planned: 4 PEs, 2 lanes, 200 MHz" in out and "whole step" in out
    assert "2 side by side" in out and "4 threads" in out and "as published" not in out
    assert f"note: {NOT_RUN}" in out and f"note: {NOT_SHOWN}" in out
    assert "note: no GPU was looked for: torch is not installed" in out
    assert "note: energy: this machine has no counter that can be read" in out


def test_json(bench):
    status, out, err = bench("--json")
    values = json.loads(out)
    assert (status, err) == (0, "") and values["published"] is None
    assert [(row["contender"].split(",")[0], row["threads"]) for row in values["measured"]] == [
        ("dense", 1), ("CSR", 1), ("Penstock's numpy engine", 1),
        ("dense", 4), ("Penstock's numpy engine", 4),
    ]  # fmt: skip
    assert values["measured"][0]["us"] == [1.0] * 9 and values["measured"][0]["step_us"] == 20.0
    assert len(values["planned"]) == 10


def test_nothing_is_measured_if_that_is_not_wanted(bench):
    status, out, err = bench("--no-cpu", "--ese")
    assert (status, err) == (0, "") and NOT_SHOWN not in out and "side by side" not in out
    (row,) = (line for line in out.splitlines() if "ESE, as published" in line and "2,520" in line)
    assert [cell for cell in row.split() if cell[0].isdigit()] == ["82.7", "282", "2,520"]
    assert "200 MHz and 41 W, 32 sequences at once" in out
    assert "43 times as fast as Core i7-5930K, 40 times its energy efficiency" in out


def test_a_measurement_that_fails_is_said(bench, monkeypatch):
    monkeypatch.setattr(table, "_child", lambda *given: {"note": "not measured: Killed"})
    status, out, err = bench()
    assert (status, err) == (0, "") and "note: CPU: not measured: Killed" in out


def test_energy_has_a_row_where_it_is_counted(bench, monkeypatch):
    counted = {"dense": {**ROW, "step_joules": 0.25}}
    monkeypatch.setattr(
        table, "_child", lambda *given: {key: dict(counted[key]) for key in counted}
    )
    _, out, _ = bench()
    assert "energy of a step, mJ" in out and "250.00" in out


def test_another_folder_is_refused(run_penstock, tmp_path):
    status, _, err = run_penstock("bench", tmp_path)
    assert status == 2
    assert err.startswith("error: this is not a Penstock project")


def test_a_child_measures(folder):
    found = table._child(folder, "cpu", 1, 1, 1)
    assert "note" not in found and found["dense"]["step_seconds"] > 0
    assert found["engine"]["name"] in ("native", "numpy")


def test_a_child_that_fails_says_why(tmp_path):
    found = table._child(tmp_path, "cpu", 1, 1, 1)
    assert found["note"].startswith("not measured: ") and "not a Penstock project" in found["note"]
