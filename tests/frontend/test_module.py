"""Live torch modules: what a module says beyond its state dict, and what is refused by name."""

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
from torch import nn
from torch.nn.utils import parametrize, prune

import penstock
from penstock import HeadOptions, PenstockError
from penstock.frontend import from_module

variants = pytest.mark.parametrize(
    "options", VARIANTS.values(), ids=[name.replace(" ", "-") for name in VARIANTS]
)
LEAVE = "compile only the LSTM and its Linear head, and run the rest on the host"
ORDER = "register the layers in the order in which they run, or run it on the host"


class Net(nn.Module):
    """Parts in the order in which they are given; runs LSTM, then the rest on its last step."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        parts = dict(self.named_children())
        if "table" in parts:
            x = parts.pop("table")(x)
        output = parts.pop("lstm")(x)[0]
        y = output[:, -1:] if self.lstm.batch_first else output[-1:]
        for part in parts.values():
            y = part(y)
        return y


@variants
def test_an_lstm_alone_is_a_model(options):
    lstm, x = make_lstm(**options), frames()
    model = from_module(lstm)
    assert model.head is None and model.batch_first and model.notes == []
    assert_same(model.run(x.numpy(), LENGTHS), run_torch(lstm, x, LENGTHS))


@variants
@pytest.mark.parametrize("at", ["step", "last", "final"])
def test_a_linear_layer_is_the_head(options, at):
    lstm, x = make_lstm(**options), frames()
    net = Net(lstm=lstm, fc=nn.Linear(outputs_of(lstm), 5))
    model = from_module(net, HeadOptions(at))
    assert_same(model.run(x.numpy(), LENGTHS), run_torch(lstm, x, LENGTHS, net.fc, at))


@torch.no_grad()
def test_layers_in_wrappers_are_found_and_dropout_does_nothing():
    lstm = nn.LSTM(INPUTS, CELLS, num_layers=2, dropout=0.5, batch_first=True)
    head = nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.ModuleList([nn.Linear(CELLS, 5)]))
    net = nn.Sequential(nn.ModuleDict({"rnn": Net(lstm=lstm)}), head)
    x = frames()
    model = from_module(net)
    assert_same(model.run(x.numpy()), run_torch(lstm.eval(), x, head=head[2][0], at="last"))
    assert model.notes == [] and model.name == "sequential"


@torch.no_grad()
def test_a_module_of_its_own_equals_its_forward():
    net = Net(lstm=make_lstm(bidirectional=True), drop=nn.Dropout(), fc=nn.Linear(2 * CELLS, 5))
    x = frames()
    assert_same(from_module(net.eval()).run(x.numpy()), net(x).numpy())


@torch.no_grad()
@pytest.mark.parametrize("kind", [nn.LSTM, penstock.nn.LSTM])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_order_of_arrays_is_the_modules(kind, batch_first):
    net = Net(lstm=kind(INPUTS, CELLS, batch_first=batch_first), fc=nn.Linear(CELLS, 5))
    x = frames() if batch_first else frames().transpose(0, 1)
    model = from_module(net)
    assert model.batch_first is batch_first
    y = net(x).numpy()
    first = x.numpy() if batch_first else x.numpy().swapaxes(0, 1)
    assert_same(model.run(first), y if batch_first else y.swapaxes(0, 1))


@torch.no_grad()
def test_a_sigmoid_after_the_head_is_its_activation():
    net = Net(lstm=make_lstm(), fc=nn.Linear(CELLS, 1), gate=nn.Sigmoid())
    model = from_module(net)
    assert (model.head.at, model.head.activation) == ("last", "sigmoid")
    x = frames()
    assert_same(1 / (1 + np.exp(-model.run(x.numpy()))), net(x).numpy())
    assert from_module(net, HeadOptions("step")).head.activation == "sigmoid"
    assert from_module(net, HeadOptions("final", "argmax")).head.activation == "argmax"


@pytest.mark.parametrize("kind", [nn.Softmax, nn.LogSoftmax])
def test_a_softmax_is_left_to_the_host_with_a_note(kind):
    model = from_module(Net(lstm=make_lstm(), fc=nn.Linear(CELLS, 5), last=kind(dim=-1)))
    assert model.head.activation == "none"
    assert model.notes == ["layer last runs on the host"]


@torch.no_grad()
@pytest.mark.parametrize("width", [INPUTS, CELLS])
def test_an_embedding_is_left_to_the_host_whatever_its_name_and_shape(width):
    table, lstm = nn.Embedding(9, width), make_lstm(inputs=width)
    tokens = torch.randint(9, (3, 7))
    model = from_module(Net(table=table, lstm=lstm))
    assert model.head is None
    assert model.notes == [
        "table.weight is an embedding of 9 entries: the look-up stays on the host"
    ]
    net = Net(table=table, lstm=lstm, fc=nn.Linear(CELLS, 5))
    assert_same(from_module(net).run(table(tokens).numpy()), net(tokens).numpy())


@torch.no_grad()
@pytest.mark.parametrize("inputs", [INPUTS, CELLS])
def test_a_head_without_bias_is_a_head_whatever_its_shape(inputs):
    net = Net(lstm=make_lstm(inputs=inputs), fc=nn.Linear(CELLS, 5, bias=False))
    x = frames(inputs)
    assert_same(from_module(net).run(x.numpy()), net(x).numpy())


@torch.no_grad()
def test_a_pruned_module_runs_with_its_masks():
    net = Net(lstm=make_lstm(), fc=nn.Linear(CELLS, 5))
    prune.l1_unstructured(net.lstm, "weight_hh_l0", 0.7)
    prune.l1_unstructured(net.fc, "weight", 0.5)
    x = frames()
    model = from_module(net)
    assert np.count_nonzero(model.head.weight) == 15
    assert_same(model.run(x.numpy()), net(x).numpy())


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_narrow_module_is_read_exactly(dtype):
    net, x = Net(lstm=make_lstm(), fc=nn.Linear(CELLS, 5)).to(dtype), frames()
    assert_same(from_module(net).run(x.numpy()), net.double()(x).numpy())


def test_a_subclass_that_only_adds_methods_is_an_lstm():
    class Named(nn.LSTM):
        def title(self):
            return "mine"

    lstm, x = Named(INPUTS, CELLS, batch_first=True), frames()
    assert_same(from_module(lstm).run(x.numpy()), run_torch(lstm, x))


def test_compile_takes_a_live_module(tmp_path):
    compiled = penstock.compile(
        Net(table=nn.Embedding(9, INPUTS), lstm=make_lstm(), fc=nn.Linear(CELLS, 5)),
        hardware=penstock.Hardware(pes=1),
    )
    assert compiled.notes[0].startswith("table.weight is an embedding of 9 entries")
    assert (compiled.write(tmp_path / "project") / "graph.json").is_file()


class Residual(nn.LSTM):
    """An LSTM in name only."""

    def forward(self, input, hx=None):
        output, state = super().forward(input, hx)
        return output + input, state


class Linear(nn.Module):
    """Shares the name with torch's, and no more."""

    def forward(self, x):
        return x * x


class Masked(nn.Linear):
    """A Linear layer with another forward."""


def bare(**parts):
    return Net(lstm=make_lstm(), **parts)


HERE = __name__
CANT = f"which can't be compiled (Net); hint: {LEAVE}"
REFUSED = {
    "ReLU": (
        lambda: bare(act=nn.ReLU(), fc=nn.Linear(CELLS, 5)), f"layer act is a ReLU, {CANT}",
    ),
    "BatchNorm": (
        lambda: bare(norm=nn.BatchNorm1d(CELLS)), f"layer norm is a BatchNorm1d, {CANT}",
    ),
    "LayerNorm inside a wrapper": (
        lambda: bare(tail=nn.Sequential(nn.Dropout(), nn.LayerNorm(CELLS))),
        f"layer tail.1 is a LayerNorm, {CANT}",
    ),
    "GRU": (lambda: bare(gru=nn.GRU(CELLS, 3)), f"layer gru is a GRU, {CANT}"),
    "LSTMCell": (lambda: bare(cell=nn.LSTMCell(CELLS, 3)), f"layer cell is a LSTMCell, {CANT}"),
    "attention": (
        lambda: bare(attend=nn.MultiheadAttention(CELLS, 2)),
        f"layer attend is a MultiheadAttention, {CANT}",
    ),
    "a transformer": (
        lambda: bare(t=nn.TransformerEncoderLayer(CELLS, 2, 8)),
        f"layer t is a TransformerEncoderLayer, {CANT}",
    ),
    "a convolution": (lambda: bare(conv=nn.Conv1d(2, 3, 5)), f"layer conv is a Conv1d, {CANT}"),
    "a bag of embeddings": (
        lambda: bare(bag=nn.EmbeddingBag(9, INPUTS)), f"layer bag is a EmbeddingBag, {CANT}",
    ),
    "a layer of the user's own": (
        lambda: bare(square=Linear()), f"layer square is a {HERE}.Linear, {CANT}",
    ),
    "a Linear layer with its own forward": (
        lambda: bare(fc=Masked(CELLS, 5)), f"layer fc is a {HERE}.Masked, {CANT}",
    ),
    "an LSTM with its own forward": (
        lambda: Net(lstm=Residual(CELLS, CELLS)), f"layer lstm is a {HERE}.Residual, {CANT}",
    ),
    "a parametrized weight": (
        lambda: parametrized(bare()),
        "the weights are still parametrized (lstm.parametrizations.weight_hh_l0.original) (Net); "
        "hint: call pruner.finalize(), or torch's remove_parametrizations, first",
    ),
    "a Linear layer before the LSTM": (
        lambda: Net(fc=nn.Linear(CELLS, CELLS), lstm=make_lstm(inputs=CELLS)),
        f"layer fc is a Linear with no LSTM before it (Net); hint: {ORDER}",
    ),
    "a Sigmoid without a head": (
        lambda: bare(gate=nn.Sigmoid()),
        f"layer gate is a Sigmoid with no Linear before it (Net); hint: {ORDER}",
    ),
    "a Sigmoid before the head": (
        lambda: bare(gate=nn.Sigmoid(), fc=nn.Linear(CELLS, 5)),
        f"layer gate is a Sigmoid with no Linear before it (Net); hint: {ORDER}",
    ),
    "a Softmax before the LSTM": (
        lambda: Net(soft=nn.Softmax(dim=-1), lstm=make_lstm()),
        f"layer soft is a Softmax with no LSTM before it (Net); hint: {ORDER}",
    ),
    "a second LSTM": (
        lambda: bare(other=nn.LSTM(CELLS, 3)),
        "there are 2 LSTMs: lstm, other (Net); hint: their order can't be known from names; "
        "stack them in one nn.LSTM, or compile one at a time",
    ),
    "a second Linear layer": (
        lambda: bare(a=nn.Linear(CELLS, 3), b=nn.Linear(3, 2)),
        "can't compile b.bias, b.weight: not part of an LSTM, a Linear head or an embedding "
        "(Net); hint: save only the LSTM and the Linear layer that reads it",
    ),
    "a parameter of the module's own": (
        lambda: scaled(bare()),
        "can't compile scale: not part of an LSTM, a Linear head or an embedding "
        "(Net); hint: save only the LSTM and the Linear layer that reads it",
    ),
    "no LSTM": (
        lambda: Net(drop=nn.Dropout()),
        "the module contains no LSTM (Net); hint: give one with an nn.LSTM",
    ),
    "a ReLU and nothing else": (
        nn.ReLU,
        f"layer (the module itself) is a ReLU, which can't be compiled (ReLU); hint: {LEAVE}",
    ),
}  # fmt: skip


def parametrized(net):
    parametrize.register_parametrization(net.lstm, "weight_hh_l0", nn.Identity())
    return net


def scaled(net):
    net.scale = nn.Parameter(torch.ones(1))
    return net


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_what_cant_be_compiled_is_named(case):
    make, message = REFUSED[case]
    with pytest.raises(PenstockError) as refusal:
        from_module(make())
    assert str(refusal.value) == message


def test_a_weight_that_is_computed_anew_is_not_read_as_a_head():
    net = bare(fc=nn.utils.parametrizations.weight_norm(nn.Linear(CELLS, 5)))
    with pytest.raises(PenstockError, match=r"^the weights are still parametrized \(fc\."):
        from_module(net)


def test_head_options_without_a_head_are_refused():
    with pytest.raises(PenstockError, match="there is no Linear head to apply the head options"):
        from_module(bare(), HeadOptions())
