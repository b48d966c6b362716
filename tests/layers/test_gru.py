"""The GRU: torch's in float, within the bounds of its types in bits, read by what it declares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from end_to_end.error_bound import BoundedRun
from frontend.reference import LENGTHS, assert_same
from layers.given import bit_true, example, lowered
from torch.nn import GRU

from penstock import HeadOptions, PenstockError, Precision
from penstock.calibration import calibrate
from penstock.compress.constants import float_constants
from penstock.compress.matrices import choose_matrices
from penstock.compress.qat import QuantizedNetwork
from penstock.frontend import from_module, from_state_dict
from penstock.frontend.checkpoint import arrays
from penstock.frontend.to_state_dict import to_state_dict
from penstock.layers import CELLS, Gru
from penstock.lowering import lower

VARIANTS = {
    "plain": {},
    "without biases": {"bias": False},
    "three layers": {"num_layers": 3},
    "two bidirectional layers": {"num_layers": 2, "bidirectional": True},
}
variants = pytest.mark.parametrize(
    "options", VARIANTS.values(), ids=[name.replace(" ", "-") for name in VARIANTS]
)


@pytest.fixture(autouse=True)
def _read_grus(monkeypatch):
    """The frontends read a cell as soon as it stands in the list."""
    monkeypatch.setattr("penstock.layers.CELLS", (*CELLS, Gru) if Gru not in CELLS else CELLS)


def make_gru(**options):
    torch.manual_seed(5)
    return GRU(4, 6, batch_first=True, dtype=torch.float64, **options)


def frames():
    return np.random.default_rng(2).normal(0, 1, (len(LENGTHS), 7, 4))


def torch_outputs(module, lengths):
    x = torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(frames()), lengths, batch_first=True, enforce_sorted=False
    )
    with torch.no_grad():
        return torch.nn.utils.rnn.pad_packed_sequence(module(x)[0], True, total_length=7)[0].numpy()


@variants
@pytest.mark.parametrize("lengths", [[7, 7, 7], LENGTHS], ids=["whole", "ragged"])
def test_the_float_network_is_torchs(options, lengths):
    module = make_gru(**options)
    model = from_module(module)
    assert all(isinstance(layer, Gru) for _, layer in model.named_layers())
    got = model.run(frames(), np.asarray(lengths))
    assert np.abs(got - torch_outputs(module, lengths)).max() < 1e-12


@variants
def test_the_interpreter_is_near_torch(options):
    module = make_gru(**options)
    model = from_module(module)
    real = torch_outputs(module, LENGTHS)
    graph = lower(model, calibrate(model, frames()), Precision())
    assert np.abs(bit_true(graph, frames(), LENGTHS) - real).max() < 0.01


@pytest.mark.parametrize("precision", [{}, {"weights": 16, "interpolate_bits": 8}])
def test_the_error_stays_within_the_bound_of_the_types(precision):
    module = make_gru()
    model = from_module(module)
    ranges = calibrate(model, 1.2 * frames())
    graph = lower(model, ranges, Precision(**precision))
    run = BoundedRun(graph, float_constants(model, graph))
    y, bound = run.run(graph["x"].tensor.type.quantize(frames()), np.full(3, 7))
    error = np.abs(y - torch_outputs(module, [7, 7, 7]))
    assert (error <= bound).all()
    assert bound.max() < 0.5, "the bound says nothing"
    assert error.max() > bound.max() / 1000, "the bound is not of this network"


def test_the_four_products_read_what_they_need_and_no_more():
    graph = lowered(from_module(make_gru()))
    assert {node.name: node.inputs[::2] for node in graph.of_kind("matvec")} == {
        "l0.acc_r": ("x", "l0.y_before"), "l0.acc_z": ("x", "l0.y_before"),
        "l0.acc_nx": ("x",), "l0.acc_nr": ("l0.y_before",),
    }  # fmt: skip


@variants
def test_a_state_dict_goes_there_and_back(options):
    module = make_gru(**options)
    state = {f"gru.{name}": value for name, value in module.state_dict().items()}
    model = from_state_dict(arrays(state, "test"), "test")
    again = from_state_dict(
        {name: value.astype(np.float64) for name, value in to_state_dict(model, "m", "").items()}
    )
    assert np.abs(again.run(frames()) - torch_outputs(module, [7, 7, 7])).max() < 1e-6


def test_a_head_is_read_behind_it():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru, self.fc = make_gru(bidirectional=True), torch.nn.Linear(12, 3).double()

        def forward(self, x):
            return self.fc(self.gru(x)[0])

    net = Net()
    x = torch.tensor(frames())
    got = from_module(net, HeadOptions("step")).run(frames())
    with torch.no_grad():
        assert_same(got, net.fc(net.gru(x)[0]).numpy())


def test_refusals_name_every_cell():
    state = arrays(torch.nn.Linear(3, 2).state_dict(), "test")
    with pytest.raises(PenstockError) as refusal:
        from_state_dict(state, "test")
    assert refusal.value.what == "there is no LSTM, GRU or RNN among bias, weight"


def test_its_matrices_can_be_pruned_gate_by_gate():
    found = choose_matrices(make_gru(num_layers=2, bidirectional=True), 0.5)
    assert [matrix.name for matrix in found] == [
        f"weight_{kind}_l{layer}{suffix}"
        for layer in range(2) for suffix in ("", "_reverse") for kind in ("ih", "hh")
    ]  # fmt: skip
    assert {matrix.gates for matrix in found} == {("r", "z", "n")}


@pytest.mark.parametrize("learn_ranges", [False, True])
def test_it_is_trained_in_the_interpreters_arithmetic(learn_ranges):
    model = from_module(make_gru(num_layers=2))
    network = QuantizedNetwork(model, calibrate(model, frames()), learn_ranges=learn_ranges)
    optimizer = torch.optim.Adam(network.parameter_groups(0.01))
    x = torch.tensor(frames())
    for _ in range(3):
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()
    graph = lower(network.to_model(), network.ranges, network.trained_precision)
    assert (bit_true(graph, frames()) == network(x).detach().numpy()).all()
    assert ("l0__u" in network.log2_ranges) == learn_ranges


def test_it_says_whether_it_resets_before_the_product_or_after():
    gru = example("Gru")
    found = [replace(gru, resets_before=before).describe()["resets"] for before in (False, True)]
    assert found == ["after", "before"]
