"""The bit-true network stays within the bound of its types of torch.nn.LSTM in float64."""

from __future__ import annotations

import numpy as np
import pytest

from end_to_end.error_bound import BoundedRun
from penstock import Hardware, Precision
from penstock.compress import Ranges, calibrate
from penstock.driver import compile_model
from penstock.frontend import from_module
from penstock.ir.evaluate import evaluate
from penstock.lowering import lower
from penstock_runtime import Interpreter

torch = pytest.importorskip("torch")
CASES = {
    "plain": ({"hidden_size": 12}, {}),
    "projection": ({"hidden_size": 12, "proj_size": 5}, {}),
    "two layers": ({"hidden_size": 9, "num_layers": 2}, {}),
    "no bias": ({"hidden_size": 9, "bias": False}, {}),
    "interpolated tables": ({"hidden_size": 12}, {"interpolate_bits": 5}),
    "wide weights, interpolated": ({"hidden_size": 12}, {"weights": 16, "interpolate_bits": 8}),
}


def float_constants(model):
    found = dict(model.weights())
    for name, part in model.named_layers():
        for gate, bias in part.bias.items():
            found[f"{name}.b_{gate}"] = bias
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_error_stays_within_the_bound_of_the_types(case):
    arguments, precision = CASES[case]
    torch.manual_seed(5)
    module = torch.nn.LSTM(7, batch_first=True, dtype=torch.float64, **arguments)
    x = np.random.default_rng(2).normal(0, 1, (6, 5, 7))
    model = from_module(module)
    seen = calibrate(model, 1.2 * x)
    ranges = Ranges({name: 1.5 * peak for name, peak in seen.peak.items()})
    graph = lower(model, ranges, Precision(**precision))
    raw = graph["x"].tensor.type.quantize(x)
    run = BoundedRun(graph, float_constants(model))
    y, bound = run.run(raw, np.full(6, 5))
    with torch.no_grad():
        real = module(torch.tensor(x))[0].numpy()
    error = np.abs(y - real)
    assert (error <= bound).all()
    assert bound.max() < 0.5, "the bound says nothing"
    assert error.max() > bound.max() / 1000, "the bound is not of this network"


def test_interpolation_and_wider_weights_bring_the_network_closer_to_float():
    torch.manual_seed(5)
    module = torch.nn.LSTM(7, 16, batch_first=True, dtype=torch.float64)
    x = np.random.default_rng(2).normal(0, 1, (8, 10, 7))
    model = from_module(module)
    with torch.no_grad():
        real = module(torch.tensor(x))[0].numpy()
    errors = []
    for precision in (Precision(weights=8), Precision(), Precision(weights=16, interpolate_bits=6)):
        graph = lower(model, calibrate(model, x), precision)
        raw = evaluate(graph, graph["x"].tensor.type.quantize(x), np.full(8, 10)).y
        errors.append(np.abs(graph["y"].tensor.type.to_float(raw) - real).max())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_initial_state_and_ragged_lengths_follow_torch(tmp_path):
    torch.manual_seed(1)
    module = torch.nn.LSTM(4, 8, num_layers=2, proj_size=3, bidirectional=True, dtype=torch.float64)
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    h0, c0 = torch.randn(4, 3, 3).double() / 40, torch.randn(4, 3, 8).double() / 8
    lengths = torch.tensor([6, 2, 5])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    with torch.no_grad():
        y, (h_n, c_n) = module(packed, (h0, c0))
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y)
    precision = Precision(weights=16, interpolate_bits=8)
    compiled = compile_model(
        from_module(module), x.transpose(0, 1).numpy(), Hardware(pes=3), precision
    )
    interpreter = Interpreter(compiled.write(tmp_path / "project"))
    state = interpreter.state_from_arrays({"h_0": h0.numpy(), "c_0": c0.numpy()}, "test")
    result = interpreter.run(x.numpy(), lengths.numpy(), state)
    got_h, got_c = interpreter.hidden(result.state)
    for got, real in ((result.values, y), (got_h, h_n), (got_c, c_n)):
        assert got.shape == tuple(real.shape)
        assert np.abs(got - real.numpy()).max() < 2e-3
    alone = interpreter.run(x[:2, 1:2].numpy(), None, {n: s[1:2] for n, s in state.items()})
    assert (alone.raw == result.raw[1:2, :2]).all(), "padding changes the bits"
