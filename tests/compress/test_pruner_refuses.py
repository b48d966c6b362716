"""What can't be pruned as asked is refused with the whole story, and the model left as it was."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")
from compress.networks import adamw, make_net, train  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

from penstock import PenstockError  # noqa: E402
from penstock.compress import Cubic, Pruner  # noqa: E402

MATRICES = "lstm.weight_ih_l0, lstm.weight_hh_l0, fc.weight"
LEAVE_DENSE = "use fewer PEs, or leave this matrix dense: density={..., 'its name': 1.0}"
CASES = {
    "density 0": (
        {"density": 0}, "density 0 is outside (0, 1]", "Net", "0.1 keeps a tenth of the weights",
    ),
    "density above 1 of one matrix": (
        {"density": {"fc.*": 1.01}}, "density 1.01 is outside (0, 1]", "density of fc.*",
        "0.1 keeps a tenth of the weights",
    ),
    "no density": (
        {"density": {}}, "density does not name a matrix", "Net", f"the matrices are {MATRICES}",
    ),
    "unknown name": (
        {"density": {"fc.weight": 0.5, "lstm.weight_ih_l1": 0.5}},
        "density names 'lstm.weight_ih_l1', which matches no matrix", "Net",
        f"the matrices are {MATRICES}",
    ),
    "a bias": (
        {"density": {"fc.bias": 0.5}}, "density names 'fc.bias', which matches no matrix", "Net",
        f"the matrices are {MATRICES}",
    ),
    "unknown pattern": (
        {"pattern": "balanced"}, "unknown pattern 'balanced'", "pruning",
        "choose one of unstructured, pe_balanced, bank_balanced, column_balanced",
    ),
    "no pes": (
        {"pattern": "pe_balanced"}, "pattern pe_balanced needs pes", "pruning", "give pes=...",
    ),
    "no bank": (
        {"pattern": "bank_balanced", "pes": 4}, "pattern bank_balanced needs bank or banks",
        "pruning", "give bank=... or banks=...",
    ),
    "a bank for PEs": (
        {"pattern": "pe_balanced", "pes": 4, "bank": 4}, "pattern pe_balanced has no banks",
        "pruning", "leave bank out",
    ),
    "no PEs": (
        {"pes": 0}, "pes is 0, but must be an int of at least 1", "pruning", "it is a count",
    ),
    "a bank that does not divide": (
        {"pattern": "bank_balanced", "bank": 8}, "banks of 8 do not divide a row of 12 weights",
        "lstm.weight_ih_l0, gate i",
        "choose a bank of 2, 3, 4, 6, 12, or leave this matrix out of density",
    ),
    "a bank that keeps none": (
        {"pattern": "bank_balanced", "bank": 4},
        "at density 0.1, a bank of 4 weights keeps none", "lstm.weight_ih_l0, gate i",
        "choose greater banks, or a density of at least 0.12",
    ),
    "more PEs than rows": (
        {"pattern": "pe_balanced", "pes": 12}, "12 PEs are more than the matrix has rows, 8",
        "fc.weight", LEAVE_DENSE,
    ),
    "more PEs than rows of a gate": (
        {"pattern": "column_balanced", "pes": 17},
        "17 PEs are more than the matrix has rows, 16", "lstm.weight_ih_l0, gate i", LEAVE_DENSE,
    ),
    "a column that keeps none": (
        {"pattern": "column_balanced", "pes": 8},
        "at density 0.1, a column of a PE of 2 weights keeps none", "lstm.weight_ih_l0, gate i",
        "choose fewer PEs, or a density of at least 0.25",
    ),
}  # fmt: skip


def refused(model, **arguments):
    before = {name: (id(value), value.clone()) for name, value in model.named_parameters()}
    with pytest.raises(PenstockError) as caught:
        Pruner(model, **arguments)
    after = dict(model.named_parameters())
    assert list(before) == list(after)
    assert all(id(after[n]) == key and after[n].equal(v) for n, (key, v) in before.items())
    return caught.value.what, caught.value.where, caught.value.hint


@pytest.mark.parametrize("case", CASES)
def test_bad_arguments_are_refused_in_full(case):
    arguments, *wanted = CASES[case]
    assert refused(make_net(), **arguments) == tuple(wanted)


def test_matrices_that_stay_dense_need_not_fit_the_pattern():
    density = {"*": 0.5, "fc.weight": 1.0}
    assert Pruner(make_net(), "pe_balanced", density, pes=12).summary()[-1].density == 1.0


def test_a_model_without_matrices_is_refused():
    assert refused(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv1d(1, 1, 1))) == (
        "there is no matrix to prune", "Sequential",
        "give a model with a recurrent module of torch.nn, a penstock.nn.LSTM or an nn.Linear",
    )  # fmt: skip


def test_attaching_twice_is_refused():
    model = make_net()
    pruner = Pruner(model, density=0.5)
    assert refused(model, density={"fc.weight": 0.5}) == (
        "fc.weight already has a pruner", "pruning",
        "use that pruner, or finalize it first",
    )  # fmt: skip
    pruner.finalize()
    Pruner(model, density=0.5)


def test_a_model_that_ddp_wraps_already_is_refused():
    distributed = torch.distributed
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(make_net())
        assert refused(model) == (
            "the model is already wrapped in DistributedDataParallel", "pruning",
            "make the Pruner first, then wrap: Pruner(model, ...); DDP(model)",
        )  # fmt: skip
    finally:
        distributed.destroy_process_group()


def test_a_weight_that_is_computed_otherwise_is_refused():
    model = make_net()
    prune.l1_unstructured(model.fc, "weight", amount=0.5)
    assert refused(model) == (
        "fc.weight is computed from another tensor", "pruning",
        "make it permanent with torch.nn.utils.prune.remove; its zeros are kept",
    )  # fmt: skip
    model = make_net()
    parametrizations.weight_norm(model.fc)
    assert refused(model)[0] == "fc.weight is parametrized by _WeightNorm"
    assert (
        refused(nn.Sequential(nn.LazyLinear(3)))[0] == "0.weight has no shape yet" if False else 1
    )


def test_a_weight_that_is_shared_is_refused():
    model = make_net()
    model.emb = nn.Embedding(8, 16)
    model.emb.weight = model.fc.weight
    assert refused(model) == (
        "fc.weight is shared with emb.weight, which would not be masked", "pruning",
        "untie the two, or leave the matrix out of density",
    )  # fmt: skip
    Pruner(model, density={"lstm.*": 0.5})


def test_a_diverged_weight_stops_the_pruning():
    model = make_net()
    pruner = Pruner(model, schedule=Cubic(0, 4))
    train(model, pruner, adamw(model), range(2))
    with torch.no_grad():
        model.lstm.parametrizations.weight_hh_l0.original[3] = float("nan")
    with pytest.raises(PenstockError) as caught:
        pruner.step()
    assert caught.value.what == "lstm.weight_hh_l0 has NaN or infinite weights"
    assert caught.value.where == "pruning after step 3"


def test_a_finalized_pruner_takes_no_steps():
    pruner = Pruner(make_net(), density=0.5)
    pruner.finalize()
    with pytest.raises(PenstockError, match=r"^the pruner is finalized \(Pruner.step\)"):
        pruner.step()


def test_finalizing_before_the_end_of_the_ramp_is_told():
    model = make_net()
    pruner = Pruner(model, schedule=Cubic(0, 9))
    train(model, pruner, adamw(model), range(2))
    with pytest.warns(UserWarning, match="finalized after step 2 of 9 of the schedule") as told:
        pruner.finalize()
    assert told[0].filename == __file__


def test_an_emptied_row_and_an_emptied_gate_are_told_once_by_name():
    model = make_net()
    with torch.no_grad():
        model.lstm.weight_hh_l0[16:32] = 0  # gate f
        model.fc.weight[[1, 6]] *= 1e-6
    pruner = None
    with pytest.warns(UserWarning) as told:
        pruner = Pruner(model, "unstructured", {"lstm.weight_hh_l0": 1.0, "fc.weight": 0.7})
    assert [str(one.message) for one in told] == [
        "lstm.weight_hh_l0, gate f: the mask leaves no weight in all 16 rows",
        "fc.weight: the mask leaves no weight in 2 of 8 rows: 1, 6",
    ]
    assert {one.filename for one in told} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pruner.step()
        pruner.finalize()


def test_rows_emptied_by_a_ramp_are_told_at_its_end():
    model = make_net()
    with torch.no_grad():
        model.fc.weight[:7] *= 1e-6
    pruner = Pruner(model, "unstructured", {"fc.weight": 0.05}, Cubic(0, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pruner.step()
        pruner.step()
    with pytest.warns(UserWarning, match="in 7 of 8 rows: 0, 1, 2, 3, 4, ...$"):
        pruner.step()
