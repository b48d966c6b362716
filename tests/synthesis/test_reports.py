"""The vendor's reports are read as they are, in every version's form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthesis.written import NEW, OLD, write, write_cosim

from penstock.errors import PenstockError
from penstock.synthesis import find_reports
from penstock.synthesis.cosim import read_cosim, read_transactions
from penstock.synthesis.csynth import Range, read_csynth
from penstock.synthesis.schedule_report import read_updates


@pytest.fixture(params=[OLD, NEW])
def written(request, good):
    return replace(good, version=request.param)


def read(written, tmp_path):
    reports = find_reports(tmp_path, str(write(written, tmp_path / "solution")))
    return read_csynth(reports.csynth, reports.functions)


def test_a_synthesis_report(written, tmp_path):
    found = read(written, tmp_path)
    assert (found.version, found.top, found.part) == (written.version, "lstm_top", written.part)
    assert (found.target_ns, found.uncertainty_ns, found.estimated_ns) == (5.0, 0.75, 4.012)
    assert found.latency == (12000, None, None)
    assert found.used == {"bram18": 120, "dsp": 24, "ff": 21034, "lut": 17312, "uram": 0}
    assert set(found.available.values()) == {30000}


def test_loops_of_every_module(written, tmp_path):
    pipelined = [loop for loop in read(written, tmp_path).loops if loop.ii is not None]
    assert len(pipelined) == len(written.loops)
    assert {(loop.ii, loop.depth, loop.trip_count) for loop in pipelined} == {(1, 5, Range(16, 16))}


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("16", Range(16, 16)),
        ("3 ~ 8", Range(3, 8)),
        ("\n<range>\n<min>1</min>\n<max>8547</max>\n</range>\n", Range(1, 8547)),
        ("undef", None), ("?", None), ("-", None), ("", None), ("undef ~ 3", None),
    ],
)  # fmt: skip
def test_trip_counts(good, tmp_path, text, wanted):
    written = good.with_loop("spmv_group.WORDS", trips=text)
    (loop,) = (loop for loop in read(written, tmp_path).loops if "spmv_group" in loop.module)
    assert loop.trip_count == wanted


@pytest.mark.parametrize("ii", ["undef", "-", "no", "1.5", "\N{SUPERSCRIPT TWO}"])
def test_a_loop_without_an_ii_is_not_pipelined(good, tmp_path, ii):
    written = good.with_loop("spmv_group.WORDS", ii=ii)
    loops = read(written, tmp_path).loops
    assert [loop.ii for loop in loops if loop.module == "spmv_group_Pipeline_WORDS"] == [None]


def test_the_step_loop_is_not_pipelined(good, tmp_path):
    (loop,) = (loop for loop in read(good, tmp_path).loops if loop.name == "SWEEP_0")
    assert loop.ii is None and loop.iteration == Range(300, 700)


@pytest.mark.parametrize(
    "content, said",
    [
        ("<profile>", "the report is damaged: no element found: line 1, column 9"),
        ("", "the report is damaged: no element found: line 1, column 0"),
        ("<html></html>", "this is no report of Vitis HLS: its root is 'html'"),
        ("<profile/>", "the report names no top function"),
    ],
)
def test_a_damaged_report_is_named(tmp_path, content, said):
    path = tmp_path / "csynth.xml"
    path.write_text(content)
    with pytest.raises(PenstockError) as caught:
        read_csynth(path, {})
    assert caught.value.line() == f"{said} ({path}); hint: run make csynth again"


def test_accumulators_are_what_a_pipeline_loads_and_stores(written, tmp_path):
    reports = find_reports(tmp_path, str(write(written, tmp_path / "solution")))
    ((function, path),) = reports.schedules.items()
    found = read_updates(path, function)
    assert [update.array for update in found] == ["acc_0_0", "acc_0_1"]
    assert {(update.load, update.store, update.cycles) for update in found} == {(4, 6, 3)}


def test_a_pipeline_of_a_greater_ii_needs_fewer_iterations(good, tmp_path):
    reports = find_reports(tmp_path, str(write(good, tmp_path / "solution")))
    (path,) = reports.schedules.values()
    path.write_text(path.read_text().replace("II = 1", "II = 2"))
    assert {update.iterations for update in read_updates(path, "f")} == {2}


def test_a_file_without_operations_is_no_schedule_report(tmp_path):
    path = tmp_path / "a.verbose.sched.rpt"
    path.write_text("State 1\n")
    with pytest.raises(PenstockError, match="this is no schedule report: it lists no operations"):
        read_updates(path, "a")


def test_co_simulation(tmp_path):
    write_cosim(("Pass", "1200", "1300", "1400"), tmp_path)
    found = read_cosim(tmp_path / "sim/report/lstm_top_cosim.rpt")
    assert (found.language, found.passed, found.latency) == ("Verilog", True, (1200, 1300, 1400))
    assert read_transactions(tmp_path / "sim/report/verilog/result.transaction.rpt") == [
        1200,
        1400,
        1300,
    ]


def test_co_simulation_that_was_not_run(tmp_path):
    write_cosim(("NA", "NA", "NA", "NA"), tmp_path)
    assert read_cosim(tmp_path / "sim/report/lstm_top_cosim.rpt") is None


def test_another_file_is_no_report_of_co_simulation(tmp_path):
    path = tmp_path / "x_cosim.rpt"
    path.write_text("nothing")
    with pytest.raises(PenstockError, match="no row for Verilog or VHDL"):
        read_cosim(path)


def test_what_is_written_before_it_is_read_is_no_accumulator(good, tmp_path):
    written = replace(good, load_state=6, store_state=4)
    reports = find_reports(tmp_path, str(write(written, tmp_path / "solution")))
    (path,) = reports.schedules.values()
    assert read_updates(path, "f") == []
