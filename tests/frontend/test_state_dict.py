"""Checkpoints and state dicts: what is read equals torch, and what can't be read is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
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
from safetensors.torch import save_file
from torch.nn.utils import prune

from penstock import HeadOptions, PenstockError
from penstock.frontend import from_state_dict, read_checkpoint
from penstock.frontend.checkpoint import arrays

variants = pytest.mark.parametrize(
    "options", VARIANTS.values(), ids=[name.replace(" ", "-") for name in VARIANTS]
)


def read(state, **options):
    return from_state_dict(arrays(state, "test"), "test", **options)


def saved(path, state):
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def with_prefix(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


@variants
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "packed"])
def test_an_lstm_equals_torch_at_every_step(options, lengths):
    lstm, x = make_lstm(**options), frames()
    model = read(lstm.state_dict())
    assert model.head is None and model.notes == []
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
    assert np.count_nonzero(model.layers[0].forward.projection) == 18 - round(0.6 * 18)
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
        assert model.layers[0].forward.g_function == "sigma"
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
        "lookup.weight is an embedding of 9 entries: the look-up stays on the host"
    ]
    assert model.head is not None and model.head.weight.shape == (5, CELLS)


def test_a_square_embedding_is_known_by_its_name():
    lstm = make_lstm(inputs=CELLS)
    table, head = torch.nn.Embedding(9, CELLS), torch.nn.Linear(CELLS, 5)
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    model = read(state | with_prefix("embed.", table.state_dict()))
    assert "embed.weight is an embedding of 9 entries" in model.notes[0]
    assert model.head.weight.shape == (5, CELLS)


def without(*names):
    return lambda state: {key: value for key, value in state.items() if key not in names}


def changed(name, value):
    return lambda state: state | {name: value(state.get(name))}


def zeros(*shape):
    return lambda old: torch.zeros(shape)


BIASES = "it is needed because biases come in pairs, in all layers or none"
PEEPHOLES = "it is needed because peepholes come in threes, in all layers or none"
OTHER = "was the checkpoint saved from another model?"
REST = "not part of an LSTM, a Linear head or an embedding"
ALONE = "save only the LSTM and the Linear layer that reads it"
TWO = {"num_layers": 2}
BOTH = {"num_layers": 2, "bidirectional": True}
REFUSED = {
    "one bias of a pair": (
        {}, without("bias_hh_l0"), f"bias_hh_l0 is missing (test); hint: {BIASES}",
    ),
    "no biases in the second layer": (
        TWO, without("bias_ih_l1", "bias_hh_l1"), f"bias_ih_l1 is missing (test); hint: {BIASES}",
    ),
    "no biases in one direction": (
        BOTH, without("bias_ih_l1_reverse", "bias_hh_l1_reverse"),
        f"bias_ih_l1_reverse is missing (test); hint: {BIASES}",
    ),
    "a bias of another length": (
        {}, changed("bias_hh_l0", zeros(23)),
        f"bias_hh_l0 is 23, not 24 (test); hint: {BIASES[21:]}; {OTHER}",
    ),
    "one peephole of three": (
        {"peephole": True}, without("weight_fc_l0"),
        f"weight_fc_l0 is missing (test); hint: {PEEPHOLES}",
    ),
    "no peepholes in the second layer": (
        {"peephole": True, "num_layers": 2},
        without("weight_ic_l1", "weight_fc_l1", "weight_oc_l1"),
        f"weight_ic_l1 is missing (test); hint: {PEEPHOLES}",
    ),
    "an activation of the future": (
        {"peephole": True}, changed("cell_activation_code", lambda old: old + 2),
        "cell_activation_code is 2, which is not the code of an activation (test); "
        "hint: was it saved by a later version of Penstock?",
    ),
    "two activations": (
        {"peephole": True}, changed("cell_activation_code", zeros(2)),
        f"cell_activation_code is 2, not a scalar (test); hint: it is one number; {OTHER}",
    ),
    "a layer that is missing below": (
        TWO, without("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
        "weight_ih_l0 is missing (test); hint: an LSTM needs this matrix",
    ),
    "a matrix that is missing": (
        {}, without("weight_hh_l0"),
        "weight_hh_l0 is missing (test); hint: an LSTM needs this matrix",
    ),
    "a reverse direction in one layer only": (
        BOTH, without(*(f"{kind}_l1_reverse" for kind in
                        ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))),
        "weight_ih_l1_reverse is missing (test); hint: an LSTM needs this matrix",
    ),
    "a reverse direction of another size": (
        {"bidirectional": True},
        lambda state: state | with_reverse(torch.nn.LSTM(INPUTS, CELLS + 1).state_dict()),
        "weight_hh_l0_reverse has another size than the forward direction (test); "
        "hint: both directions of a layer have the same inputs and cells",
    ),
    "a reverse direction of other inputs": (
        {"bidirectional": True}, changed("weight_ih_l0_reverse", zeros(4 * CELLS, INPUTS + 1)),
        "weight_ih_l0_reverse has another size than the forward direction (test); "
        "hint: both directions of a layer have the same inputs and cells",
    ),
    "layers that do not follow one another": (
        TWO, changed("weight_ih_l1", zeros(4 * CELLS, 5)),
        "weight_ih_l1 reads 5 inputs, but the layer before gives 6 (test); "
        "hint: was the checkpoint saved from a model with another hidden_size or proj_size?",
    ),
    "a projection without its matrix": (
        {"proj_size": 3}, without("weight_hr_l0"),
        f"weight_hh_l0 has 24 rows, which is not 4 gates of 3 cells (test); hint: {OTHER}",
    ),
    "a projection that is a number": (
        {"proj_size": 3}, changed("weight_hr_l0", zeros()),
        f"weight_hh_l0 has 24 rows, which is not 4 gates of 1 cells (test); hint: {OTHER}",
    ),
    "a projection of another width": (
        {"proj_size": 3}, changed("weight_hr_l0", zeros(2, CELLS)),
        f"weight_hr_l0 is 2 x 6, not 3 x 6 (test); hint: the layer has 6 cells; {OTHER}",
    ),
    "a vector for a matrix": (
        {}, changed("weight_ih_l0", zeros(24)),
        "weight_ih_l0 is 1-dimensional (test); hint: an LSTM needs this matrix",
    ),
    "gates of another number of rows": (
        {}, changed("weight_ih_l0", zeros(20, INPUTS)),
        f"weight_ih_l0 is 20 x 4, not 24 x 4 (test); hint: the layer has 6 cells; {OTHER}",
    ),
    "not a number": (
        {}, changed("weight_hh_l0", lambda old: torch.where(old > 0.3, torch.nan, old)),
        "weight_hh_l0 has 11 NaN or infinite values (test); "
        "hint: did training diverge? use an earlier checkpoint",
    ),
    "infinity": (
        {}, changed("bias_hh_l0", lambda old: old / 0.0),
        "bias_hh_l0 has 24 NaN or infinite values (test); "
        "hint: did training diverge? use an earlier checkpoint",
    ),
    "nothing inside": (
        {}, changed("weight_ih_l0", zeros(24, 0)),
        "weight_ih_l0 is empty (test); hint: was the model built with size 0?",
    ),
    "no recurrent layer": (
        {}, lambda state: torch.nn.Linear(3, 2).state_dict(),
        "there is no LSTM among bias, weight (test); hint: an LSTM has weight_ih_l0",
    ),
    "an LSTM cell without its layer's number": (
        {}, lambda state: torch.nn.LSTMCell(3, 2).state_dict(),
        "there is no LSTM among bias_hh, bias_ih, weight_hh and 1 more (test); "
        "hint: an LSTM has weight_ih_l0",
    ),
    "a GRU": (
        {}, lambda state: torch.nn.GRU(3, 2).state_dict(),
        "weight_hh_l0 is of a GRU, which is not supported (test); "
        "hint: only LSTM layers can be compiled so far",
    ),
    "an Elman RNN": (
        {}, lambda state: torch.nn.RNN(3, 2).state_dict(),
        "weight_hh_l0 is of an Elman RNN, which is not supported (test); "
        "hint: only LSTM layers can be compiled so far",
    ),
    "two LSTMs": (
        {}, lambda state: with_prefix("a.", state) | with_prefix("b.c.", state) | state,
        "there are 3 LSTMs: (root), a, b.c (test); hint: their order can't be known from names; "
        "stack them in one nn.LSTM, or compile one at a time",
    ),
    "a batch norm": (
        {}, lambda state: state | with_prefix("norm.", torch.nn.BatchNorm1d(CELLS).state_dict()),
        f"can't compile norm.bias, norm.num_batches_tracked, norm.running_mean and 2 more: {REST} "
        f"(test); hint: {ALONE}",
    ),
    "a convolution": (
        {}, lambda state: state | with_prefix("conv.", torch.nn.Conv1d(2, 3, 5).state_dict()),
        f"can't compile conv.bias, conv.weight: {REST} (test); hint: {ALONE}",
    ),
    "a second head": (
        {}, lambda state: state | with_prefix("a.", torch.nn.Linear(CELLS, 3).state_dict())
        | with_prefix("b.", torch.nn.Linear(3, 2).state_dict()),
        f"can't compile b.bias, b.weight: {REST} (test); hint: {ALONE}",
    ),
    "a head of another width": (
        {}, lambda state: state | with_prefix("fc.", torch.nn.Linear(CELLS + 1, 3).state_dict()),
        f"can't compile fc.bias, fc.weight: {REST} (test); hint: {ALONE}",
    ),
    "a head whose bias is of another length": (
        {}, lambda state: state | {"fc.weight": torch.ones(3, CELLS), "fc.bias": torch.ones(4)},
        f"fc.bias is 4, not 3 (test); hint: fc.weight gives 3 outputs; {OTHER}",
    ),
    "a parameter of the module's own": (
        {}, changed("scale", zeros(1)), f"can't compile scale: {REST} (test); hint: {ALONE}",
    ),
    "a square matrix of which nobody knows what it is": (
        {"inputs": CELLS}, changed("lookup.weight", zeros(9, CELLS)),
        "lookup.weight could be an embedding or a Linear head without bias: both have 6 columns "
        "(test); hint: save an embedding as emb.weight, and a head with its bias (zeros do)",
    ),
    "a mask of another shape": (
        {}, lambda state: without("weight_ih_l0")(state)
        | {"weight_ih_l0_orig": torch.ones(24, INPUTS), "weight_ih_l0_mask": torch.ones(INPUTS)},
        f"weight_ih_l0_mask is of another shape than weight_ih_l0_orig (test); hint: {OTHER}",
    ),
    "a mask of one column": (
        {}, lambda state: without("weight_ih_l0")(state)
        | {"weight_ih_l0_orig": torch.ones(24, INPUTS), "weight_ih_l0_mask": torch.ones(24, 1)},
        f"weight_ih_l0_mask is of another shape than weight_ih_l0_orig (test); hint: {OTHER}",
    ),
    "a pruned matrix without its mask": (
        {}, lambda state: without("weight_ih_l0")(state)
        | {"weight_ih_l0_orig": torch.ones(24, INPUTS)},
        "weight_ih_l0 is missing (test); hint: an LSTM needs this matrix",
    ),
    "complex numbers": (
        {}, changed("weight_ih_l0", lambda old: old.to(torch.complex128)),
        "weight_ih_l0 is of type torch.complex128 (test); hint: save it again, as float32",
    ),
    "something that is no tensor": (
        {}, changed("version", lambda old: "1.0"),
        "version is of type str (test); hint: save it again, as float32",
    ),
}  # fmt: skip


def with_reverse(state):
    return {f"{name}_reverse": value for name, value in state.items()}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_what_cant_be_compiled_is_named(case):
    options, change, message = REFUSED[case]
    state = change(dict(make_lstm(**options).state_dict()))
    with pytest.raises(PenstockError) as refusal:
        read(state)
    assert str(refusal.value) == message


@pytest.mark.parametrize("options", [HeadOptions(), HeadOptions("step"), HeadOptions("final")])
def test_head_options_without_a_head_are_refused(options):
    with pytest.raises(PenstockError) as refusal:
        read(make_lstm().state_dict(), head=options)
    assert str(refusal.value) == (
        "there is no Linear head to apply the head options to (test); hint: leave them out"
    )


@pytest.mark.parametrize(
    ("at", "activation", "message"),
    [
        ("first", "none", "a head can't run at 'first' (head options); "
                          "hint: choose one of step, last, final"),
        ("last", "relu", "a head can't end in 'relu' (head options); "
                         "hint: choose one of none, sigmoid, argmax"),
    ],
)  # fmt: skip
def test_head_options_are_checked(at, activation, message):
    with pytest.raises(PenstockError) as refusal:
        HeadOptions(at, activation)
    assert str(refusal.value) == message


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_a_safetensors_type_without_plain_numbers_is_named(dtype, tmp_path):
    path = saved(tmp_path / "m.safetensors", {"w": torch.zeros(2, dtype=torch.float32).to(dtype)})
    with pytest.raises(PenstockError, match=r"^w is of type [CF]\w+ .*hint: save it again, as fl"):
        read_checkpoint(path)


def test_a_quantized_tensor_is_named(tmp_path, recwarn):
    value = torch.quantize_per_tensor(torch.zeros(2, dtype=torch.float32), 0.1, 0, torch.qint8)
    path = saved(tmp_path / "m.pt", {"w": value})
    with pytest.raises(PenstockError, match=r"^w is of type torch.qint8 "):
        read_checkpoint(path)
