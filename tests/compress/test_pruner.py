"""Pruner in a training loop: what is pruned stays pruned, and what is left is a plain model."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from compress.networks import (  # noqa: E402
    CELLS,
    CLASSES,
    INPUTS,
    KINDS,
    adamw,
    batch,
    make_net,
    nonzero,
    train,
)
from torch import nn  # noqa: E402

from penstock.compress import Cubic, OneShot, Pruner, pe_balanced_mask  # noqa: E402

PATTERNS = {
    "unstructured": {},
    "pe_balanced": {"pes": 4},
    "bank_balanced": {"bank": 4},
    "column_balanced": {"pes": 2},
}
kinds = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
pytestmark = pytest.mark.filterwarnings("ignore:.*leaves no weight in")


@kinds
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_pattern_holds_within_every_gate_after_training_with_weight_decay(options, pattern):
    model = make_net(**options)
    optimizer = adamw(model)
    pruner = Pruner(model, pattern, 0.25, Cubic(0, 12, 3), **PATTERNS[pattern])
    train(model, pruner, optimizer, range(16))
    names = [matrix.name for matrix in pruner.matrices]
    wanted = {name for name, value in make_net(**options).named_parameters() if value.ndim == 2}
    assert set(names) == wanted
    pruner.finalize()
    for name in names:
        mask = nonzero(model, name)
        stacked = 4 if "_ih_" in name or "_hh_" in name else 1
        for gate in np.split(mask, stacked):
            assert gate.sum() == round(0.25 * gate.size), name
            if pattern == "bank_balanced":
                assert (gate.reshape(-1, 4).sum(axis=1) == 1).all()
            if pattern == "pe_balanced":
                assert len({gate[pe::4].sum() for pe in range(4)}) == 1
            if pattern == "column_balanced":
                assert len({n for pe in range(2) for n in gate[pe::2].sum(axis=0)}) == 1


@kinds
def test_finalize_leaves_a_plain_model_with_the_same_outputs_and_parameters(options):
    model = make_net(**options)
    before = {name: id(value) for name, value in model.named_parameters()}
    kinds_before = [type(module) for module in model.modules()]
    pruner = Pruner(model, "pe_balanced", 0.2, pes=4)
    train(model, pruner, adamw(model), range(3))
    x, _ = batch(7)
    wanted = model(x)
    assert pruner.finalize() is model and pruner.finalize() is model
    assert torch.equal(model(x), wanted)
    assert list(before.items()) == [(name, id(value)) for name, value in model.named_parameters()]
    assert [type(module) for module in model.modules()] == kinds_before
    fresh = make_net(seed=5, **options)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), wanted)


@kinds
def test_training_goes_through_the_masked_weights(options):
    """The kernel must see the weights of this forward pass: it caches a list of them."""
    model = make_net(**options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    pruner = Pruner(model, density=0.3)
    twin = make_net(seed=9, **options)
    for step in range(3):
        x, _ = batch(step)
        trained = {name: value for name, value in twin.named_parameters() if value.ndim < 2}
        twin.load_state_dict(
            {matrix.name: matrix.weight.detach() for matrix in pruner.matrices}
            | {name: dict(model.named_parameters())[name].detach() for name in trained}
            | {name: value for name, value in twin.state_dict().items() if "code" in name}
        )
        assert torch.equal(model(x), twin(x))
        train(model, pruner, optimizer, [step])
    assert not torch.equal(model(x), twin(x))


def test_pruned_weights_get_no_gradient_and_are_not_revived_by_momentum():
    model = make_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    pruner = Pruner(model, "unstructured", 0.5, OneShot(at=3))
    train(model, pruner, optimizer, range(3))
    pruned = {matrix.name: ~nonzero(model, matrix.name) for matrix in pruner.matrices}
    before = deepcopy(model.state_dict())
    x, y = batch(3)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    for matrix in pruner.matrices:
        gradient = matrix.module.parametrizations[matrix.parameter].original.grad.numpy()
        assert (gradient[pruned[matrix.name]] == 0).all() and gradient.any()
    train(model, pruner, optimizer, range(3, 9))
    for matrix in pruner.matrices:
        assert not nonzero(model, matrix.name)[pruned[matrix.name]].any()
        original = f"{matrix.name.replace('weight', 'parametrizations.weight')}.original"
        assert not torch.equal(model.state_dict()[original], before[original])


def test_the_optimizer_may_be_made_before_or_after_the_pruner():
    results = []
    for is_before in (True, False):
        model = make_net()
        optimizer = adamw(model) if is_before else None
        pruner = Pruner(model, density=0.2)
        train(model, pruner, optimizer or adamw(model), range(4))
        results.append(pruner.finalize().state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_the_density_falls_along_the_ramp_and_masks_only_shrink():
    model, schedule = make_net(), Cubic(2, 10, 4)
    pruner = Pruner(model, "unstructured", {"fc.weight": 0.25}, schedule)
    optimizer, counts, before = adamw(model), [], nonzero(model, "fc.weight")
    for step in range(12):
        train(model, pruner, optimizer, [step])
        now = nonzero(model, "fc.weight")
        assert not (now & ~before).any()
        before = now
        counts.append(int(now.sum()))
    size = CLASSES * CELLS
    middle = round(schedule.density(6, 0.25) * size)
    assert counts == [size] * 5 + [middle] * 4 + [size // 4] * 3


def test_the_mask_of_a_gate_is_the_definition_applied_to_its_weights():
    model = make_net()
    gates = np.split(model.lstm.weight_hh_l0.detach().numpy().copy(), 4)
    Pruner(model, "pe_balanced", 0.1, pes=4).finalize()
    wanted = np.concatenate([gate * pe_balanced_mask(gate, 0.1, 4) for gate in gates])
    assert (model.lstm.weight_hh_l0.detach().numpy() == wanted).all()


def test_densities_go_by_name_then_by_the_last_pattern_that_fits():
    model = make_net(num_layers=2)
    density = {"lstm.*": 0.5, "*_l1": 0.25, "lstm.weight_hh_l1": 0.125, "*hh_l1": 0.75}
    pruner = Pruner(model, density=density)
    assert {matrix.name: matrix.density for matrix in pruner.matrices} == {
        "lstm.weight_ih_l0": 0.5, "lstm.weight_hh_l0": 0.5,
        "lstm.weight_ih_l1": 0.25, "lstm.weight_hh_l1": 0.125,
    }  # fmt: skip
    assert nonzero(model, "fc.weight").all()


def test_two_pruners_share_a_model():
    model = make_net()
    first = Pruner(model, "pe_balanced", {"lstm.*": 0.125}, pes=4)
    second = Pruner(model, "unstructured", {"fc.weight": 0.5})
    first.finalize()
    assert first.is_finalized and not second.is_finalized
    train(model, second, adamw(model), range(2))
    second.finalize()
    assert nonzero(model, "fc.weight").sum() == CLASSES * CELLS // 2


def test_the_summary_counts_what_is_left_on_each_pe():
    model = make_net(proj_size=8)
    pruner = Pruner(model, "pe_balanced", {"lstm.*": 0.25}, pes=3)
    rows = {row.matrix: row for row in pruner.summary()}
    assert list(rows) == [
        *(f"lstm.weight_ih_l0, gate {gate}" for gate in "ifgo"),
        *(f"lstm.weight_hh_l0, gate {gate}" for gate in "ifgo"),
        "lstm.weight_hr_l0",
    ]  # fmt: skip
    row = rows["lstm.weight_ih_l0, gate f"]
    mask = np.split(nonzero(model, "lstm.weight_ih_l0"), 4)[1]
    assert row.shape == (CELLS, INPUTS) == mask.shape
    assert row.density_wanted == 0.25 and row.density == mask.mean()
    assert row.min_per_pe == row.max_per_pe == mask[2::3].sum() == 16
    pruner.finalize()
    assert pruner.summary() == list(rows.values())
    loose = Pruner(make_net(), "unstructured", 0.25, pes=4).summary()[0]
    assert loose.min_per_pe < loose.max_per_pe


def test_weights_that_are_zero_already_stay_zero_even_at_density_1():
    model = make_net()
    with torch.no_grad():
        model.fc.weight[:, ::3] = 0
    pruner = Pruner(model, density={"fc.weight": 1.0})
    train(model, pruner, adamw(model), range(3))
    assert not nonzero(model, "fc.weight")[:, ::3].any()
    assert nonzero(model, "fc.weight")[:, 1::3].all()
    free = make_net()
    with torch.no_grad():
        free.fc.weight[:] = 0
    train(free, Pruner(free, density={"fc.weight": 1.0}, keep_zeros=False), adamw(free), range(3))
    assert nonzero(free, "fc.weight").all()


def test_a_kept_weight_that_happens_to_be_zero_goes_before_a_pruned_one():
    model = make_net()
    pruner = Pruner(model, "unstructured", {"fc.weight": 0.25}, Cubic(0, 2))
    original = model.fc.parametrizations.weight.original
    with torch.no_grad():
        original[:4] *= 1e-6
    pruner.step()
    with torch.no_grad():
        original.zero_()
    pruner.step()
    assert pruner.matrices[0].mask.sum() == CLASSES * CELLS // 4


def test_pruned_weights_are_positive_zeros_whatever_is_beneath():
    model = make_net()
    pruner = Pruner(model, density={"fc.weight": 0.5})
    mask = pruner.matrices[0].mask
    with torch.no_grad():
        model.fc.parametrizations.weight.original[~mask] = float("-inf")
    model = pruner.finalize()
    assert (model.fc.weight[~mask] == 0).all() and not torch.signbit(model.fc.weight[~mask]).any()


def test_a_bank_that_had_too_few_weights_does_not_get_pruned_ones_back():
    model = make_net()
    with torch.no_grad():
        model.fc.weight[0, :8] = 0
    pruner = Pruner(model, "bank_balanced", {"fc.weight": 0.5}, bank=8)
    train(model, pruner, adamw(model), range(2))
    counts = nonzero(model, "fc.weight").reshape(-1, 8).sum(axis=1)
    assert counts[0] == 0 and (counts[1:] == 4).all()


def test_the_lstm_alone_is_a_model_too():
    lstm = nn.LSTM(INPUTS, CELLS)
    pruner = Pruner(lstm, "pe_balanced", 0.25, pes=8)
    assert [matrix.name for matrix in pruner.matrices] == ["weight_ih_l0", "weight_hh_l0"]
    x = torch.randn(3, 2, INPUTS)
    wanted = lstm(x)[0]
    assert torch.equal(pruner.finalize()(x)[0], wanted)
