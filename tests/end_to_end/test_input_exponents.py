"""Inputs of very different ranges: powers of two move from the frames into the weights, exactly."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import random_model

from penstock import Fixed, Hardware, Precision
from penstock.calibration import calibrate
from penstock.driver import compile_model
from penstock.folding import _best_exponents, fold_inputs
from penstock.layers import DenseHead, Linear, Lstm, Relu
from penstock.model import Place, RecurrentModel, stack
from penstock_runtime import Interpreter, Session

HARDWARE = Hardware(pes=2)
FACTOR = 30_000.0


def network(**arguments):
    """One whose input 0 is as weighty as the others, though it reaches much further."""
    model = random_model(inputs=4, cells=(6,), density=1.0, **arguments)
    for _, layer in model.named_layers():
        if isinstance(layer, Lstm):
            for weights in layer.w_x.values():
                weights[:, 0] /= FACTOR
    return model


def frames(seed=0):
    x = np.random.default_rng(seed).normal(0, 1, (3, 12, 4))
    x[..., 0] *= FACTOR
    return x


def compiled(model=None, x=None, **precision):
    return compile_model(model or network(), frames() if x is None else x, HARDWARE,
                         Precision(**precision))  # fmt: skip


def of_inputs(project):
    """The notes, without those that the networks here are dense, and small."""
    others = ("hardly pruned", "--no-overlap")
    return [note for note in project.notes if not any(word in note for word in others)]


def exponents_of(project):
    return project.manifest.interface.input_exponents


def error(project, folder, model, x):
    got = Interpreter(project.write(folder)).run(x).values
    return np.sqrt(np.mean((got - model.run(x)) ** 2))


def test_an_input_that_reaches_far_does_not_swallow_the_others(tmp_path):
    model, x = network(), frames(1)
    project = compiled(model)
    assert exponents_of(project)[0] == 15 and not any(exponents_of(project)[1:])
    fixed = Fixed(16, 0, True, "AP_RND", "AP_SAT")
    alone = compiled(model, overrides={"x": fixed})
    assert exponents_of(alone) == ()
    errors = [error(one, tmp_path / str(n), model, x) for n, one in enumerate((project, alone))]
    assert errors[0] < 0.002 and errors[1] > 50 * errors[0]
    assert json.loads(project.files["report.json"])["network"]["input_exponents"] == [15, 0, 0, 0]
    assert of_inputs(project) == [
        "1 of 4 inputs are divided by powers of two, up to 2**15, for they reach further than the "
        "others; the weights make up for it, exactly (input_exponents in weights/manifest.json)"
    ]
    assert "raw integers stand for x_0 / 2^15" in project.files["README.md"].decode()


@pytest.mark.parametrize("kind", ["bidirectional", "a head alone", "read twice"])
def test_folding_changes_no_float_result(kind):
    generator = np.random.default_rng(2)
    weight = generator.normal(0, 1, (3, 4)) / [FACTOR, 1, 1, 1]
    model = {
        "bidirectional": network(bidirectional=True, head=3),
        "a head alone": stack([], DenseHead(weight), at="step"),
        "read twice": RecurrentModel(
            4,
            (
                Place("l0", Linear(weight), ("x",)),
                Place("l1", Linear(np.hstack([np.ones((2, 3)), weight[:2], weight[:2]])),
                      ("l0", "x", "x")),
            ),
            ("l1",),
        ),
    }[kind]  # fmt: skip
    folded = fold_inputs(model, calibrate(model, frames()), Precision())
    assert folded.exponents[0] > 10
    scaled = np.ldexp(frames(), -np.array(folded.exponents))
    assert folded.ranges.peak["x"] == np.abs(scaled).max()
    assert np.array_equal(folded.model.run(scaled), model.run(frames()))


def test_inputs_of_like_ranges_are_left_as_they_are():
    model = random_model(inputs=4, cells=(6,), density=1.0)
    for factor in (1.0, 10.0):
        x = frames() / [FACTOR / factor, 1, 1, 1]
        project = compiled(model, x)
        assert exponents_of(project) == () and of_inputs(project) == []


def test_inputs_are_not_scaled_where_weights_would_become_too_coarse():
    """The far input rules the network: its weights are not smaller."""
    model = random_model(inputs=4, cells=(6,), density=1.0)
    x = frames() / [FACTOR / 100, 1, 1, 1]
    assert exponents_of(compiled(model, x)) == ()


def test_what_is_no_matrix_keeps_its_input_as_it_is_and_a_note_tells():
    model = network()
    beside = RecurrentModel(
        4, (*model.places, Place("relu", Relu(4), ("x",))), ("l0", "relu"), notes=[]
    )
    project = compiled(beside)
    assert exponents_of(project) == ()
    (note,) = of_inputs(project)
    assert note.startswith("input 0 reaches ") and note.endswith(
        "of 16 bits, 0 are left for it; scale the frames, and the weights to match"
    )


@pytest.mark.parametrize("given", ["inputs", "weights", "x", "l0.W_ix"])
def test_types_that_the_user_chose_are_taken_for_unscaled_inputs(given):
    dtype = Fixed(16, 0, True, "AP_RND", "AP_SAT")
    chosen = {given: dtype} if "." not in given and given != "x" else {"overrides": {given: dtype}}
    project = compiled(**chosen)
    assert exponents_of(project) == ()


def test_ranges_that_were_found_before_fold_the_same():
    model = network()
    ranges = calibrate(model, frames())
    before = replace(ranges, peak=dict(ranges.peak), counts=dict(ranges.counts))
    project = compile_model(model, ranges, HARDWARE)
    other = compiled(model).files  # but for what is told of the frames that were compared on
    reports = {"report.json", "report.html", "penstock.json"}
    assert {n: f for n, f in project.files.items() if n not in reports} == {
        name: content for name, content in other.items() if name not in reports
    }
    assert ranges == before and ranges.counts.keys() == before.counts.keys()


def test_session_and_raw_integers_mean_the_same(tmp_path):
    interpreter = Interpreter(compiled().write(tmp_path / "p"))
    x = frames(1)
    wanted = interpreter.run(x)
    raw, _ = interpreter.quantize(x)
    session = Session(interpreter, 3)
    got = np.stack([session.step(x[:, t]) for t in range(12)], axis=1)
    assert (got == wanted.values).all()
    assert (interpreter.run(raw, raw_input=True).raw == wanted.raw).all()


def test_the_pynq_driver_quantizes_as_run_does(tmp_path, monkeypatch):
    interpreter = Interpreter(compiled().write(tmp_path / "p"))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "codegen/fake_pynq"))
    path = tmp_path / "p/pynq/penstock_driver.py"
    spec = importlib.util.spec_from_file_location("penstock_driver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("pynq")
    driver = module.Penstock.__new__(module.Penstock)
    exponents = interpreter.project.manifest.interface.input_exponents
    driver.input_exponents = np.array(exponents)
    step = interpreter.project.input_type.step
    ties = step * (np.arange(-8, 8)[:, None] + 0.5) * np.exp2(exponents)
    for x in (frames(1), 100 * frames(1), ties[None], np.nextafter(ties, 0)[None]):
        assert np.array_equal(driver.quantize(x), interpreter.quantize(x)[0])


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e70])
def test_inputs_of_any_finite_size_are_judged_without_a_warning(factor, recwarn):
    model = random_model(inputs=4, cells=(6,), density=1.0)
    project = compiled(model, frames() / [FACTOR / factor, 1, 1, 1])
    assert exponents_of(project) == () or max(exponents_of(project)) <= 24
    assert not [str(found.message) for found in recwarn]
    assert any(note.startswith("input ") for note in project.notes)


@pytest.mark.parametrize(("weight", "exponents"), [(0.5, (0, 0)), (2.0**-5, (5, 0))])
def test_inputs_are_scaled_where_that_makes_the_error_several_times_smaller(weight, exponents):
    """Half of the squared error (x's rounding or the weights') is not worth it."""
    weights = [np.array([[[weight, 1.0]]])]
    found = _best_exponents(weights, np.array([32.0, 1.0]), Precision())
    assert tuple(found.tolist()) == exponents


def test_what_was_counted_of_unscaled_inputs_is_forgotten():
    model = network()
    folded = fold_inputs(model, calibrate(model, frames()), Precision())
    assert folded.exponents[0] > 10 and folded.ranges.magnitudes("x") is None
    assert folded.ranges.magnitudes("l0.c") is not None


def test_inputs_that_are_outputs_are_left_as_they_are():
    model = network()
    shown = RecurrentModel(model.inputs, model.places, (*model.outputs, "x"))
    folded = fold_inputs(shown, calibrate(shown, frames()), Precision())
    assert folded.exponents == () and "scale the frames" in folded.notes[0]
