"""Sensitivity: what is measured is what pruning and compiling do; densities go where cheap."""

from __future__ import annotations

import numpy as np
import pytest

from penstock import PenstockError
from penstock.fixed import Fixed, Overflow, Rounding, largest_frac

torch = pytest.importorskip("torch")
from compress.networks import make_net  # noqa: E402

from penstock.compress.patterns import PeBalanced  # noqa: E402
from penstock.compress.sensitivity import (  # noqa: E402
    Measured,
    Sensitivity,
    measure_sensitivity,
)
from penstock.compress.training import Score  # noqa: E402


def made(curves, trained=1.0, sizes=None):
    """Losses by density of each matrix."""
    rows = [Measured(name, "density", density, Score(loss, 0.0))
            for name, curve in curves.items() for density, loss in curve.items()]  # fmt: skip
    return Sensitivity(Score(trained, 1.0), sizes or dict.fromkeys(curves, 100), rows)


def test_each_matrix_is_changed_alone_and_put_back():
    model = make_net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []

    def evaluate():
        changed = [name for name, value in model.state_dict().items()
                   if not torch.equal(value, before[name])]  # fmt: skip
        seen.append((changed, {name: model.state_dict()[name].clone() for name in changed}))
        return Score(float(len(seen)), 0.5)

    found = measure_sensitivity(
        model, evaluate, densities=(0.25,), bits=(4,), pattern="pe_balanced", pes=4
    )
    assert seen[0][0] == [] and found.trained == Score(1.0, 0.5)
    matrices = ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "fc.weight"]
    assert [changed for changed, _ in seen[1:]] == [[name] for name in matrices for _ in "pq"]
    assert found.curve("fc.weight", "bits") == [(4, Score(7.0, 0.5))]
    pruned, quantized = (values["lstm.weight_hh_l0"].numpy() for _, values in seen[3:5])
    for gate, got, rounded in zip(
        np.split(before["lstm.weight_hh_l0"].numpy(), 4), np.split(pruned, 4),
        np.split(quantized, 4), strict=True,
    ):  # fmt: skip
        assert (got == np.where(PeBalanced(4).mask(np.abs(gate), 0.25), gate, 0)).all()
        kind = Fixed(4, largest_frac(float(np.abs(gate).max()), 4), True, Rounding.RND,
                     Overflow.SAT)  # fmt: skip
        assert (rounded == kind.to_float(kind.quantize(gate))).all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_is_put_back_when_measuring_fails():
    model = make_net()
    before = model.fc.weight.detach().clone()
    calls = []

    def evaluate():
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return Score(1.0, 0.5)

    with pytest.raises(KeyboardInterrupt):
        measure_sensitivity(model, evaluate, densities=(0.5,), bits=(4,))
    assert torch.equal(model.fc.weight, before)


def test_density_is_taken_where_it_costs_the_least():
    found = made({"cheap": {0.5: 1.01, 0.1: 1.05}, "dear": {0.5: 2.0, 0.1: 9.0}})
    assert found.densities(0.55) == pytest.approx({"cheap": 0.1, "dear": 1.0})
    assert found.densities(0.3) == pytest.approx({"cheap": 0.1, "dear": 0.5})
    assert found.densities(0.8) == pytest.approx({"cheap": 0.6, "dear": 1.0})


def test_the_sum_is_the_goal_whatever_the_sizes():
    generator = np.random.default_rng(0)
    for _ in range(20):
        sizes = {name: int(size) for name, size in zip("abc", generator.integers(10, 900, 3),
                                                       strict=True)}  # fmt: skip
        curves = {name: dict(zip((0.5, 0.2, 0.05), 1 + generator.normal(0.1, 0.2, 3).cumsum(),
                                 strict=True)) for name in sizes}  # fmt: skip
        goal = float(generator.uniform(0.05, 1))
        chosen = made(curves, sizes=sizes).densities(goal)
        total = sum(chosen[name] * size for name, size in sizes.items())
        assert total == pytest.approx(goal * sum(sizes.values()))
        assert all(0.05 - 1e-9 <= density <= 1 for density in chosen.values())


def test_no_other_split_between_two_matrices_is_foreseen_to_be_better():
    """On convex curves, against every split of a fine grid."""
    curves = {"a": {0.5: 1.02, 0.25: 1.1, 0.1: 1.6}, "b": {0.5: 1.3, 0.25: 1.7, 0.1: 2.4}}
    found = made(curves)

    def loss(name, density):
        points = sorted({1.0: 1.0, **curves[name]}.items())
        return np.interp(density, *zip(*points, strict=True))

    for goal in (0.2, 0.4, 0.7):
        chosen = found.densities(goal)
        mine = loss("a", chosen["a"]) + loss("b", chosen["b"])
        shares = np.linspace(0.1, 1, 181)
        possible = [(a, 2 * goal - a) for a in shares if 0.1 <= 2 * goal - a <= 1]
        assert mine <= min(loss("a", a) + loss("b", b) for a, b in possible) + 1e-9


def test_a_matrix_that_gains_from_pruning_goes_first():
    found = made({"a": {0.5: 0.9, 0.1: 1.2}, "b": {0.5: 1.0, 0.1: 1.1}})
    assert found.densities(0.75) == pytest.approx({"a": 0.5, "b": 1.0})


def test_a_goal_below_all_that_was_measured_is_refused():
    with pytest.raises(PenstockError, match=r"an overall density of 0\.05 is below"):
        made({"a": {0.1: 2.0}}).densities(0.05)
    with pytest.raises(PenstockError, match=r"outside \(0, 1\]"):
        made({"a": {0.1: 2.0}}).densities(0.0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"densities": (0.0,)}, "density 0.0 is outside (0, 1]"),
        ({"bits": (1,)}, "weights of 1 bits can't be measured"),
        ({"pattern": "bank_balanced", "bank": 5}, "banks of 5 do not divide a row of 12 weights"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, what):
    with pytest.raises(PenstockError) as caught:
        measure_sensitivity(make_net(), lambda: Score(1.0, 0.5), **options)
    assert caught.value.what == what


def test_a_matrix_that_the_pattern_does_not_fit_stays_dense_and_is_named():
    found = measure_sensitivity(
        make_net(), lambda: Score(1.0, 0.5), pattern="pe_balanced", pes=12, densities=(0.5, 0.1)
    )
    assert found.unfit == {"fc.weight": "12 PEs are more than the matrix has rows, 8"}
    assert found.curve("fc.weight", "density") == [] and found.curve("fc.weight", "bits")
    assert found.densities(0.5)["fc.weight"] == 1.0
