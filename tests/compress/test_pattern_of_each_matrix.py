"""A pattern for each matrix, by name or glob pattern."""

from __future__ import annotations

import numpy as np
import pytest

from penstock import PenstockError

torch = pytest.importorskip("torch")
from compress.networks import make_net  # noqa: E402

from penstock.compress import BankBalanced, PeBalanced, Pruner, Unstructured  # noqa: E402


def test_every_matrix_gets_the_pattern_that_names_it():
    model = make_net()
    patterns = {"*": BankBalanced(4), "lstm.weight_hh_l0": PeBalanced(4), "fc.*": BankBalanced(8)}
    pruner = Pruner(model, patterns, 0.25)
    masks = {matrix.name: matrix.kept() for matrix in pruner.matrices}
    assert (masks["lstm.weight_ih_l0"].reshape(-1, 4).sum(axis=1) == 1).all()
    assert (masks["fc.weight"].reshape(-1, 8).sum(axis=1) == 2).all()
    for gate in np.split(masks["lstm.weight_hh_l0"], 4):
        assert {int(gate[pe::4].sum()) for pe in range(4)} == {gate.size // 16}
    assert pruner.pes == 4


def test_a_pattern_may_name_a_matrix_that_is_not_pruned():
    patterns = {"lstm.*": PeBalanced(4), "fc.weight": BankBalanced(8)}
    pruner = Pruner(make_net(), patterns, {"lstm.*": 0.25})
    assert set(pruner.patterns) == {"lstm.weight_ih_l0", "lstm.weight_hh_l0"}


@pytest.mark.parametrize(
    ("patterns", "what"),
    [
        ({"nothing": Unstructured()}, "pattern names 'nothing', which matches no matrix"),
        ({}, "pattern does not name a matrix"),
        ({"fc.weight": Unstructured()}, "no pattern is given for lstm.weight_ih_l0"),
        (
            {"*": Unstructured(), "fc.weight": BankBalanced(5)},
            "banks of 5 do not divide a row of 16 weights",
        ),
    ],
)
def test_patterns_that_do_not_fit_the_model_are_refused(patterns, what):
    model = make_net()
    with pytest.raises(PenstockError) as caught:
        Pruner(model, patterns, 0.25)
    assert caught.value.what == what
    assert not hasattr(model.fc, "parametrizations"), "the model is not as it was"
