"""Models -> graphs: types under unusual weights, overrides, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from support import random_model

from penstock import Fixed, Hardware, PenstockError, Precision
from penstock.compress import Ranges, calibrate
from penstock.driver import compile_model
from penstock.fixed import largest_frac
from penstock.ir.evaluate import evaluate
from penstock.layers import Linear
from penstock.layers.build import exponents_of
from penstock.layers.types import Types
from penstock.lowering import lower
from penstock.model import stack


def lowered(model, precision=None, frames=None):
    return lower(model, calibrate(model, frames), precision or Precision())


def agreement(model, graph, x):
    raw = evaluate(graph, graph["x"].tensor.type.quantize(x), np.full(len(x), x.shape[1])).y
    return np.abs(graph["y"].tensor.type.to_float(raw) - model.run(x)).max()


@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1e-4, 50.0])
@pytest.mark.parametrize("what", ["w_x", "w_r", "bias", "peephole"])
def test_a_matrix_of_another_magnitude_neither_overflows_nor_vanishes(what, scale):
    model = random_model(inputs=6, cells=(12,), outputs=5, peephole=True)
    for values in getattr(model["l0"], what).values():
        values *= scale
    x = np.random.default_rng(0).normal(0, 1, (3, 6, 6))
    graph = lowered(model, frames=x)
    assert all(node.tensor.type.width <= 53 for node in graph.of_kind("matvec"))
    assert agreement(model, graph, x) < (0.02 if scale < 1 else 0.5)


@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1e5])
def test_inputs_of_another_magnitude_keep_their_effect(scale):
    model = random_model(inputs=6, cells=(12,))
    for values in model["l0"].w_x.values():
        values /= scale
    x = scale * np.random.default_rng(0).normal(0, 1, (3, 6, 6))
    assert agreement(model, lowered(model, frames=x), x) < 0.02


@pytest.mark.parametrize("scale", [1e17, 1e30])
def test_frames_of_any_size_give_a_network_that_saturates_as_float_does(scale):
    model = random_model(inputs=6, cells=(12,))
    x = scale * np.random.default_rng(0).normal(0, 1, (3, 6, 6))
    graph = lowered(model, frames=x)
    assert agreement(model, graph, x) < 0.25  # weights below half a step count for nothing


def test_types_reach_as_far_as_calibration_did_and_further():
    """A quarter further; outputs of matrices have one type in both directions."""
    model = random_model(cells=(6,), outputs=4, bidirectional=True, head=3, at="step")
    peaks = {"l0.c": 1.7, "l0_reverse.c": 0.7, "l0.y": 0.3, "l0_reverse.y": 0.9,
             "head.logits": 0.9}  # fmt: skip
    ranges = Ranges(calibrate(model, None).peak | peaks)
    graph = lower(model, ranges, Precision())
    fracs = {name: graph[name].tensor.type.frac for name in peaks}
    assert fracs == {
        "l0.c": 13, "l0_reverse.c": 15, "l0.y": 14, "l0_reverse.y": 14, "head.logits": 14,
    }  # fmt: skip
    gate = graph["l0.f"].tensor.type
    assert gate.to_float(gate.quantize(1.0)) == 1.0 and gate.frac == 15


def test_the_sigmoid_of_a_head_reaches_as_far_as_a_sigma():
    model = random_model(cells=(6,), head=2, activation="sigmoid")
    ranges = Ranges(calibrate(model, None).peak | {"head.logits": 6.0})
    index = lower(model, ranges, Precision())["head.probability_in"].tensor.type
    assert index.to_float(index.raw_min) == -8.0


def test_a_bias_is_left_out_only_where_all_of_it_is_zero():
    model = random_model(cells=(6,), head=3)
    part = model["l0"]
    part.bias["i"][2], part.bias["f"][:], model["head"].bias[0] = 0.0, 0.0, 0.0
    graph = lowered(model)
    assert "l0.b_i" in graph and "l0.b_f" not in graph and "head.b" in graph


def test_a_matrix_of_zeros_does_not_make_the_others_coarse():
    model = random_model(cells=(6,))
    model["l0"].w_x["i"][:] = 0.0
    frames = 1000 * np.random.default_rng(0).normal(0, 1, (2, 6, 5))
    graph = lowered(model, frames=frames)
    values = model["l0"].w_r["i"]
    assert graph["l0.W_ir"].tensor.type.frac == largest_frac(np.abs(values).max(), 12)


def test_a_peak_too_small_for_any_type_counts_as_zero():
    assert calibrate(random_model(), np.full((1, 4, 5), 1e-150)).peak["x"] == 0.0


def test_constants_are_not_computed_again_in_every_step(monkeypatch):
    model = random_model(bidirectional=True)
    graph = lowered(model)
    monkeypatch.setattr("penstock.ops.Const.eval", None)
    raw = graph["x"].tensor.type.quantize(np.ones((1, 3, 5)))
    assert evaluate(graph, raw, np.array([3])).y.shape == (1, 3, 16)


def test_an_override_is_taken_and_a_misspelt_one_refused():
    model = random_model()
    graph = lowered(model, Precision(overrides={"l0.c": Fixed(12, 7), "x": Fixed(10, 6)}))
    assert graph["l0.c"].tensor.type == Fixed(12, 7)
    assert graph["x"].tensor.type == Fixed(10, 6)
    with pytest.raises(PenstockError) as caught:
        lowered(model, Precision(overrides={"l0.W_ix": Fixed(8, 6), "l0.W_ixx": Fixed(8, 6)}))
    assert caught.value.line() == (
        "there is no tensor l0.W_ixx to override (precision); hint: tensors are named as in "
        "report.json, such as l0.W_ix or l0.c"
    )


def test_an_override_too_wide_to_build_is_refused():
    with pytest.raises(PenstockError, match=r"l0.W_ix of 40 bits can't be built"):
        Precision(overrides={"l0.W_ix": Fixed(40, 6)})


def test_accumulators_beyond_the_proof_are_refused_in_one_line():
    model = random_model(inputs=6, cells=(12,))
    wide = Precision(overrides={"x": Fixed(24, 0), "l0.y": Fixed(24, 23), "l0.m": Fixed(24, 23)})
    with pytest.raises(PenstockError) as caught:
        lowered(model, Precision(weights=Fixed(18, 30), overrides=wide.overrides))
    assert "the accumulator needs more than 54 bits" in caught.value.line()


def test_types_that_do_not_go_together_are_refused_in_one_line():
    rounds = {"l0.i": Fixed(12, 10, False, "AP_RND", "AP_SAT"),
              "l0.f": Fixed(12, 10, False, "AP_TRN", "AP_SAT")}  # fmt: skip
    model = random_model(bidirectional=True)
    assert compile_model(random_model(), None, Hardware(pes=4), Precision(overrides=rounds))
    for overrides in (
        {"l0.W_ix": Fixed(12, 11, signed=False)},
        {"l0.c": Fixed(16, 70)},
    ):
        with pytest.raises(PenstockError):
            compile_model(model, None, Hardware(pes=4), Precision(overrides=overrides))


def test_peepholes_of_few_bits_do_not_vanish_beside_a_fine_cell():
    model = random_model(cells=(6,), peephole=True)
    graph = lower(model, calibrate(model, None), Precision(weights=6, inputs=8, outputs=8))
    for gate, values in model["l0"].peephole.items():
        node = graph[f"l0.w_{gate}c"].tensor
        error = np.abs(node.type.to_float(node.constant) - values).max()
        assert error <= np.abs(values).max() / 16


def test_results_of_two_types_get_one_that_reaches_as_far_as_both():
    model = random_model(bidirectional=True)
    precision = Precision(overrides={"l0.m": Fixed(10, 9), "l0_reverse.m": Fixed(16, 13)})
    graph = lower(model, calibrate(model, None), precision)
    dtype = graph["y"].tensor.type
    assert graph["y"].inputs == ("y.part0", "y.part1") and (dtype.width, dtype.frac) == (16, 13)


def test_a_row_is_scaled_by_as_much_as_all_of_its_matrices_allow():
    model = random_model(cells=(6,), outputs=4, head=3, density=1.0)
    graph = lower(model, calibrate(model, None), Precision(weights=4, row_scales=True))
    plain = lower(model, calibrate(model, None), Precision(weights=4))
    exponents = exponents_of(graph)
    assert "head.W" in exponents and "l0.W_ym" in exponents and len(exponents) == 10
    for gate in "ifgo":
        pair = [f"l0.W_{gate}{source}" for source in "xr"]
        (once, twice) = (exponents[name] for name in pair)
        assert (once == twice).all() and once.any()
        room = []
        for name in pair:
            kind, raw = graph[name].tensor.type, graph[name].tensor.constant
            assert kind == plain[name].tensor.type
            assert np.abs(raw).max(axis=1).max() <= kind.raw_max + 1
            values = model.weights()[name] * 2.0 ** once[:, None]
            assert (raw == kind.quantize(values)).all()
            room.append([largest_frac(np.abs(row).max(), 4) - kind.frac for row in values])
        assert (np.minimum(*room) == 0).all(), "a row could have been scaled further"


def test_row_exponents_can_be_given_and_must_name_a_matrix():
    model = random_model(cells=(4,), head=3)
    ranges = calibrate(model, None)
    rows = {"head.W": [0, 3, 1]}
    given = lower(model, ranges, Precision(row_exponents=rows))
    assert {name: found.tolist() for name, found in exponents_of(given).items()} == rows
    with pytest.raises(PenstockError, match=r"there is no tensor nowhere to override"):
        lower(model, ranges, Precision(row_exponents={"nowhere": [1]}))


def test_a_row_of_zeros_leaves_the_others_of_its_sum_their_scale():
    types = Types(Precision(row_scales=True), Ranges())
    matrices = {"a": np.array([[0.0], [0.2]]), "b": np.array([[0.25], [0.5]])}
    dtypes = [Fixed(8, 9), Fixed(8, 7)]
    assert types.row_exponents(matrices, dtypes).tolist() == [1, 0]
    nothing = {"a": np.zeros((2, 1)), "b": np.zeros((2, 1))}
    assert types.row_exponents(nothing, dtypes).tolist() == [0, 0]


@pytest.mark.parametrize("weight", [1e200, np.array([[1e308, -1e308]])], ids=["inf", "nan"])
def test_a_network_that_overflows_in_float_is_refused(weight):
    model = stack([Linear(np.full((1, 2), weight)), Linear(np.full((1, 1), 1e200))])
    with pytest.raises(PenstockError, match=r"the float network overflows: l[01]\."):
        calibrate(model, np.full((1, 1, 2), 100.0))
