"""The networks of hls4ml's recurrent tests, in the sizes they have there: how near float they are.

hls4ml runs them with 32-bit numbers and 4,096-entry tables and allows errors of 0.05 to 0.1. Here
they have a tenth of that, with everything at its default: 12-bit weights, 16-bit activations,
2,048-entry tables. Only the SimpleRNN's table is interpolated, for nothing damps an error that goes
round its weights. Calibration sees other frames than those that are measured. Weights are drawn as
Keras does there: lecun_uniform, or its own defaults. Not here: QKeras, whose layers quantize
themselves.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from frontend.onnx_models import model_of

import penstock
from penstock import Hardware, Precision
from penstock_runtime import Interpreter

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
helper = onnx.helper
nn = torch.nn
ALLOWED = 0.005
SEQUENCES = 50


def lecun(tensor, fan_in):
    """Keras's lecun_uniform."""
    nn.init.uniform_(tensor, -math.sqrt(3 / fan_in), math.sqrt(3 / fan_in))


def as_keras_draws(layer, lecun_uniform):
    """The layer with weights as Keras begins, or all of them lecun_uniform.

    Keras draws the gates of a matrix together; a GRU's biases are a (2, 3 n) matrix there.
    """
    cells = layer.hidden_size
    for name, tensor in layer.named_parameters():
        if "bias" not in name:
            draw = nn.init.orthogonal_ if "hh" in name else nn.init.xavier_uniform_
            lecun(tensor, tensor.shape[1]) if lecun_uniform else draw(tensor)
        elif isinstance(layer, nn.GRU):
            lecun(tensor, 2) if lecun_uniform else nn.init.zeros_(tensor)
        else:
            nn.init.zeros_(tensor)
            if "ih" in name and lecun_uniform:
                lecun(tensor, len(tensor))
            if "ih" in name and isinstance(layer, nn.LSTM):
                tensor.data[cells : 2 * cells] = 1  # unit_forget_bias
    return layer


class Recurrent(nn.Module):
    """A layer, or one forward and one backward, at every step or as Keras returns the last.

    Keras's backward layer returns its own last frame, which is that of the first step.
    """

    def __init__(self, forward, backward=None, is_sequence=True, head=None):
        super().__init__()
        self.ahead, self.back, self.head = forward, backward, head
        self.is_sequence = is_sequence

    def forward(self, x):
        y = self.ahead(x)[0]
        parts = [y if self.is_sequence else y[:, -1]]
        if self.back is not None:
            y = self.back(x.flip(1))[0]
            parts.append(y.flip(1) if self.is_sequence else y[:, -1])
        y = torch.cat(parts, -1)
        return y if self.head is None else self.head(y)


def layer(kind, inputs, cells, lecun_uniform=True, **options):
    return as_keras_draws(kind(inputs, cells, batch_first=True, **options), lecun_uniform)


def keras(kind, cells, is_sequence, inputs=8, head=None, **options):
    return lambda: Recurrent(
        layer(kind, inputs, cells, **options), None, is_sequence, head and head()
    )


def both(forward, backward, cells, is_sequence, **options):
    return lambda: Recurrent(
        layer(forward, 8, cells[0], **options), layer(backward, 8, cells[1], **options), is_sequence
    )


KINDS = {"SimpleRNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
WHICH = {"every step": True, "last step": False}
CASES = {
    f"{name} of 32, {which}": (keras(kind, 32, flag), 12, -0.5)
    for name, kind in KINDS.items() for which, flag in WHICH.items()
} | {
    f"{name} of 64 as Keras begins, {which}": (keras(kind, 64, flag, lecun_uniform=False), 3, -0.5)
    for name, kind in KINDS.items() for which, flag in WHICH.items()
} | {
    f"LSTM of 15 and GRU of 17, {which}": (both(nn.LSTM, nn.GRU, (15, 17), flag), 12, -0.5)
    for which, flag in WHICH.items()
} | {
    f"LSTM of 37 and GRU of 27, {which}": (
        both(nn.LSTM, nn.GRU, (37, 27), flag, lecun_uniform=False), 3, -0.5)
    for which, flag in WHICH.items()
} | {
    f"{name} of 8": (keras(KINDS[name], 8, False), 12, -0.5) for name in ("LSTM", "GRU")
} | {
    f"{name} of 4 without biases{' in both directions' * two}": (
        both(KINDS[name], KINDS[name], (4, 4), False, lecun_uniform=False, bias=False) if two else
        keras(KINDS[name], 4, False, lecun_uniform=False, bias=False), 5, 0)
    for name in ("LSTM", "GRU") for two in (False, True)
} | {
    "GRU of 4 in both directions": (
        both(nn.GRU, nn.GRU, (4, 4), False, lecun_uniform=False), 5, 0),
    "LSTM of 4 with a Dense layer at every step": (
        keras(nn.LSTM, 4, True, lecun_uniform=False, head=lambda: nn.Linear(4, 1)), 8, 0),
}  # fmt: skip
"""name -> (module, steps, least value of a frame; the greatest is 1 more)."""


def compiled(network, frames, folder, precision=None, **more):
    made = penstock.compile(network, frames, Hardware(pes=4), precision, **more)
    return Interpreter(made.write(folder / "project"))


def drawn(steps, inputs, least=-0.5, seed=0):
    return np.random.default_rng(seed).uniform(least, least + 1, (SEQUENCES, steps, inputs))


@torch.no_grad()
def from_torch(module, *arguments):
    return module(*(torch.from_numpy(array).float() for array in arguments)).double().numpy()


def check(values, expected):
    assert np.ptp(expected) > 0.1, "there is nothing to compare"
    assert np.abs(values.reshape(expected.shape) - expected).max() <= ALLOWED


@pytest.mark.parametrize("case", CASES)
def test_a_network_of_keras_is_near_its_float_original(case, tmp_path):
    make, steps, least = CASES[case]
    torch.manual_seed(0)
    module = make()
    x = drawn(steps, 8, least)
    precision = Precision(interpolate_bits=4) if "SimpleRNN" in case else None
    interpreter = compiled(module, drawn(steps, 8, least, seed=1), tmp_path, precision)
    check(interpreter.run(x).values, from_torch(module, x))


class FromStates(nn.Module):
    """A layer of torch that begins at the states it is given; each comes by itself."""

    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn


class OneState(FromStates):
    def forward(self, x, h0):
        return self.rnn(x, h0)[0]


class TwoStates(FromStates):
    def forward(self, x, h0, c0):
        return self.rnn(x, (h0, c0))[0]


@pytest.mark.parametrize("name", KINDS)
def test_a_network_of_torch_begins_at_the_states_it_is_given(name, tmp_path):
    """For one step, as there, and for five."""
    torch.manual_seed(0)
    rnn = KINDS[name](10, 20, batch_first=True)
    module = TwoStates(rnn) if name == "LSTM" else OneState(rnn)
    parts = ("h_0", "c_0") if name == "LSTM" else ("h_0",)
    generator = np.random.default_rng(2)
    x, seen = generator.normal(size=(2, SEQUENCES, 5, 10))
    states, before = ({part: generator.normal(size=(1, SEQUENCES, 20)) for part in parts}
                      for _ in range(2))  # fmt: skip
    interpreter = compiled(module, seen, tmp_path, calibration_states=before)
    state = interpreter.state_from_arrays(states, "test")
    for given in (x[:, :1], x):
        run = interpreter.run(given, state=state)
        check(run.values, from_torch(module, given, *states.values()))


@pytest.mark.parametrize("name", KINDS)
def test_a_network_of_torch_begins_at_zero(name, tmp_path):
    torch.manual_seed(0)
    module = Recurrent(KINDS[name](10, 20, batch_first=True))
    x, seen = np.random.default_rng(2).normal(size=(2, SEQUENCES, 1, 10))
    check(compiled(module, seen, tmp_path).run(x).values, from_torch(module, x))


def onnx_gru(is_sequence, with_lstm, path):
    """Keras's GRU with reset_after=False, which torch has not: of 32; or of 17, backward, beside an
    LSTM of 15."""
    cells, parts = {"GRU": 32}, []
    if with_lstm:
        cells = {"LSTM": 15, "GRU": 17}
    nodes, constants = [helper.make_node("Transpose", ["x"], ["frames"], perm=[1, 0, 2])], {}
    for op, count in cells.items():
        found = lecun_constants(op, 8, count)
        constants |= {f"{op}.{name}": value for name, value in found.items()}
        given = ["frames", *(f"{op}.{name}" for name in found)]
        is_reverse = with_lstm and op == "GRU"
        nodes.append(helper.make_node(
            op, given, [f"{op}.Y", f"{op}.Y_h"], op, hidden_size=count,
            direction="reverse" if is_reverse else "forward",
        ))  # fmt: skip
        parts.append(f"{op}.Y" if is_sequence else f"{op}.Y_h")
    constants["axis"] = np.array([1 if is_sequence else 0])
    nodes += [helper.make_node("Squeeze", [part, "axis"], [f"{part}.1"]) for part in parts]
    last = ["steps_first"] if is_sequence else ["y"]
    nodes.append(helper.make_node("Concat", [f"{part}.1" for part in parts], last, axis=-1))
    if is_sequence:
        nodes.append(helper.make_node("Transpose", last, ["y"], perm=[1, 0, 2]))
    onnx.save(model_of(nodes, {"x": ("lanes", "steps", 8)}, ["y"], constants), path)
    return path


def lecun_constants(op, inputs, cells):
    """W, R and B of a node, lecun_uniform; the biases are one of Keras's vector, and zero."""
    generator, rows = np.random.default_rng(cells), {"LSTM": 4, "GRU": 3}[op] * cells
    found = {
        name: math.sqrt(3 / fan) * generator.uniform(-1, 1, shape)
        for name, fan, shape in (("W", inputs, (1, rows, inputs)), ("R", cells, (1, rows, cells)),
                                 ("B", rows, (1, 2 * rows)))
    }  # fmt: skip
    found["B"][:, rows:] = 0
    if op == "LSTM":
        found["B"][:, 2 * cells : 3 * cells] = 1  # ONNX's order is i, o, f, c
    return {name: value.astype(np.float32) for name, value in found.items()}


@pytest.mark.parametrize("with_lstm", [False, True])
@pytest.mark.parametrize("which", WHICH)
def test_a_gru_that_resets_before_is_near_its_float_original(which, with_lstm, tmp_path):
    path = onnx_gru(WHICH[which], with_lstm, tmp_path / "model.onnx")
    interpreter = compiled(path, drawn(12, 8, seed=1), tmp_path)
    x = drawn(12, 8)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    check(interpreter.run(x).values, session.run(None, {"x": x.astype(np.float32)})[0])
