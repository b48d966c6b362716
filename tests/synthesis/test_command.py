"""``penstock report``, as a user calls it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
from synthesis.written import write


@pytest.fixture
def report(project, run_penstock, tmp_path, monkeypatch):
    """Run the command on a copy of the project. -> (exit status, stdout, stderr)."""
    shutil.copytree(project, tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    return partial(run_penstock, "report")


def test_alone_it_prints_the_summary(report):
    status, out, err = report("project")
    assert (status, err) == (0, "")
    assert out.startswith("project: 4 PEs") and " cycles per step by the timeline" in out


def test_as_planned(report, good, tmp_path):
    write(good, tmp_path / "project/vitis/hls")
    status, out, err = report("project", "--synthesis", "vitis")
    assert (status, err) == (0, "")
    assert "spmv_group.WORDS" in out and "usable again after 3 words; the proof used 4" in out
    assert "co-simulation, Verilog: Pass; cycles of a call: 1,200 / 1,300 / 1,400" in out
    assert out.endswith(
        "PASS: every loop has the planned II, and the accumulators the distance of the proof\n"
    )


def test_not_as_planned(report, good, tmp_path):
    write(good.with_loop("spmv_group.WORDS", "8"), tmp_path / "project/vitis_project/solution")
    status, out, err = report("project", "--synthesis", "auto")
    assert (status, err) == (1, "")
    assert out.splitlines()[-1] == (
        "FAIL: spmv_group.WORDS: II = 8 in spmv_group_Pipeline_WORDS, II = 1 planned"
    )


def test_json(report, good, tmp_path):
    write(replace(good, store_state=12), tmp_path / "project/vitis")
    status, out, err = report("project", "--synthesis", "auto", "--json")
    values = json.loads(out)
    assert (status, err) == (1, "")
    assert values["schema"] == 1 and not values["passed"] and len(values["failures"]) == 1
    assert values["accumulators"]["distance"] == 7


@pytest.mark.parametrize(
    "words, said",
    [
        (["nowhere"], "this is not a Penstock project"),
        (["project", "--synthesis", "auto"], "there is none of vitis/, vitis_project/, "),
        (["project", "--synthesis", "kernel"], "there are no reports of Vitis HLS"),
    ],
)
def test_what_is_refused(report, words, said):
    status, out, err = report(*words)
    assert (status, out) == (2, "") and err.startswith(f"error: {said}")


def test_a_report_that_was_edited_is_refused(report, tmp_path):
    with (tmp_path / "project/report.json").open("a") as file:
        file.write(" ")
    status, out, err = report("project")
    assert (status, out) == (2, "") and "report.json is not the file that the compiler wrote" in err
