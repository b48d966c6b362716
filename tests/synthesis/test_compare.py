"""What is not as planned is said, a line for each thing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthesis.written import OLD, write

from penstock.errors import PenstockError
from penstock.synthesis import compare, find_reports
from penstock.synthesis.values import as_values


@pytest.fixture
def compared(plan, tmp_path):
    def run(written):
        return compare(plan, find_reports(tmp_path, str(write(written, tmp_path / "vitis"))))

    return run


@pytest.mark.parametrize("version", [OLD, "2022.1", "2024.1", "2025.2"])
def test_all_as_planned(compared, good, plan, version):
    found = compared(replace(good, version=version))
    assert found.failures == found.unchecked == () and found.passed
    assert [loop.name for loop in found.loops] == list(plan.loops)


def test_an_accumulator_that_is_slower_than_the_proof(compared, good):
    found = compared(replace(good, store_state=10))
    assert found.failures == (
        "acc_0_0 and 1 more in spmv_group_Pipeline_WORDS: 5 words from a load to the first that "
        "sees its store, the proof used 4",
    )


def test_an_accumulator_that_is_as_slow_as_the_proof_allows(compared, good):
    assert compared(replace(good, store_state=9)).passed


@pytest.mark.parametrize("state, distance", [(5, None), (6, 1), (7, 2)])
def test_packets_that_are_written_in_time(compared, good, state, distance):
    """Words are gathered in state 6; what is written before it needs no distance."""
    found = compared(replace(good, packet_state=state))
    activations = as_values(found)["activations"]
    assert found.passed and activations["planned_distance"] == 2
    assert activations["distance"] == distance
    assert as_values(found)["accumulators"]["distance"] == 3


def test_packets_that_are_written_too_late(compared, good):
    assert compared(replace(good, packet_state=8)).failures == (
        "vector in spmv_group_Pipeline_WORDS: 3 words from a load to the first that sees its "
        "store, the proof used 2",
    )


@pytest.mark.parametrize("ii, said", [("2", "II = 2"), ("undef", "not pipelined"), ("0", "II = 0")])
def test_a_loop_of_another_ii(compared, good, ii, said):
    found = compared(good.with_loop("spmv_group.WORDS", ii))
    assert found.failures == (
        f"spmv_group.WORDS: {said} in spmv_group_Pipeline_WORDS, II = 1 planned",
    )


def test_a_loop_that_is_not_reported(compared, good):
    found = compared(good.without("pack_results.PACKETS"))
    assert found.failures == ("pack_results.PACKETS: no such loop in the reports, II = 1 planned",)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"top": "other"}, "the top function is other, not lstm_top: is it of another project?"),
        ({"part": "xc7z020-clg400-1"}, "the part is xc7z020-clg400-1, not xcu55c-fsvh2892-2L-e"),
        ({"target": "10.00"}, "the clock's target is 10.0 ns, not 5.00 ns"),
        ({"target": "undef"}, "the clock's target is unknown ns, not 5.00 ns"),
        ({"estimated": "undef"}, "the estimated clock period is unknown"),
        ({"estimated": "4.300"}, "the clock is missed: 4.30 ns estimated, 5.00 ns less 0.75 ns of "
         "uncertainty wanted"),
        ({"used": {"LUT": "30001"}}, "it does not fit: 30,001 LUT of 30,000"),
        ({"cosim": ("Fail", "1", "2", "3")}, "co-simulation in Verilog: Fail"),
    ],
)  # fmt: skip
def test_what_belongs_to_the_whole_design(compared, good, change, said):
    assert said in compared(replace(good, **change)).failures


def test_a_clock_that_is_just_met(compared, good):
    assert compared(replace(good, estimated="4.250")).passed


def test_without_co_simulation_only_its_cycles_are_open(compared, good):
    found = compared(replace(good, cosim=None))
    assert found.passed and found.unchecked == ("cycles of a call: co-simulation was not run",)


def test_without_a_schedule_report_the_distance_is_not_proven(plan, good, tmp_path):
    solution = write(good, tmp_path / "vitis")
    for path in (solution / ".autopilot/db").iterdir():
        path.unlink()
    found = compare(plan, find_reports(tmp_path, str(solution)))
    assert found.failures == (
        "not checked: the distance from load to store of the accumulators: no "
        "spmv_group*.verbose.sched.rpt shows it",
    )


def test_without_a_synthesis_report_the_loops_are_not_proven(plan, good, tmp_path):
    solution = write(good, tmp_path / "vitis")
    (solution / "syn/report/csynth.xml").unlink()
    found = compare(plan, find_reports(tmp_path, str(solution)))
    assert found.failures == (
        "not checked: the II of the loops, clock and resources: there is no csynth.xml",
    )


def test_the_values_hold_estimates_beside_synthesis(compared, good, plan):
    values = as_values(compared(good))
    bram = next(row for row in values["resources"] if row["name"] == "bram18")
    assert bram["synthesis"] == 120 and bram["ratio"] == 120 / plan.resources["bram18"]
    ff = next(row for row in values["resources"] if row["name"] == "ff")
    assert ff["estimate"] == plan.resources["ff"] > 0
    assert ff["ratio"] == ff["synthesis"] / ff["estimate"]
    assert values["accumulators"]["distance"] == 3
    assert values["latency"]["step"] == {"low": 300, "high": 700}
    assert values["latency"]["simulated"]["step"] == 1300 / 3


@pytest.mark.parametrize("inside", ["hls", "solution", "vitis_component/hls", ""])
@pytest.mark.parametrize("start", ["vitis", "vitis_project", "vitis_component"])
def test_reports_are_found_in_the_work_folders_of_both_flows(good, tmp_path, start, inside):
    solution = write(good, tmp_path / start / inside)
    assert find_reports(tmp_path, "auto").solution == solution
    assert find_reports(tmp_path, start).solution == solution
    assert find_reports(tmp_path, str(solution / "syn/report")).solution == solution


def test_two_syntheses_have_to_be_told_apart(good, tmp_path):
    one, two = (write(good, tmp_path / f"vitis/{name}") for name in ("hls", "other"))
    with pytest.raises(PenstockError) as caught:
        find_reports(tmp_path, "auto")
    assert caught.value.line() == (
        f"there are reports of 2 syntheses: {one}, {two} ({tmp_path / 'vitis'}); hint: give one of "
        "these folders with --synthesis"
    )


def test_folders_without_reports(tmp_path):
    with pytest.raises(PenstockError, match="there is none of vitis/, vitis_project/"):
        find_reports(tmp_path, "auto")
    with pytest.raises(PenstockError, match=r"there is no such folder \(nowhere\)"):
        find_reports(tmp_path, "nowhere")
    (tmp_path / "vitis/syn/report").mkdir(parents=True)
    with pytest.raises(PenstockError, match="there are no reports of Vitis HLS"):
        find_reports(tmp_path, "vitis")
