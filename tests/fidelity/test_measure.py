"""The float network against the graph: which values are compared, and what is made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import random_model

from penstock import Hardware, PenstockError, Precision, Validation, compile_checkpoint
from penstock.calibration import calibrate
from penstock.driver import compile_graph, compile_model
from penstock.fidelity import Trial, measure, trial_of
from penstock.fidelity import trial as limits
from penstock.fidelity.decisions import rule_of
from penstock.fidelity.errors import ErrorSum, Histogram, Tally
from penstock.fixed import Fixed
from penstock.ir.evaluate import evaluate
from penstock.ir.saturation import Kind, Saturation
from penstock.layers import Lstm, Pool
from penstock.lowering import lower
from penstock.model import Place, RecurrentModel, stack
from penstock.ops.lut import sigma

PRE = ["pre_i", "pre_f", "pre_g", "pre_o"]
STEPWISE = {"cells": (6,), "head": 3, "at": "step"}


def compared(model, frames=None, counts=None, precision=None, **validation):
    """(graph, what was measured) of frames, or of validation."""
    ranges = calibrate(model, frames)
    graph = lower(model, ranges, precision or Precision())
    given = Validation(**validation) if validation else None
    return graph, measure(model, graph, trial_of(model, frames, counts, given))


def names(prefix, *more):
    return [f"{prefix}.{name}" for name in (*PRE, "c", "m", *more)]


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        ({"cells": (6,)}, ["x", *names("l0")]),
        (
            {"cells": (6, 5), "outputs": 4, "peephole": True, "head": 3, "at": "step"},
            ["x", *names("l0", "y"), *names("l1", "y"), "head.logits"],
        ),
        (
            {"cells": (6,), "bidirectional": True, "head": 2, "activation": "argmax",
             "at": "final"},
            ["x", *names("l0"), *names("l0_reverse"), "head.logits"],
        ),
        ({"cells": (6,), "head": 1, "activation": "sigmoid"}, ["x", *names("l0")]),
    ],
    ids=["plain", "projection", "directions", "probability"],
)  # fmt: skip
def test_tensors_of_one_name_are_paired(network, wanted):
    _, found = compared(random_model(**network))
    assert [one.name for one in found.tensors] == wanted


def test_paired_values_are_the_same_value_at_the_same_step():
    """Any other order would make errors as great as the values."""
    frames = np.random.default_rng(0).normal(0, 1, (5, 9, 5))
    network = random_model(cells=(6,), outputs=4, bidirectional=True, head=3, at="final")
    graph, found = compared(network, frames, np.array([9, 3, 1, 7, 9]))
    assert all(one.errors.relative < 0.01 for one in found.tensors), graph.name
    assert found.output_error.relative < 0.01


def test_a_mean_is_paired_and_counts_once_a_sequence():
    network = random_model(cells=(6,))
    places = (*network.places, Place("mean", Pool(6, "mean"), ("l0",)))
    _, found = compared(RecurrentModel(5, places, ("mean",)))
    mean = {one.name: one for one in found.tensors}["mean.y"]
    assert mean.errors.count == found.sequences * 6
    assert mean.errors.relative < 0.01


def test_output_errors_are_those_of_the_two_networks():
    frames = np.random.default_rng(0).normal(0, 1, (4, 6, 5))
    network = random_model(**STEPWISE)
    graph, found = compared(network, frames)
    x, output = graph["x"].tensor.type, graph["y"].tensor.type
    fixed = output.to_float(evaluate(graph, x.quantize(frames), np.full(4, 6)).y)
    error = (fixed - network.run(frames)).reshape(-1, 3)
    assert np.array_equal(found.outputs.peak, np.abs(error).max(axis=0))
    assert found.outputs.rms == pytest.approx(np.sqrt((error**2).mean(axis=0)), rel=1e-12)


def test_padding_never_counts():
    frames = np.random.default_rng(0).normal(0, 1, (2, 6, 5))
    network = random_model(**STEPWISE)
    ranges = calibrate(network, frames)
    graph = lower(network, ranges, Precision())
    padded = np.concatenate([frames, np.full((2, 3, 5), 1e4)], axis=1)
    clean, dirty = (
        measure(network, graph, trial_of(network, x, np.array([6, 6]))) for x in (frames, padded)
    )
    assert clean.saturations == dirty.saturations
    assert [(a.errors.count, *a.errors.peak) for a in clean.tensors] == [
        (b.errors.count, *b.errors.peak) for b in dirty.tensors
    ]
    assert (clean.outputs.peak == dirty.outputs.peak).all()


def test_sequences_run_in_parts_give_the_same_figures(monkeypatch):
    frames = np.random.default_rng(0).normal(0, 1, (7, 6, 5))
    network, lengths = random_model(**STEPWISE), np.array([6, 0, 3, 6, 1, 2, 6])
    _, whole = compared(network, frames, lengths)
    monkeypatch.setattr("penstock.fidelity.comparison.MOST_VALUES", 1)
    _, parts = compared(network, frames, lengths)
    assert parts.saturations == whole.saturations
    assert parts.outputs.count == whole.outputs.count
    assert parts.outputs.peak == pytest.approx(whole.outputs.peak, rel=1e-9)
    assert parts.decisions == whole.decisions


def test_long_calibration_sets_are_cut_and_it_is_said():
    network = random_model(cells=(4,))
    trial = trial_of(network, np.zeros((100, 400, 5)))
    assert (trial.sequences, trial.of_sequences) == (50, 100)
    assert (trial.steps, trial.of_steps) == (limits.MOST_SEQUENCE_STEPS, 40_000)
    assert trial_of(network, np.zeros((500, 3, 5))).sequences == limits.MOST_SEQUENCES
    assert trial_of(network, np.zeros((1, 50_000, 5))).steps == limits.MOST_LAYER_STEPS


def test_a_large_network_is_compared_on_few_steps():
    network = stack([Lstm(*(
        {gate: np.zeros((700, 700)) for gate in "ifgo"} for _ in range(2)
    ), {gate: np.zeros(700) for gate in "ifgo"})])  # fmt: skip
    trial = trial_of(network, np.zeros((16, 100, 700)))
    assert trial.frames.shape[1] == limits.LEAST_STEPS and trial.sequences == 7


def test_validation_frames_are_all_taken():
    network = random_model(cells=(4,))
    trial = trial_of(network, None, None, Validation(np.zeros((100, 400, 5))))
    assert (trial.sequences, trial.steps) == (100, 40_000)


RULES = {
    "the greatest": ({"head": 3}, "the greatest of 3 outputs"),
    "a label": ({"head": 3, "activation": "argmax"}, "the label"),
    "a logit": ({"head": 1}, "sign of the logit"),
    "a probability": ({"head": 1, "activation": "sigmoid"}, "probability of one half or more"),
}


@pytest.mark.parametrize("case", RULES)
@pytest.mark.parametrize("at", ["step", "last"])
def test_decisions_are_counted_by_the_rule_that_fits_the_head(case, at):
    head, words = RULES[case]
    frames = np.random.default_rng(0).normal(0, 1, (40, 6, 5))
    network = random_model(cells=(6,), at=at, **head)
    y = network.run(frames)
    right = y.argmax(axis=2) if head["head"] > 1 else (y[:, :, 0] >= 0).astype(int)
    labels = right if at == "step" else right[:, 0]
    _, found = compared(network, frames, x=frames, y=labels)
    tally = found.decisions
    assert tally.rule == words
    assert tally.of == tally.labels == tally.float_right == right.size
    assert tally.agree == tally.fixed_right >= 0.95 * right.size


def test_a_negative_label_is_none_and_a_wrong_one_is_wrong():
    frames = np.random.default_rng(0).normal(0, 1, (10, 6, 5))
    network = random_model(cells=(6,), head=3)
    labels = network.run(frames)[:, 0].argmax(axis=1)
    labels[:3], labels[3] = -100, (labels[3] + 1) % 3
    _, found = compared(network, frames, x=frames, y=labels)
    assert (found.decisions.labels, found.decisions.float_right) == (7, 6)


def test_labels_of_padding_do_not_count():
    frames = np.random.default_rng(0).normal(0, 1, (3, 6, 5))
    network = random_model(**STEPWISE)
    labels = network.run(frames, np.array([6, 2, 1])).argmax(axis=2)
    _, found = compared(network, frames, x=frames, lengths=np.array([6, 2, 1]), y=labels)
    assert found.decisions.labels == found.decisions.of == found.decisions.float_right == 9


def test_labels_of_a_time_major_network_are_turned_as_its_frames_are():
    frames = np.random.default_rng(0).normal(0, 1, (3, 6, 5))
    network = random_model(**STEPWISE)
    labels = network.run(frames).argmax(axis=2)
    turned = RecurrentModel(5, network.places, network.outputs, batch_first=False)
    _, found = compared(turned, None, x=frames.swapaxes(0, 1), y=labels.swapaxes(0, 1))
    assert found.decisions.float_right == 18


def test_real_targets_give_a_loss_and_no_decisions():
    frames = np.random.default_rng(0).normal(0, 1, (10, 6, 5))
    network = random_model(cells=(6,), head=2)
    targets = network.run(frames)[:, 0] + 0.5
    _, found = compared(network, frames, x=frames, y=targets)
    assert found.targets.count == 20
    assert found.targets.float_squares / 20 == pytest.approx(0.25)
    assert found.targets.fixed_squares / 20 == pytest.approx(0.25, rel=0.05)


def test_zeros_and_ones_are_labels_of_a_probability_even_as_floats():
    frames = np.random.default_rng(0).normal(0, 1, (10, 6, 5))
    network = random_model(cells=(6,), head=1, activation="sigmoid")
    labels = (sigma(network.run(frames))[:, 0] >= 0.5).astype(np.float32)
    _, found = compared(network, frames, x=frames, y=labels)
    assert found.targets is None and found.decisions.float_right == 10


def test_a_network_without_a_linear_layer_at_its_end_decides_nothing():
    _, found = compared(random_model(cells=(6,)))
    assert found.decisions is None


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        ({"head": 3}, np.zeros(4, int),
         "y of shape (4,) does not fit 5 sequences with 1 results of 3 (validation); hint: give a "
         "label for each result, or a target for each output"),
        ({"head": 3}, np.zeros((5, 2)), "y of shape (5, 2) does not fit 5 sequences with 1 "),
        ({"head": 3}, np.full(5, "a"), "y is neither labels nor numbers (validation); hint: "),
        ({}, np.zeros(5, int), "y has labels, but nothing is decided by the outputs ("),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(model, y, message):
    with pytest.raises(PenstockError) as caught:
        compared(random_model(cells=(6,), **model), None, x=np.zeros((5, 6, 5)), y=y)
    assert caught.value.line().startswith(message)


@pytest.mark.parametrize("lengths", [[1, 2], [7, 0, 0], [0, 0, 0], [1.0, 1.0, 1.0]], ids=str)
def test_lengths_for_validation_that_do_not_fit_are_refused(lengths):
    with pytest.raises(PenstockError) as caught:
        compared(random_model(), None, x=np.zeros((3, 6, 5)), lengths=np.array(lengths))
    assert caught.value.line() == (
        "there are no frames (validation); hint: give at least one step" if lengths == [0, 0, 0]
        else "lengths must be 3 integers from 0 to 6 (validation); "
        "hint: give one length for each sequence"
    )  # fmt: skip


def test_without_data_the_frames_are_called_synthetic():
    network = random_model(cells=(6,))
    assert trial_of(network, None).source == "synthetic, normally distributed frames"
    assert trial_of(network, calibrate(network, None)).source == limits.Source.SYNTHETIC


def test_with_ranges_alone_synthetic_frames_reach_as_far_as_calibration_did():
    network = random_model(cells=(6,))
    trial = trial_of(network, calibrate(network, np.full((1, 4, 5), 20.0)))
    assert trial.source == "synthetic frames, scaled to the calibrated input range"
    assert np.abs(trial.frames).max() == 20.0


def test_synthetic_frames_reach_as_far_as_each_input_did():
    network, columns = random_model(cells=(6,)), np.array([300.0, 1.0, 2.0, 0.0, 0.5])
    ranges = calibrate(network, np.full((1, 4, 5), columns))
    assert (np.abs(trial_of(network, ranges).frames).max(axis=(0, 1)) == columns).all()
    unknown = trial_of(network, replace(ranges, columns=())).frames
    assert (np.abs(unknown).max(axis=(0, 1)) == 300.0).all()


def test_a_good_compile_warns_of_nothing(recwarn):
    compiled = compile_model(random_model(**STEPWISE), None, Hardware(pes=2))
    assert compiled.error.warnings == [] and not recwarn.list


def test_few_bits_are_warned_of_and_refused_when_strict():
    network = random_model(**STEPWISE)
    settings = {"hardware": Hardware(pes=2), "precision": Precision(weights=2)}
    with pytest.warns(UserWarning, match=r"the outputs' RMS error is \d+(\.\d)? % of the float"):
        compiled = compile_model(network, None, **settings)
    assert any("decisions (the greatest of 3 outputs)" in text for text in compiled.error.warnings)
    with pytest.raises(PenstockError, match="the outputs' RMS error is") as caught:
        compile_model(network, None, strict=True, **settings)
    assert caught.value.hint.endswith("or leave out --strict")


def test_validation_frames_beyond_the_input_type_are_warned_of():
    frames = np.random.default_rng(0).uniform(-1, 1, (4, 6, 5))
    with pytest.warns(UserWarning, match=r"x \(input frame\): 120 of 120 values, first at step 0"):
        compiled = compile_model(
            random_model(cells=(6,)), frames, Hardware(pes=2), validation=Validation(frames + 40)
        )
    assert compiled.error.clipped[0] >= 120


def test_inputs_of_tables_beyond_their_ends_never_warn():
    network = random_model(cells=(6,), bias=20.0)
    compiled = compile_model(network, None, Hardware(pes=2))
    at_tables = [one for one in compiled.error.saturations if one.kind is Kind.TABLE]
    assert sum(one.count for one in at_tables) > 0
    assert not any("_in" in text for text in compiled.error.warnings)


def test_a_graph_without_a_float_network_has_no_error():
    network = random_model(cells=(6,))
    graph = lower(network, calibrate(network, None), Precision())
    compiled = compile_graph(graph, Hardware(pes=2))
    assert compiled.error is None and compiled.report["error"] is None
    assert b"there is nothing to compare it with" in compiled.files["report.html"]


def test_an_argument_of_another_type_is_refused():
    with pytest.raises(PenstockError, match="validation is a ndarray"):
        compile_checkpoint("x.pt", validation=np.zeros(3))


def test_labels_of_steps_that_no_sequence_has_are_left_out():
    frames = np.random.default_rng(0).normal(0, 1, (3, 6, 5))
    network, lengths = random_model(**STEPWISE), np.array([4, 2, 1])
    labels = network.run(frames, lengths).argmax(axis=2)
    _, found = compared(network, frames, x=frames, lengths=lengths, y=labels)
    assert found.decisions.labels == found.decisions.float_right == 7


def test_the_error_of_labels_is_that_of_their_logits():
    _, found = compared(random_model(cells=(6,), head=3, activation="argmax"))
    (logits,) = (one for one in found.tensors if one.name == "head.logits")
    assert found.output_error is logits.errors and 0 < logits.errors.relative < 0.01
    assert found.logits is logits


def test_one_half_is_a_yes():
    rule = rule_of(random_model(cells=(6,), head=1, activation="sigmoid"))
    assert rule.decide(np.array([[0.49], [0.5], [0.51]])).ravel().tolist() == [0, 1, 1]
    rule = rule_of(random_model(cells=(6,), head=1))
    assert rule.decide(np.array([[-0.1], [0.0]])).ravel().tolist() == [0, 1]


def test_the_float_rms_is_that_of_all_columns():
    errors, values = ErrorSum(3), np.full((4, 3), 2.0)
    errors.add(values, values + 0.5)
    assert (errors.float_rms, errors.relative, errors.rms.tolist()) == (2.0, 0.25, [0.5] * 3)


def test_within_half_a_step_of_the_ends_a_value_is_in_range():
    found = Histogram(Fixed(4, 0))  # -8 .. 7
    found.add(np.array([-9.0, -8.4, -8.0, 0.0, 7.4, 7.6]))
    assert (found.below, found.counts.sum(), found.above, found.peak) == (1, 4, 1, 9.0)


def test_sequences_are_taken_from_all_of_a_calibration_set():
    frames = np.arange(500.0)[:, None, None] * np.ones((1, 3, 5))
    taken = trial_of(random_model(cells=(4,)), frames).frames[:, 0, 0]
    assert (taken[0], taken[-1]) == (0, 499) and (np.diff(taken) >= 7).all()


def test_frames_for_a_kernel_of_scaled_inputs_are_divided():
    trial = Trial(limits.Source.CALIBRATION, np.full((1, 2, 3), 8.0), np.array([2]))
    assert trial.scaled([0, 2, 3]).frames[0, 0].tolist() == [8.0, 2.0, 1.0]
    assert trial.scaled(()) is trial


@pytest.mark.parametrize(("error", "is_warned_of"), [(0.04, False), (0.06, True), (np.nan, True)])
def test_an_output_error_is_warned_of_beyond_a_twentieth(error, is_warned_of):
    _, found = compared(random_model(cells=(6,)))
    outputs = ErrorSum()
    outputs.add(np.ones(4), np.full(4, 1 + error))
    warnings = replace(found, outputs=outputs).warnings
    assert any("the outputs' RMS error" in text for text in warnings) is is_warned_of


@pytest.mark.parametrize(("wrong", "is_warned_of"), [(1, False), (2, True)])
def test_decisions_are_warned_of_beyond_one_in_a_hundred(wrong, is_warned_of):
    _, found = compared(random_model(cells=(6,)))
    tally = Tally("a rule", of=100, agree=100 - wrong)
    assert any("decisions" in text for text in replace(found, decisions=tally).warnings) is (
        is_warned_of
    )


@pytest.mark.parametrize(("lost", "is_warned_of"), [(1, False), (2, True)])
def test_values_out_of_range_are_warned_of_beyond_one_in_a_thousand(lost, is_warned_of):
    _, found = compared(random_model(cells=(6,)))
    saturations = (Saturation("l0.c", Kind.VALUE, lost, 1000, 3),)
    warnings = replace(found, saturations=saturations).warnings
    assert any("l0.c" in text for text in warnings) is is_warned_of
