"""Pruned models outside the training loop: copies, dtypes, torch's own pruning, the compiler."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from compress.networks import KINDS, adamw, batch, make_net, nonzero, train  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import parametrize, prune  # noqa: E402

import penstock.nn  # noqa: E402
from penstock.compress import Cubic, Pruner, finalize  # noqa: E402
from penstock.frontend import from_module, from_state_dict  # noqa: E402
from penstock.frontend.checkpoint import arrays  # noqa: E402

kinds = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
pytestmark = pytest.mark.filterwarnings("ignore:.*leaves no weight in")


@kinds
def test_a_copy_can_be_finalized_while_the_training_of_the_original_goes_on(options):
    model, alone = make_net(**options), make_net(**options)
    pruner, lonely = (Pruner(m, density=0.2, schedule=Cubic(0, 4)) for m in (model, alone))
    optimizer, other = adamw(model), adamw(alone)
    train(model, pruner, optimizer, range(2))
    x, _ = batch(7)
    wanted = model(x)  # a forward pass with gradients, so that the LSTM holds results
    snapshot = finalize(deepcopy(model))
    assert torch.equal(snapshot(x), wanted) and torch.equal(model(x), wanted)
    assert not any("parametrizations" in name for name in snapshot.state_dict())
    train(model, pruner, optimizer, range(2, 5))
    train(alone, lonely, other, range(5))
    assert torch.equal(model(x), alone(x)) and torch.equal(snapshot(x), wanted)
    again = deepcopy(model)
    pruner.finalize()
    assert torch.equal(again(x), model(x))


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


def test_a_parametrization_that_others_add_behind_the_mask_stays():
    model = make_net()
    pruner = Pruner(model, density=0.25)
    for module, name in ((model.fc, "weight"), (model.lstm, "weight_hh_l0")):
        parametrize.register_parametrization(module, name, Doubled())
    train(model, pruner, adamw(model), range(2))
    x, _ = batch(0)
    wanted = model(x)
    assert torch.equal(pruner.finalize()(x), wanted)
    original = model.lstm.parametrizations.weight_hh_l0.original
    assert (original != 0).float().mean() == 0.25
    assert torch.equal(model.lstm.weight_hh_l0, 2 * original)
    assert not any("mask" in name for name in model.state_dict())


def test_other_dtypes_are_pruned_and_converted_models_can_be_copied():
    for dtype in (torch.float64, torch.bfloat16):
        model = make_net().to(dtype)
        pruner = Pruner(model, "pe_balanced", 0.25, pes=4)
        assert {row.density for row in pruner.summary()} == {0.25}
        copy = deepcopy(model.to(torch.float32))
        x, _ = batch(0)
        assert torch.equal(copy(x), model(x))


def test_a_pruned_model_compiles_with_exactly_its_zeros():
    model = make_net(lstm=penstock.nn.LSTM, peephole=True, proj_size=8)
    pruner = Pruner(model, "pe_balanced", 0.125, pes=4)
    train(model, pruner, adamw(model), range(2))
    weights = from_module(pruner.finalize()).weights()
    gates = np.split(model.lstm.weight_ih_l0.detach().double().numpy(), 4)
    assert (weights["l0.W_gx"] == gates[2]).all()
    assert {(w != 0).mean() for w in weights.values()} == {0.125}


@pytest.mark.parametrize("lstm", [nn.LSTM, penstock.nn.LSTM])
def test_a_model_pruned_by_torch_compiles_with_exactly_those_zeros(lstm):
    model = make_net(lstm=lstm, proj_size=8)
    names = ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]
    for name in names:
        prune.l1_unstructured(model.lstm, name, amount=0.7)
    prune.random_unstructured(model.fc, "weight", amount=0.5)
    x, _ = batch(0)
    wanted = model(x).detach().double().numpy()
    state = arrays(model.state_dict(), "state dict")
    for compiled in (from_module(model), from_state_dict(state)):
        weights = compiled.weights()
        masks = np.split(model.lstm.weight_hh_l0_mask.numpy() != 0, 4)
        for gate, mask in zip("ifgo", masks, strict=True):
            assert ((weights[f"l0.W_{gate}r"] != 0) == mask).all()
        assert ((weights["head.W"] != 0) == (model.fc.weight_mask.numpy() != 0)).all()
        assert np.abs(compiled.run(x.numpy())[:, 0] - wanted).max() < 1e-6
    for name in names:
        prune.remove(model.lstm, name)
    held = nonzero(model, "lstm.weight_hh_l0")
    pruner = Pruner(model, density={"lstm.*": 1.0})
    train(model, pruner, adamw(model), range(2))
    assert (nonzero(model, "lstm.weight_hh_l0") == held).all()


def test_penstock_is_imported_without_torch():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import penstock, penstock.compress as c\n"
        "assert c.pe_balanced_mask and c.Cubic\n"
        "try: c.Pruner\n"
        "except penstock.PenstockError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = "penstock.compress.Pruner needs PyTorch; hint: install penstock[torch]\n"
    assert done.stdout == wanted
