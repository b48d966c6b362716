"""Live modules, and what becomes of them: layers, or one line that names the trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import penstock.nn

INPUTS, LANES, STEPS = 6, 3, 9


class Module(nn.Module):
    """Parts by name, and a function of the module and the input as its forward."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def frames(lanes=LANES, steps=STEPS, inputs=INPUTS):
    return np.random.default_rng(3).normal(0, 1, (lanes, steps, inputs))


@dataclass(frozen=True)
class Case:
    """make: the module; kinds: of its network's layers, in order."""

    make: Callable[[], nn.Module]
    kinds: list[str]
    is_tokens: bool = False

    def frames(self, module: nn.Module) -> Any:
        """What the module takes, the sequences first."""
        if self.is_tokens:
            return np.random.default_rng(3).integers(0, 9, (LANES, STEPS))
        return frames()

    def inputs(self, x: Any, model: Any) -> Any:
        """What the network takes."""
        return model.table[x] if self.is_tokens else x.astype(np.float64)


def results(module: nn.Module, x: Any, model: Any) -> tuple[Any, Any]:
    """What the module gives, its arrays side by side, and what the network gives."""
    given = torch.tensor(x if model.batch_first else x.swapaxes(0, 1))
    given = given if x.dtype.kind == "i" else given.to(torch.get_default_dtype())
    with torch.no_grad():
        found = module.eval()(given)
    leaves = found if isinstance(found, tuple) else (found,)
    arrays = []
    for leaf in leaves:
        array = leaf.double().numpy()
        if not model.batch_first and array.ndim == 3 and array.shape[0] == STEPS:
            array = array.swapaxes(0, 1)
        arrays.append(array.reshape(LANES, -1, array.shape[-1]))
    real = model.table[x] if model.table is not None else x.astype(np.float64)
    y = model.run(real)
    head = model.find("head")
    if head is not None and head.activation == "sigmoid":
        y = 1 / (1 + np.exp(-y))
    return np.concatenate(arrays, axis=2), y


def lstm(cells=8, inputs=INPUTS, **options):
    return nn.LSTM(inputs, cells, batch_first=True, **options)


def head(function, cells=8, **parts):
    """A module of an LSTM, what ``function`` makes of its output, and a Linear layer."""
    return Module(lambda m, x: m.fc(function(m, m.lstm(x)[0])), lstm=lstm(), fc=nn.Linear(cells, 3),
                  **parts)  # fmt: skip


def both():
    return lstm(bidirectional=True)


def trained_norm():
    norm = nn.BatchNorm1d(8)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm


def loop(m, x):
    h = torch.zeros(x.size(0), 8)
    c, outputs = torch.zeros(x.size(0), 8), []
    for t in range(x.size(1)):
        h, c = m.cell(x[:, t], (h, c))
        outputs.append(torch.relu(m.fc(h)))
    return torch.stack(outputs, 1)


def filled(m, x):
    h, outputs = torch.zeros(x.size(0), 8), torch.zeros(x.size(0), x.size(1), 8)
    for t in range(x.size(1)):
        h = m.cell(x[:, t], h)
        outputs[:, t] = h
    return m.fc(outputs)


def changed_in_place(m, x):
    y = m.a(m.lstm(x)[0])
    last = y[:, -1]
    y.relu_()
    return m.fc(last)


FOLLOWED = {
    "the last step": Case(lambda: head(lambda m, y: y[:, -1]), ["lstm", "pool", "head"]),
    "every step": Case(lambda: head(lambda m, y: y), ["lstm", "head"]),
    "relu before the head": Case(
        lambda: head(lambda m, y: torch.relu(y[:, -1])), ["lstm", "pool", "relu", "head"]
    ),
    "relu in place": Case(
        lambda: head(lambda m, y: F.relu(y, inplace=True)), ["lstm", "relu", "head"]
    ),
    "a convolution of one step": Case(
        lambda: head(lambda m, y: m.conv(y.transpose(1, 2)).transpose(1, 2),
                     conv=nn.Conv1d(8, 8, 1, groups=2)),
        ["lstm", "linear", "head"],
    ),
    "the min over the steps": Case(
        lambda: head(lambda m, y: y.min(1).values), ["lstm", "linear", "pool", "head"]
    ),
    "a leaky relu": Case(
        lambda: head(lambda m, y: F.leaky_relu(y, 0.2)), ["lstm", "relu", "linear", "head"]
    ),
    "a slope for each channel": Case(
        lambda: head(lambda m, y: m.slope(y.transpose(1, 2)).transpose(1, 2), slope=nn.PReLU(8)),
        ["lstm", "relu", "linear", "head"],
    ),
    "an absolute value": Case(
        lambda: head(lambda m, y: y[:, -1].abs()), ["lstm", "pool", "relu", "linear", "head"]
    ),
    "the greater and the lesser of two": Case(
        lambda: Module(
            lambda m, x: torch.minimum(torch.maximum(m.a(x), m.b(x)), m.a(x)[..., :1]),
            a=nn.Linear(INPUTS, 3), b=nn.Linear(INPUTS, 3),
        ),
        ["linear", "linear", "linear", "relu", "linear", "relu", "head"],
    ),
    "the mean over the steps": Case(lambda: head(lambda m, y: y.mean(1)), ["lstm", "pool", "head"]),
    "the max over the steps": Case(
        lambda: head(lambda m, y: y.max(1).values), ["lstm", "pool", "head"]
    ),
    "an average pool": Case(
        lambda: head(lambda m, y: F.adaptive_avg_pool1d(y.transpose(1, 2), 1).squeeze(-1)),
        ["lstm", "pool", "head"],
    ),
    "the last, the mean and the max": Case(
        lambda: head(lambda m, y: torch.cat([y[:, -1], y.mean(1), y.amax(1)], 1), 24),
        ["lstm", "pool", "pool", "pool", "head"],
    ),
    "the cell state": Case(
        lambda: Module(lambda m, x: m.fc(m.lstm(x)[1][1][-1]), lstm=lstm(), fc=nn.Linear(8, 3)),
        ["lstm", "pool", "head"],
    ),
    "h_n of two layers": Case(
        lambda: Module(lambda m, x: m.fc(m.lstm(x)[1][0][-1]), lstm=lstm(num_layers=2),
                       fc=nn.Linear(8, 3)),
        ["lstm", "lstm", "pool", "head"],
    ),
    "both final states": Case(
        lambda: Module(
            lambda m, x: m.fc(torch.cat(m.lstm(x)[1][0].unbind(0), 1)), lstm=both(),
            fc=nn.Linear(16, 3),
        ),
        ["lstm", "lstm", "pool", "pool", "head"],
    ),
    "both directions at the last step": Case(
        lambda: Module(lambda m, x: m.fc(m.lstm(x)[0][:, -1]), lstm=both(), fc=nn.Linear(16, 3)),
        ["lstm", "lstm", "pool", "pool", "head"],
    ),
    "both directions added up": Case(
        lambda: Module(
            lambda m, x: m.fc(m.lstm(x)[0].view(*x.shape[:2], 2, 8).sum(2)), lstm=both(),
            fc=nn.Linear(8, 3),
        ),
        ["lstm", "lstm", "sum", "head"],
    ),
    "frames from the last to the first": Case(
        lambda: Module(lambda m, x: m.fc(m.lstm(x.flip(1))[0][:, -1]), lstm=lstm(),
                       fc=nn.Linear(8, 3)),
        ["lstm", "pool", "head"],
    ),
    "turned there and back": Case(
        lambda: Module(lambda m, x: m.lstm(x.flip(1))[0].flip(1) + m.other(x)[0], lstm=lstm(),
                       other=lstm()),
        ["lstm", "lstm", "sum"],
    ),
    "one less a gate": Case(
        lambda: head(lambda m, y: (1 - torch.sigmoid(m.gate(y))) * y, gate=nn.Linear(8, 8)),
        ["lstm", "linear", "activation", "linear", "product", "head"],
    ),
    "scaled frames": Case(
        lambda: Module(lambda m, x: m.lstm(x * 2 - 1)[0], lstm=lstm()), ["lstm"]
    ),
    "a part of the frame": Case(
        lambda: Module(lambda m, x: m.lstm(x[..., 1:4])[0], lstm=lstm(inputs=3)), ["lstm"]
    ),
    "a perceptron in front": Case(
        lambda: Module(lambda m, x: m.lstm(torch.tanh(m.a(x)))[0], a=nn.Linear(INPUTS, 7),
                       lstm=lstm(inputs=7)),
        ["linear", "activation", "lstm"],
    ),
    "a perceptron behind": Case(
        lambda: head(lambda m, y: torch.relu(m.a(y)), 5, a=nn.Linear(8, 5)),
        ["lstm", "linear", "relu", "head"],
    ),
    "a residual connection": Case(
        lambda: Module(lambda m, x: (lambda y: m.b(y)[0] + y)(m.a(x)[0]), a=lstm(),
                       b=lstm(inputs=8)),
        ["lstm", "lstm", "sum"],
    ),
    "frames beside the output": Case(
        lambda: Module(lambda m, x: m.fc(torch.cat([m.lstm(x)[0], x], -1)), lstm=lstm(),
                       fc=nn.Linear(8 + INPUTS, 3)),
        ["lstm", "head"],
    ),
    "one vector gates another": Case(
        lambda: head(lambda m, y: y * torch.sigmoid(m.gate(y)), gate=nn.Linear(8, 8)),
        ["lstm", "linear", "activation", "product", "head"],
    ),
    "BatchNorm behind a Linear layer": Case(
        lambda: Module(
            lambda m, x: torch.relu(m.norm(m.a(x).transpose(1, 2)).transpose(1, 2)),
            a=nn.Linear(INPUTS, 8), norm=trained_norm(),
        ),
        ["linear", "relu"],
    ),
    "BatchNorm behind an LSTM": Case(
        lambda: head(lambda m, y: m.norm(y.transpose(1, 2)).transpose(1, 2), norm=trained_norm()),
        ["lstm", "head"],
    ),
    "a stack of unequal layers": Case(
        lambda: Module(
            lambda m, x: m.c(m.b(m.a(x)[0])[0])[0], a=lstm(),
            b=nn.GRU(8, 5, batch_first=True, bidirectional=True),
            c=nn.RNN(10, 4, batch_first=True, nonlinearity="relu"),
        ),
        ["lstm", "gru", "gru", "rnn"],
    ),
    "an LSTM forward and a GRU backward": Case(
        lambda: Module(
            lambda m, x: torch.cat([m.a(x)[0], m.b(x.flip(1))[0].flip(1)], -1), a=lstm(),
            b=nn.GRU(INPUTS, 5, batch_first=True),
        ),
        ["lstm", "gru"],
    ),
    "a time-major RNN": Case(
        lambda: Module(lambda m, x: m.fc(m.rnn(x)[0]), rnn=nn.RNN(INPUTS, 8), fc=nn.Linear(8, 3)),
        ["rnn", "head"],
    ),
    "peepholes and projection": Case(
        lambda: Module(
            lambda m, x: m.fc(m.lstm(x)[0]),
            lstm=penstock.nn.LSTM(INPUTS, 8, 2, batch_first=True, peephole=True, proj_size=4,
                                  bidirectional=True, cell_activation="sigma"),
            fc=nn.Linear(8, 3),
        ),
        ["lstm", "lstm", "lstm", "lstm", "head"],
    ),
    "a loop over a cell": Case(
        lambda: Module(loop, cell=nn.LSTMCell(INPUTS, 8), fc=nn.Linear(8, 3)),
        ["lstm", "linear", "relu"],
    ),
    "outputs written into an array": Case(
        lambda: Module(filled, cell=nn.GRUCell(INPUTS, 8), fc=nn.Linear(8, 3)), ["gru", "head"]
    ),
    "a view of what is changed in place": Case(
        lambda: Module(changed_in_place, lstm=lstm(), a=nn.Linear(8, 8), fc=nn.Linear(8, 3)),
        ["lstm", "pool", "linear", "relu", "head"],
    ),
    "an embedding": Case(
        lambda: Module(lambda m, x: m.fc(m.lstm(m.table(x))[0]), table=nn.Embedding(9, INPUTS),
                       lstm=lstm(), fc=nn.Linear(8, 9)),
        ["lstm", "head"], is_tokens=True,
    ),
    "a sigmoid at the end": Case(
        lambda: Module(lambda m, x: torch.sigmoid(m.fc(m.lstm(x)[0][:, -1])), lstm=lstm(),
                       fc=nn.Linear(8, 1)),
        ["lstm", "pool", "head"],
    ),
    "two heads": Case(
        lambda: Module(lambda m, x: (lambda y: (m.a(y), m.b(y)))(m.lstm(x)[0]), lstm=lstm(),
                       a=nn.Linear(8, 3), b=nn.Linear(8, 2)),
        ["lstm", "head"],
    ),
    "results of two kinds": Case(
        lambda: Module(lambda m, x: (lambda y: (m.a(y), torch.tanh(m.a(y))))(m.lstm(x)[0]),
                       lstm=lstm(), a=nn.Linear(8, 3)),
        ["lstm", "linear", "activation"],
    ),
    "hard functions": Case(
        lambda: head(lambda m, y: F.hardtanh(2 * F.relu6(m.a(y))) + F.hardsigmoid(y),
                     a=nn.Linear(8, 8)),
        ["lstm", "linear", "clamp", "linear", "clamp", "linear", "clamp", "sum", "head"],
    ),
    "a hard tangent called relu6": Case(
        lambda: head(lambda m, y: m.relu6(m.a(y)), a=nn.Linear(8, 8), relu6=nn.Hardtanh(-0.1, 0.2)),
        ["lstm", "linear", "clamp", "head"],
    ),
    "one vector and twice another": Case(
        lambda: Module(lambda m, x: torch.add(m.a(x)[0], m.b(x)[0], alpha=2), a=lstm(), b=lstm()),
        ["lstm", "lstm", "head"],
    ),
    "a product by einsum": Case(
        lambda: Module(lambda m, x: torch.einsum("bti,ij->btj", m.lstm(x)[0], m.fc.weight),
                       lstm=lstm(), fc=nn.Linear(8, 8)),
        ["lstm", "head"],
    ),
    "flattened steps": Case(
        lambda: Module(lambda m, x: m.fc(m.lstm(x)[0].reshape(-1, 8)).view(x.size(0), -1, 3),
                       lstm=lstm(), fc=nn.Linear(8, 3)),
        ["lstm", "head"],
    ),
    "layers in a Sequential": Case(
        lambda: nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)),
        ["linear", "relu", "head"],
    ),
    "the h_n of all layers": Case(
        lambda: Module(lambda m, x: m.lstm(x)[1][0].transpose(0, 1).reshape(x.size(0), -1),
                       lstm=lstm(num_layers=2)),
        ["lstm", "lstm", "pool", "pool", "head"],
    ),
}  # fmt: skip


class Learned(nn.Module):
    """An LSTM that starts from a state of its own."""

    def __init__(self):
        super().__init__()
        self.lstm, self.h0 = lstm(), nn.Parameter(torch.ones(1, 1, 8))

    def forward(self, x):
        h = self.h0.expand(1, x.size(0), 8).contiguous()
        return self.lstm(x, (h, torch.zeros_like(h)))[0]


class Asking(nn.Module):
    """Its forward wants to know more."""

    def __init__(self):
        super().__init__()
        self.lstm = lstm()

    def forward(self, x, temperature):
        return self.lstm(x)[0] * temperature


def attended(m, y):
    share = torch.softmax(m.score(y), 1)
    return (share * y).sum(1)


def by_sign(m, x):
    return m.fc(x) if x.sum() > 0 else m.fc(-x)


def only(function, **parts):
    return lambda: Module(function, **parts)


def written_by_hand(m, x):
    h, outputs = x.new_zeros(x.size(0), 8), []
    for t in range(x.size(1)):
        h = torch.tanh(m.new(x[:, t]) + m.old(h))
        outputs.append(h)
    return torch.stack(outputs, 1)


REFUSED = {
    "a recurrence written by hand": lambda: Module(
        written_by_hand, new=nn.Linear(INPUTS, 8), old=nn.Linear(8, 8)
    ),
    "attention": lambda: head(attended, score=nn.Linear(8, 1)),
    "a transformer": only(
        lambda m, x: m.t(x), t=nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
    ),
    "LayerNorm": (lambda: head(lambda m, y: m.norm(y), norm=nn.LayerNorm(8))),
    "a convolution": (
        only(lambda m, x: m.conv(x.transpose(1, 2)), conv=nn.Conv1d(INPUTS, 3, 3))),
    "a step in the middle": (lambda: head(lambda m, y: y[:, 2])),
    "steps flattened": (
        only(lambda m, x: m.fc(m.lstm(x)[0][:, :3].flatten(1)), lstm=lstm(), fc=nn.Linear(24, 3))),
    "a decoder that starts from the encoder's state": (
        only(lambda m, x: m.b(x, m.a(x)[1])[0], a=lstm(), b=lstm())),
    "a learned initial state": (Learned),
    "frames of the step before": (
        only(lambda m, x: m.fc(torch.cat([x[:, :1], x[:, :-1]], 1)), fc=nn.Linear(INPUTS, 3))),
    "a decision by the values": (only(by_sign, fc=nn.Linear(INPUTS, 3))),
    "some results at every step and some once": (
        lambda: Module(lambda m, x: (lambda y: (m.fc(y), m.fc(y[:, -1])))(m.lstm(x)[0]),
                       lstm=lstm(), fc=nn.Linear(8, 3))),
    "a square root": (lambda: head(lambda m, y: torch.sqrt(y * y + 1))),
    "a sequence's mean beside every step": (
        lambda: head(lambda m, y: y - y.mean(1, keepdim=True))),
    "the batch's mean": (lambda: head(lambda m, y: y - y.mean(0, keepdim=True))),
    "a second embedding": (
        only(lambda m, x: m.lstm(torch.cat([m.a(x), m.b(x)], -1))[0], a=nn.Embedding(9, 3),
             b=nn.Embedding(9, 3), lstm=lstm())),
    "an argument that nobody knows": (Asking),
    "something that does not depend on its input": only(
        lambda m, x: m.fc.weight, fc=nn.Linear(INPUTS, 3)
    ),
    "a fault of its own": (only(lambda m, x: m.fc(x, x), fc=nn.Linear(INPUTS, 3))),
    "no weights at all": (nn.ReLU),
}  # fmt: skip

MESSAGES = {
    "a recurrence written by hand": (
        "modules.py line N, `return self.function(self, x)`: add can't be compiled: it combines "
        "elements of several steps (Module); hint: if this is a recurrent layer of your "
        "own, use torch's LSTM, GRU or RNN, or a loop over their cells; other sums over steps run "
        "on the host"
    ),
    "attention": (
        "modules.py line N, `return self.function(self, x)`: mul can't be compiled: it computes"
        " with the result of a softmax, which can only be at the end (Module); hint: run this "
        "part on the host, or compile the layers around it"
    ),
    "a transformer": (
        "layer t.self_attn (MultiheadAttention), modules.py line N, `return self.function(self,"
        " x)`: scaled_dot_product_attention can't be compiled: attention has no layer here "
        "(Module); hint: run this part on the host, or compile the layers around it"
    ),
    "LayerNorm": (
        "layer norm (LayerNorm), modules.py line N, `return self.function(self, x)`: layer_norm"
        " can't be compiled: LayerNorm has no layer here (Module); hint: run this part on the "
        "host, or compile the layers around it"
    ),
    "a convolution": (
        "layer conv (Conv1d), modules.py line N, `return self.function(self, x)`: conv1d can't "
        "be compiled: a convolution over several steps has no layer here (Module); hint: "
        "run this part on the host, or compile the layers around it"
    ),
    "a step in the middle": (
        "its result can't be compiled: it takes step 2 of the sequence (Module); hint: take the"
        " first or the last"
    ),
    "steps flattened": (
        "layer fc (Linear), modules.py line N, `return self.function(self, x)`: linear can't be"
        " compiled: it combines elements of several steps (Module); hint: run this part on the "
        "host, or compile the layers around it"
    ),
    "a decoder that starts from the encoder's state": (
        "layer b (LSTM), modules.py line N, `return self.function(self, x)`: lstm can't be "
        "compiled: it starts from a state that the network computes (Module); hint: compile the"
        " two parts apart, and give the state of the first to the second"
    ),
    "a learned initial state": (
        "layer lstm (LSTM), modules.py line N, `return self.lstm(x, (h, "
        "torch.zeros_like(h)))[0]`: lstm can't be compiled: it starts from a state that is part"
        " of the model (Learned); hint: let forward take the initial state as an argument, and "
        "give its values to run through --state"
    ),
    "frames of the step before": (
        "layer fc (Linear), modules.py line N, `return self.function(self, x)`: linear can't be"
        " compiled: it computes more with some steps than with others (Module); hint: run this "
        "part on the host, or compile the layers around it"
    ),
    "a decision by the values": (
        "forward can't be traced: it reads the value of a tensor (item, float, if) (Module); hint: "
        "keep constants as numbers of Python, and decisions outside of forward"
    ),
    "some results at every step and some once": (
        "its result can't be compiled: some of its results come at every step and some once "
        "(Module); hint: compile one network for each"
    ),
    "a square root": (
        "modules.py line N, `return self.function(self, x)`: sqrt can't be compiled: there is "
        "no table of it (Module); hint: run this part on the host, or compile the layers around"
        " it"
    ),
    "a sequence's mean beside every step": (
        "modules.py line N, `return self.function(self, x)`: sub can't be compiled: it combines"
        " every step with a value of the whole sequence (Module); hint: run this part on the "
        "host, or compile the layers around it"
    ),
    "the batch's mean": (
        "modules.py line N, `return self.function(self, x)`: mean can't be compiled: it "
        "combines elements of several sequences (Module); hint: run this part on the host, or "
        "compile the layers around it"
    ),
    "a second embedding": (
        "layer b (Embedding), modules.py line N, `return self.function(self, x)`: embedding "
        "can't be compiled: its input is not that of the model, or it is the second embedding "
        "(Module); hint: look both up on the host: compile the state dict, or a module whose "
        "forward takes the frames that they give"
    ),
    "an argument that nobody knows": (
        "forward needs 'temperature', and it is not known what that is (Asking); hint: wrap the"
        " module in one whose forward takes the frames, and lengths or h0 and c0 if it needs "
        "them"
    ),
    "something that does not depend on its input": (
        "forward gives no result that depends on its input (Module); hint: return the network's"
        " output"
    ),
    "a fault of its own": (
        "forward can't be traced: Linear.forward() takes 2 positional arguments but 3 were "
        "given (Module); hint: does it run on (2, 5, inputs) frames? give calibration frames of"
        " the right width, or compile its state_dict()"
    ),
    "no weights at all": (
        "forward can't be traced: it has no layer with weights (ReLU); hint: does it run on (2,"
        " 5, inputs) frames? give calibration frames of the right width, or compile its "
        "state_dict()"
    ),
}
"""The whole line; N stands for the number of the line in this file."""
