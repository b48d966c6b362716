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
SAYS = "a state dict does not say what forward does with it"
LIVE = "compile the live module, an .onnx or a .pt2 file, or only a part with --only PREFIX"
SEVERAL = (
    "a state dict does not say the order of several Linear layers, nor what stands between them"
)
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
        "weight_ih_l0 is missing (test); hint: an LSTM, GRU or RNN needs this matrix",
    ),
    "a matrix that is missing": (
        {}, without("weight_hh_l0"),
        "weight_hh_l0 is missing (test); hint: an LSTM, GRU or RNN needs this matrix",
    ),
    "a reverse direction in one layer only": (
        BOTH, without(*(f"{kind}_l1_reverse" for kind in
                        ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))),
        "weight_ih_l1_reverse is missing (test); hint: an LSTM, GRU or RNN needs this matrix",
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
        f"weight_hh_l0 has 24 rows, which is not 1, 3 or 4 gates of 3 cells (test); hint: {OTHER}",
    ),
    "a projection that is a number": (
        {"proj_size": 3}, changed("weight_hr_l0", zeros()),
        f"weight_hh_l0 has 24 rows, which is not 1, 3 or 4 gates of 1 cells (test); hint: {OTHER}",
    ),
    "a projection of another width": (
        {"proj_size": 3}, changed("weight_hr_l0", zeros(2, CELLS)),
        f"weight_hr_l0 is 2 x 6, not 3 x 6 (test); hint: the layer has 6 cells; {OTHER}",
    ),
    "a vector for a matrix": (
        {}, changed("weight_ih_l0", zeros(24)),
        "weight_ih_l0 is 1-dimensional (test); hint: an LSTM, GRU or RNN needs this matrix",
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
        "there is no LSTM, GRU or RNN among bias, weight (test); "
        "hint: an LSTM, GRU or RNN has weight_ih_l0, and a cell weight_ih",
    ),
    "several modules of equal sizes": (
        {}, lambda state: with_prefix("a.", state) | with_prefix("b.c.", state) | state,
        "there are 3 recurrent modules: (root) (4 -> 6), a (4 -> 6), b.c (4 -> 6) (test); "
        f"hint: neither names nor sizes tell their order; {LIVE}",
    ),
    "a circle of modules": (
        {}, lambda state: with_prefix("a.", torch.nn.LSTM(4, 6).state_dict())
        | with_prefix("b.", torch.nn.GRU(6, 4).state_dict()),
        "there are 2 recurrent modules: a (4 -> 6), b (6 -> 4) (test); "
        f"hint: neither names nor sizes tell their order; {LIVE}",
    ),
    "modules that may follow one another or stand side by side": (
        {}, lambda state: with_prefix("a.", torch.nn.LSTM(4, 4).state_dict())
        | with_prefix("b.", torch.nn.LSTM(4, 6).state_dict()),
        "there are 2 recurrent modules, which may follow one another or all read the frames: "
        f"a (4 -> 4), b (4 -> 6) (test); hint: {LIVE}",
    ),
    "a batch norm": (
        {}, lambda state: state | with_prefix("norm.", torch.nn.BatchNorm1d(CELLS).state_dict()),
        "can't compile norm.bias, norm.num_batches_tracked, norm.running_mean and 2 more "
        f"(a BatchNorm): {SAYS} (test); hint: {LIVE}",
    ),
    "a convolution": (
        {}, lambda state: state | with_prefix("conv.", torch.nn.Conv1d(2, 3, 5).state_dict()),
        "can't compile conv.bias, conv.weight (a convolution or a Bilinear): "
        f"{SAYS} (test); hint: {LIVE}",
    ),
    "a second head": (
        {}, lambda state: state | with_prefix("a.", torch.nn.Linear(CELLS, 3).state_dict())
        | with_prefix("b.", torch.nn.Linear(3, 2).state_dict()),
        f"can't compile a.weight (3 x 6), b.weight (2 x 3): {SEVERAL} (test); hint: {LIVE}",
    ),
    "a head of another width": (
        {}, lambda state: state | with_prefix("fc.", torch.nn.Linear(CELLS + 1, 3).state_dict()),
        "can't compile fc.weight (3 x 7): a head would have 6 columns, an embedding 4 and no bias "
        f"(test); hint: {LIVE}",
    ),
    "a head whose bias is of another length": (
        {}, lambda state: state | {"fc.weight": torch.ones(3, CELLS), "fc.bias": torch.ones(4)},
        f"fc.bias is 4, not 3 (test); hint: fc.weight gives 3 outputs; {OTHER}",
    ),
    "a parameter of the module's own": (
        {}, changed("scale", zeros(1)), f"can't compile scale: {SAYS} (test); hint: {LIVE}",
    ),
    "a square matrix of which nobody knows what it is": (
        {"inputs": CELLS}, changed("lookup.weight", zeros(9, CELLS)),
        "lookup.weight (9 x 6) could be a Linear head or an embedding (test); "
        "hint: --head last or --head step if it is the head; rename it to emb.weight if it is an "
        f"embedding; else {LIVE}",
    ),
    "an MLP behind the LSTM": (
        {}, lambda state: state | with_prefix("fc.0.", torch.nn.Linear(CELLS, CELLS).state_dict())
        | with_prefix("fc.2.", torch.nn.Linear(CELLS, 3).state_dict()),
        f"can't compile fc.0.weight (6 x 6), fc.2.weight (3 x 6): {SEVERAL} (test); hint: {LIVE}",
    ),
    "attention beside the head": (
        {}, lambda state: state | with_prefix("attn.", torch.nn.Linear(CELLS, 1).state_dict())
        | with_prefix("fc.", torch.nn.Linear(CELLS, 3).state_dict()),
        f"can't compile attn.bias, attn.weight (attention): {SAYS} (test); hint: {LIVE}",
    ),
    "attention of queries and keys": (
        {}, lambda state: state | with_prefix("query.", torch.nn.Linear(CELLS, CELLS).state_dict())
        | with_prefix("fc.", torch.nn.Linear(CELLS, 3).state_dict()),
        f"can't compile query.bias, query.weight (attention): {SAYS} (test); hint: {LIVE}",
    ),
    "attention of torch": (
        {}, lambda state: state
        | with_prefix("mix.", torch.nn.MultiheadAttention(CELLS, 1).state_dict())
        | with_prefix("fc.", torch.nn.Linear(CELLS, 3).state_dict()),
        f"can't compile mix.in_proj_bias, mix.in_proj_weight (attention): {SAYS} (test); "
        f"hint: {LIVE}",
    ),
    "a normalization beside the head": (
        {}, lambda state: state | with_prefix("ln.", torch.nn.LayerNorm(CELLS).state_dict())
        | with_prefix("fc.", torch.nn.Linear(CELLS, 3).state_dict()),
        f"can't compile ln.bias, ln.weight (a LayerNorm or another normalization): {SAYS} (test); "
        f"hint: {LIVE}",
    ),
    "a Linear layer in front": (
        {}, lambda state: with_prefix("proj.", torch.nn.Linear(9, INPUTS).state_dict())
        | with_prefix("lstm.", state) | with_prefix("fc.", torch.nn.Linear(CELLS, 3).state_dict()),
        "proj.weight (4 x 9) seems to stand in front of the recurrent layer, which reads 4 inputs; "
        f"a state dict does not say what stands between (test); hint: {LIVE}",
    ),
    "a Linear layer in front that could be the head": (
        {"inputs": CELLS},
        lambda state: with_prefix("proj.", torch.nn.Linear(CELLS, CELLS).state_dict())
        | with_prefix("lstm.", state),
        "proj.weight (6 x 6) could be a Linear head or a Linear layer in front (test); "
        f"hint: --head last or --head step if it is the head; else {LIVE}",
    ),
    "a matrix in front that could be an embedding": (
        {}, lambda state: {"proj.weight": torch.zeros(INPUTS, INPUTS)}
        | with_prefix("lstm.", state),
        "proj.weight (4 x 4) could be an embedding or a Linear layer in front (test); "
        "hint: --head last or --head step if it is the head; rename it to emb.weight if it is an "
        f"embedding; else {LIVE}",
    ),
    "two that could be the head": (
        {}, lambda state: state | with_prefix("a.", torch.nn.Linear(CELLS, 3).state_dict())
        | with_prefix("b.", torch.nn.Linear(CELLS, 2).state_dict()),
        f"can't compile a.weight (3 x 6), b.weight (2 x 6): {SEVERAL} (test); hint: {LIVE}",
    ),
    "a learned initial state": (
        TWO, lambda state: state | {"h0": torch.zeros(2, 1, CELLS), "c0": torch.zeros(2, CELLS)},
        "c0, h0 are of an initial state that was learned, and no weight of a layer (test); "
        "hint: leave it out with --only PREFIX, and give it to penstock run with --state",
    ),
    "a loss with a matrix": (
        {}, lambda state: state | {"criterion.head.weight": torch.zeros(3, CELLS)},
        f"can't compile criterion.head.weight (part of a loss): {SAYS} (test); hint: {LIVE}",
    ),
    "the LSTM of torch.ao": (
        {}, lambda state: torch.ao.nn.quantizable.LSTM(3, 2).state_dict(),
        "layers.0.layer_fw.cell.hgates.bias, layers.0.layer_fw.cell.hgates.weight, "
        "layers.0.layer_fw.cell.igates.bias and 1 more: this is the quantizable LSTM of torch.ao, "
        "in gates of its own (test); hint: compile the torch.nn.LSTM that it was made from; "
        "Penstock quantizes by itself",
    ),
    "a head of both directions": (
        {"bidirectional": True}, lambda state: state
        | with_prefix("fc.", torch.nn.Linear(2 * CELLS, 3).state_dict()),
        "the head fc.weight (3 x 12) reads a bidirectional layer, and a state dict does not say "
        "when (test); hint: say --head final for h_n of both directions, --head last for the last "
        "step's output[:, -1], or --head step for every step",
    ),
    "an orthogonal parametrization": (
        {}, lambda state: state | with_prefix("fc.", orthogonal().state_dict()),
        "fc.weight is under torch's orthogonal parametrization (test); "
        "hint: call torch.nn.utils.parametrize.remove_parametrizations(module, name) before it is "
        "saved",
    ),
    "spectral norm of an old torch": (
        {}, lambda state: without("weight_hh_l0")(state)
        | {"weight_hh_l0_orig": torch.ones(24, CELLS), "weight_hh_l0_u": torch.ones(24)},
        "weight_hh_l0 is under spectral norm, but weight_hh_l0_v is missing (test); "
        "hint: call torch.nn.utils.remove_spectral_norm before it is saved",
    ),
    "weight norm of another shape": (
        {}, lambda state: without("weight_hh_l0")(state)
        | {"weight_hh_l0_g": torch.ones(23, 1), "weight_hh_l0_v": torch.ones(24, CELLS)},
        "weight_hh_l0 is under weight norm, whose parts don't fit together: weight_hh_l0_g 23 x 1, "
        f"weight_hh_l0_v 24 x 6 (test); hint: {OTHER}",
    ),
    "weight norm of nothing": (
        {}, lambda state: without("weight_hh_l0")(state)
        | {"weight_hh_l0_g": torch.ones(24, 1), "weight_hh_l0_v": torch.zeros(24, CELLS)},
        "weight_hh_l0 is under weight norm of a matrix whose norm is zero (test); "
        "hint: call torch.nn.utils.remove_weight_norm before it is saved",
    ),
    "what weight drop leaves without its raw weight": (
        {}, lambda state: with_prefix("rnn.module.", state | {
            "weight_hh_l0": state["weight_hh_l0"] * (torch.arange(CELLS) % 2)}),
        "50% of rnn.module.weight_hh_l0 are zeros and none of the matrix beside it: it seems to be "
        "the dropped-out copy of weight drop (test); hint: the weight is rnn.weight_hh_l0_raw of "
        "the full checkpoint, which compiles as it is; if the zeros are pruned, rename rnn.module "
        "to rnn",
    ),
    "meta tensors": (
        {}, lambda state: torch.nn.LSTM(INPUTS, CELLS, device="meta").state_dict(),
        "weight_ih_l0 is on the meta device, which holds no values (test); "
        "hint: load the weights first",
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
        "weight_ih_l0 is missing (test); hint: an LSTM, GRU or RNN needs this matrix",
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


def orthogonal():
    return torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(CELLS, CELLS))


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
