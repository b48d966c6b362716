"""Checkpoints and state dicts: what is read equals torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frontend.given import read, saved, with_prefix
from frontend.reference import (
    CELLS,
    INPUTS,
    LENGTHS,
    VARIANTS,
    assert_same,
    frames,
    make_lstm,
    outputs_of,
    run_torch,
)  # fmt: skip
from torch.nn.utils import prune

from penstock import HeadOptions
from penstock.frontend import from_state_dict, read_checkpoint

variants = pytest.mark.parametrize(
    "options", VARIANTS.values(), ids=[name.replace(" ", "-") for name in VARIANTS]
)


@variants
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "packed"])
def test_an_lstm_equals_torch_at_every_step(options, lengths):
    lstm, x = make_lstm(**options), frames()
    model = read(lstm.state_dict())
    assert "head" not in model and model.notes == []
    assert_same(model.run(x.numpy(), lengths), run_torch(lstm, x, lengths))


@variants
@pytest.mark.parametrize("at", ["step", "last", "final"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "packed"])
def test_a_head_equals_torch_where_it_runs(options, at, lengths):
    lstm, x = make_lstm(**options), frames()
    head = torch.nn.Linear(outputs_of(lstm), 5)
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    model = read(state, head=HeadOptions(at))
    assert_same(model.run(x.numpy(), lengths), run_torch(lstm, x, lengths, head, at))


@pytest.mark.parametrize("prefix", ["encoder.rnn.", "module.", "my_", "a.b.0.c."])
def test_any_prefix_names_the_lstm(prefix):
    lstm, x = make_lstm(bidirectional=True), frames()
    model = read(with_prefix(prefix, lstm.state_dict()))
    assert_same(model.run(x.numpy()), run_torch(lstm, x))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
def test_a_file_gives_the_weights_that_were_saved(suffix, tmp_path):
    lstm, x = make_lstm(num_layers=2), frames()
    tensors = read_checkpoint(saved(tmp_path / f"model{suffix}", lstm.state_dict()))
    assert all(value.dtype == np.float64 for value in tensors.values())
    assert_same(from_state_dict(tensors).run(x.numpy()), run_torch(lstm, x))


@pytest.mark.parametrize("keys", [("state_dict",), ("model_state_dict",), ("model", "state_dict")])
def test_a_state_dict_is_found_beside_the_optimizers(keys, tmp_path):
    lstm, x = make_lstm(), frames()
    content = lstm.state_dict()
    for key in reversed(keys):
        content = {"epoch": 3, key: content, "optimizer": {"lr": 0.1}}
    model = from_state_dict(read_checkpoint(saved(tmp_path / "training.pt", content)))
    assert_same(model.run(x.numpy()), run_torch(lstm, x))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_pruned_weights_are_those_that_the_mask_leaves(suffix, tmp_path):
    lstm, head, x = make_lstm(proj_size=3), torch.nn.Linear(3, 5), frames()
    pruned = [(lstm, "weight_ih_l0"), (lstm, "weight_hr_l0"), (head, "weight")]
    for part, name in pruned:
        prune.l1_unstructured(part, name, 0.6)
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    assert "lstm.weight_ih_l0_orig" in state and "fc.weight_mask" in state
    path = saved(tmp_path / f"pruned{suffix}", state)
    for part, name in pruned:
        prune.remove(part, name)
    model = from_state_dict(read_checkpoint(path))
    assert np.count_nonzero(model["l0"].projection) == 18 - round(0.6 * 18)
    assert_same(model.run(x.numpy(), LENGTHS), run_torch(lstm, x, LENGTHS, head, "last"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_narrow_floats_are_read_exactly(dtype, suffix, tmp_path):
    lstm, x = make_lstm(bidirectional=True).to(dtype), frames()
    tensors = read_checkpoint(saved(tmp_path / f"narrow{suffix}", lstm.state_dict()))
    assert_same(from_state_dict(tensors).run(x.numpy()), run_torch(lstm.double(), x))


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_tensors_are_read_as_matrices(layout, tmp_path):
    lstm, x = make_lstm(), frames()
    prune.l1_unstructured(lstm, "weight_ih_l0", 0.6)
    prune.remove(lstm, "weight_ih_l0")
    state = lstm.state_dict()
    state["weight_ih_l0"] = state["weight_ih_l0"].to_sparse(layout=layout)
    model = from_state_dict(read_checkpoint(saved(tmp_path / "sparse.pt", state)))
    assert_same(model.run(x.numpy()), run_torch(lstm, x))


def test_peepholes_and_sigma_survive_both_kinds_of_file(tmp_path):
    lstm, x = make_lstm(peephole=True, cell_activation="sigma"), frames()
    for suffix in (".pt", ".safetensors"):
        path = saved(tmp_path / f"ours{suffix}", with_prefix("rnn.", lstm.state_dict()))
        model = from_state_dict(read_checkpoint(path))
        assert model["l0"].g_function == "sigma"
        assert_same(model.run(x.numpy()), run_torch(lstm, x))


def test_an_embedding_stays_on_the_host_with_a_note():
    lstm = make_lstm()
    table, head = torch.nn.Embedding(9, INPUTS), torch.nn.Linear(CELLS, 5)
    model = read(
        with_prefix("lookup.", table.state_dict())
        | with_prefix("lstm.", lstm.state_dict())
        | with_prefix("fc.", head.state_dict())
    )
    assert model.notes == [
        "lookup.weight is an embedding of 9 entries: the look-up stays on the host",
        "head: fc (5 x 6), at the last step, assumed; --head to change",
    ]
    assert (model.table == table.weight.detach().numpy()).all()
    assert "head" in model and model["head"].weight.shape == (5, CELLS)


def test_a_square_embedding_is_known_by_its_name():
    lstm = make_lstm(inputs=CELLS)
    table, head = torch.nn.Embedding(9, CELLS), torch.nn.Linear(CELLS, 5)
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    model = read(state | with_prefix("embed.", table.state_dict()))
    assert "embed.weight is an embedding of 9 entries" in model.notes[-1]
    assert model["head"].weight.shape == (5, CELLS)
