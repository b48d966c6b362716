"""A point has the figures that ``penstock compile`` reports with its settings."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from penstock import Hardware, PenstockError, Precision, Validation, compile_checkpoint
from penstock.compress import calibrate
from penstock.driver import compile_model
from penstock.exploration import State, evaluate, explore, search
from penstock.exploration.evaluate import Workshop
from penstock.exploration.network import Network, digest_of
from penstock.exploration.space import Base, options_of
from penstock.fidelity import trial_of
from penstock.schedule import schedule

FIGURES = {
    "cycles_per_step": "timeline", "bound_per_step": "timeline", "stall_cycles": "timeline",
    "microseconds_per_step": "timeline", "steps_per_second": "timeline", "nonzeros": "totals",
    "bits_per_nonzero": "totals", "part": "hardware", "pes": "hardware", "overlap": "hardware",
    "elements_per_cycle": "hardware", "weight_storage": "hardware", "dataflow": "hardware",
}  # fmt: skip
"""Of a point -> the section of report.json."""


def assert_as_reported(found, report):
    """Every figure, and the error."""
    for name, section in FIGURES.items():
        assert getattr(found.figures, name) == report[section][name], name
    assert found.figures.stored_bits == sum(report["totals"]["bits"].values())
    for name, row in found.figures.resources.items():
        told = report["resources"]["totals"][name]
        assert (row.used, row.total, row.limit, row.verdict) == (
            told["used"], told["total"], told["limit"], told["verdict"],
        )  # fmt: skip
    assert found.figures.ports_are_too_many == report["resources"]["ports"]["are_too_many"]
    for name in ("relative_error", "max_abs_error", "rms_error"):
        assert getattr(found.error, name) == report["error"]["output"][name]
    decisions = report["error"]["decisions"]
    assert found.error.agreement == (decisions and decisions["agreement"])
    assert found.error.labels == report["error"]["labels"]


def quietly(compiled, *words, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compiled(*words, **more)


def test_every_point_is_what_compile_reports(explored, checkpoint):
    assert len(explored.points) == 96
    for found in explored.points[::5]:
        try:
            report = quietly(
                compile_checkpoint, checkpoint, None, found.point.hardware,
                Precision(weights=found.point.values["weights"]),
            ).report  # fmt: skip
        except PenstockError as error:
            assert (found.state, found.reason) == (State.REFUSED, error.what)
        else:
            assert found.state in (State.FRONT, State.DOMINATED)
            assert not found.is_estimate
            assert_as_reported(found, report)


def test_points_are_all_combinations_and_each_says_what_became_of_it(explored):
    every = [tuple(one.point.values.values()) for one in explored.points]
    order = [axis.values for axis in explored.axes]
    assert every == list(itertools.product(*order)) and len(set(every)) == 96
    assert explored.counts[State.REFUSED] == 32
    assert sum(explored.counts.values()) == 96
    assert [(state, reason, count) for state, reason, count in explored.reasons] == [
        (State.REFUSED, "512 PEs can't share 24 cells: a PE owns whole cells", 32)
    ]
    assert repr(explored).endswith(f"{explored.counts[State.DOMINATED]} dominated, 32 refused>")


def test_the_options_of_a_point_compile_it(explored, checkpoint, tmp_path, run_penstock):
    for found in explored.front[:2]:
        words = explored.options(found)
        done = run_penstock("compile", checkpoint, "-o", tmp_path / "project", *words)
        assert done.status == 0
        assert f"{found.figures.cycles_per_step:,} cycles per step" in done.out
        assert f"{found.figures.pes} PEs" in done.out


HARD = {
    "chosen PEs": ({"pes": None, "board": "pynq-z2"}, {}),
    "what does not fit": ({"pes": [4, 24], "board": "pynq-z2", "lanes": [1, 32]}, {}),
    "broadcast": ({"dataflow": ["gather", "broadcast"], "pes": [4, 24], "queue_depth": [None]}, {}),
    "banks": ({"dataflow": ["bank", "auto"], "pes": [None, 8]}, {}),
    "row search": ({"assign": ["interleave", "search"], "pes": 5, "accumulator_banks": [None, 16]},
                   {}),
    "ports and streams": ({"io": ["memory", "stream"], "port_bits": [None, 128], "pes": 8,
                           "lanes": [1, 2]}, {"max_steps": 9}),
}  # fmt: skip


@pytest.mark.parametrize("case", HARD)
def test_points_of_every_kind_are_what_compile_reports(case, network):
    axes, fixed = HARD[case]
    found = explore(network, axes, hardware=Hardware(**fixed))
    states = set()
    for one in found.points:
        states.add(one.state)
        try:
            precision = Precision(weights=one.point.values.get("weights", 12))
            report = quietly(compile_model, network, None, one.point.hardware, precision).report
        except PenstockError as error:
            assert (one.state, one.reason) == (State.REFUSED, error.what)
            continue
        if one.is_estimate:
            fits = report["resources"]["totals"].values()
            assert any(row["verdict"] == "does not fit" for row in fits)
            assert one.state is State.DOES_NOT_FIT
        else:
            assert_as_reported(one, report)
    if case == "what does not fit":
        assert State.DOES_NOT_FIT in states and len(states) > 1


def test_errors_are_those_on_the_calibration_data_or_on_labels(network):
    generator = np.random.default_rng(5)
    frames, labels = generator.normal(size=(6, 9, 6)), generator.integers(0, 3, (6, 9))
    for more in (
        {"calibration": frames, "calibration_lengths": np.array([9, 5, 9, 2, 1, 9])},
        {"calibration": frames, "validation": Validation(frames, None, labels)},
    ):
        found = explore(network, {"weights": [4, 10], "pes": 4}, **more)
        for one in found.points:
            precision = Precision(weights=one.point.values["weights"])
            report = quietly(compile_model, network, hardware=Hardware(pes=4),
                             precision=precision, **more).report  # fmt: skip
            assert_as_reported(one, report)
            if "validation" in more:
                told = report["error"]["labels"]
                assert one.loss == told["float"] - told["fixed"]


def counted(monkeypatch, module, name):
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **k: calls.append(a) or real(*a, **k))
    return calls


def test_only_what_changes_is_computed_again(network, monkeypatch):
    lowered = counted(monkeypatch, evaluate, "quantize")
    measured = counted(monkeypatch, evaluate, "measure")
    scheduled = counted(monkeypatch, evaluate, "schedule")
    explore(network, {
        "weights": [6, 12], "pes": [4, 8], "clock_mhz": [100, 200],
        "board": ["u55c", "kv260"], "weight_storage": ["stream", "onchip"],
    })  # fmt: skip
    assert len(lowered) == len(measured) == 2  # one for each width of weights
    assert len(scheduled) <= 2 * 2 * 2  # and PEs, with shared rows and without
    scheduled.clear()
    explore(network, {
        "rows": [8], "banks": [2, 4], "lanes": [1, 2], "interleave": [1, 2],
        "clock_mhz": [100, 200], "elements_per_cycle": [2],
    }, hardware=Hardware(dataflow="bank"), precision=Precision(weights=6))  # fmt: skip
    assert len(scheduled) == 2  # one for each number of banks


@pytest.mark.parametrize(
    "settings",
    [{"pes": 4}, {"pes": 8, "lanes": 4}, {"pes": 6, "overlap": False, "assign": "interleave"},
     {"pes": 4, "dataflow": "broadcast", "queue_depth": 3},
     {"dataflow": "bank", "rows": 8, "banks": 2, "lanes": 2, "interleave": 2},
     {"pes": 8, "index_bits": 2, "accumulator_banks": 4, "hazard_distance": 6, "lanes": 2}],
)  # fmt: skip
@pytest.mark.parametrize("share", [False, True])
def test_a_schedule_depends_on_nothing_but_what_it_is_remembered_by(network, settings, share):
    ranges = calibrate(network, None)
    shop = Workshop(Network(network, ranges, trial_of(network, None, None, None, ""), None, ""))
    quantized = shop._quantized(Precision())
    hardware = Hardware(
        **settings, board="kv260", clock_mhz=123.0, io="stream", port_bits=64, max_steps=7,
        weight_storage="onchip",
    )  # fmt: skip
    found = quantized.schedule(quantized.graph, hardware, share)
    real = schedule(quantized.graph, hardware, share)
    assert found.hardware == real.hardware == hardware
    assert contents(found) == contents(real)


def contents(plan):
    """Words, codes and orders of a schedule."""
    return digest_of(
        [[(p.nodes.name, repr(p.code), p.entries.fields, p.waste, p.bound) for p in plan.products],
         {name: layout.position_of for name, layout in plan.layouts.items()}, plan.banks]
    )  # fmt: skip


def test_a_clock_of_the_board_is_no_choice_and_one_that_is_given_is():
    base = Base.of(Hardware(board="pynq-z2", lanes=2), Precision(biases=12))
    assert base == Base({"board": "pynq-z2", "lanes": 2}, {"biases": 12})
    assert Base.of(Hardware(board="pynq-z2", clock_mhz=55.0), None).hardware["clock_mhz"] == 55.0


def test_without_axes_some_pes_and_weight_bits_are_tried(network):
    found = explore(network, fit="kv260")
    assert {axis.field.name: axis.values for axis in found.axes} == {
        "pes": (4, 8, 16),
        "board": ("kv260",),
        "weights": (6, 8, 10, 12),
    }
    assert {one.figures.part[:5] for one in found.points} == {"xck26"}
    words = options_of(found.points[0].point, found.base)
    assert words == ["--pes", "4", "--board", "kv260", "--weight-bits", "6"]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"axes": {"pes": [0, 2000]}}, None),
        ({"axes": {"pes": [0]}},
         "the hardware can't have 0 PEs (hardware settings); hint: choose 1 to 1024 (--pes)"),
        ({"axes": {"density": [0.1]}}, "a density is an axis only of a training (density); hint: "
         "give the data to train on (--data), or leave it out"),
        ({"max_loss": 0.1}, "nothing says what a loss is measured by (--max-loss); hint: give "
         "labels: --validate FILE.npz with x and y"),
        ({"target_us": 0}, "target_us is 0 (constraints); hint: give more than 0"),
        ({"max_error": float("nan")}, "max_error is nan (constraints); hint: give more than 0"),
        ({"jobs": 0}, "0 jobs (--jobs); hint: give 1 or more"),
        ({"fit": "kv260", "axes": {"board": "u55c"}}, "fit names the board that all points are "
         "built for (--fit); hint: leave out --board and --part, or fit"),
        ({"axes": {"pes": range(1, 1000), "max_steps": range(1, 1000)}}, "a space of 998,001 "
         "points (axes); hint: explore 100,000 at most: fewer values, or one axis after the other"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_all_points_is_one_error(more, line, network):
    if line is None:
        assert {one.state for one in explore(network, **more).points} == {State.REFUSED}
        return
    with pytest.raises(PenstockError) as refused:
        explore(network, **more)
    assert refused.value.line() == line


def test_an_outline_rules_out_only_what_compile_finds_too_slow(network):
    """A target just above the fastest point: all that is said to miss it, misses it."""
    axes = {"pes": [2, 4, 8, 24], "overlap": [True, False], "weights": [6, 12]}
    whole = explore(network, axes)
    times = [one.figures.microseconds_per_step for one in whole.points]
    for target in (min(times) * 1.02, sorted(times)[8]):
        found = explore(network, axes, target_us=target)
        assert any(one.is_estimate for one in found.points)
        for one, us in zip(found.points, times, strict=True):
            assert (one.state is State.MISSES) == (us > target)
            if not one.is_estimate:
                assert one.figures.microseconds_per_step == us


def test_constraints_leave_only_what_meets_them_and_the_nearest_is_scheduled(network, monkeypatch):
    axes = {"pes": [2, 4, 8], "weights": [4, 6, 12]}
    whole = explore(network, axes)
    errors = sorted({one.error.relative_error for one in whole.points})
    found = explore(network, axes, max_error=errors[1])
    assert {one.error.relative_error for one in found.front} <= set(errors[:2])
    assert found.counts[State.MISSES] == 3 and found.nearest is None
    assert all(one.figures is None for one in found.points if one.state is State.MISSES)
    none = explore(network, axes, max_error=errors[0] / 2, target_us=1e-3)
    assert none.front == () and not none.nearest.is_estimate
    times = [one.figures.microseconds_per_step for one in whole.points]
    assert none.nearest.figures.microseconds_per_step == min(times)
    monkeypatch.setattr(search, "NEAREST_TRIED", 1)
    assert explore(network, axes, max_error=errors[0] / 2, target_us=1e-3).nearest.is_scheduled
