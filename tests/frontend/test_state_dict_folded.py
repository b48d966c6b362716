"""Weights that torch computes from other tensors: what is folded equals what torch computes."""

from __future__ import annotations

import pytest
import torch
from frontend.given import read, saved, with_prefix
from frontend.reference import CELLS, INPUTS, assert_same, frames
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from penstock import HeadOptions
from penstock.frontend import from_state_dict, read_checkpoint

nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm", "ignore:.*RNN module weights")
NORMS = {
    "weight norm": weight_norm,
    "weight norm, parametrized": parametrizations.weight_norm,
    "spectral norm": spectral_norm,
    "spectral norm, parametrized": parametrizations.spectral_norm,
}


@torch.no_grad()
def outputs(module, x):
    return module(x)[0].numpy()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("norm", NORMS)
def test_a_recurrent_module_under_a_norm_equals_torch(norm, kind, suffix, tmp_path):
    module, x = kind(INPUTS, CELLS, batch_first=True), frames()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        NORMS[norm](module, name)
    module(x)  # in training: a step of the power iteration
    module.eval()
    state = with_prefix("rnn.", {k: v.detach().clone() for k, v in module.state_dict().items()})
    assert "rnn.weight_hh_l0" not in state
    model = from_state_dict(read_checkpoint(saved(tmp_path / f"m{suffix}", state)))
    assert model.notes == [
        f"{norm.split(',')[0]} is folded into rnn.weight_hh_l0, rnn.weight_ih_l0"
    ]
    assert_same(model.run(x.numpy()), outputs(module, x))


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("norm", [weight_norm, parametrizations.weight_norm])
def test_weight_norm_of_a_head_is_along_any_dimension(norm, dim):
    lstm, head, x = nn.LSTM(INPUTS, CELLS, batch_first=True), nn.Linear(CELLS, 3), frames()
    norm(head, "weight", dim=dim)
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    with torch.no_grad():
        wanted = head(lstm(x)[0]).numpy()
    assert_same(read(state, head=HeadOptions("step")).run(x.numpy()), wanted)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("norm", [spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_of_a_head_is_along_either_dimension(norm, dim):
    lstm, head, x = nn.LSTM(INPUTS, CELLS, batch_first=True), nn.Linear(CELLS, 3), frames()
    norm(head, "weight", dim=dim)
    head.eval()
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    with torch.no_grad():
        wanted = head(lstm(x)[0]).numpy()
    assert_same(read(state, head=HeadOptions("step")).run(x.numpy()), wanted)


def test_a_norm_on_a_pruned_module_leaves_the_rest_pruned():
    module, x = nn.LSTM(INPUTS, CELLS, batch_first=True), frames()
    prune.l1_unstructured(module, "weight_ih_l0", 0.5)
    parametrizations.weight_norm(module, "weight_hh_l0")
    assert_same(read(module.state_dict()).run(x.numpy()), outputs(module, x))


def raw_inside(module, dropped):
    """As Salesforce's AWD-LSTM saves it."""
    state = module.state_dict()
    state["weight_hh_l0_raw"] = state.pop("weight_hh_l0")
    state |= {"weight_hh_l0": dropped} if dropped is not None else {}
    return with_prefix("rnns.0.module.", state)


def raw_outside(module, dropped):
    """As fastai's WeightDropout saves it."""
    state = module.state_dict()
    raw = state.pop("weight_hh_l0")
    state |= {"weight_hh_l0": dropped} if dropped is not None else {}
    return {"rnns.0.weight_hh_l0_raw": raw, **with_prefix("rnns.0.module.", state)}


@pytest.mark.parametrize("has_copy", [True, False])
@pytest.mark.parametrize("form", [raw_inside, raw_outside])
def test_the_raw_weight_of_weight_drop_is_the_weight(form, has_copy):
    module, x = nn.LSTM(INPUTS, CELLS, batch_first=True), frames()
    copy = nn.functional.dropout(module.weight_hh_l0.detach(), 0.5) if has_copy else None
    model = read(form(module, copy))
    assert model.notes == [
        "weight drop: rnns.0.module.weight_hh_l0 as trained (_raw); "
        "the dropped-out copy is left out"
    ]
    assert_same(model.run(x.numpy()), outputs(module, x))


def test_a_pruned_matrix_in_a_wrapper_is_read_where_its_zeros_are_no_dropout():
    module, x = nn.LSTM(INPUTS, CELLS, batch_first=True), frames()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        prune.l1_unstructured(module, name, 0.5)
        prune.remove(module, name)
    model = read(with_prefix("rnn.module.", module.state_dict()))
    assert_same(model.run(x.numpy()), outputs(module, x))
