"""Checkpoints and state dicts: what can't be read is refused by name."""

from __future__ import annotations

import pytest
import torch
from frontend.given import read, saved, with_prefix
from frontend.reference import CELLS, INPUTS, make_lstm

from penstock import HeadOptions, PenstockError
from penstock.frontend import read_checkpoint


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
