"""Of a large checkpoint, the weights stay in float32; the project is the same, in less memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from penstock import Hardware, Precision
from penstock.calibration import calibrate
from penstock.compress import pe_balanced_mask
from penstock.driver import compile_graph
from penstock.entry import compile_checkpoint
from penstock.frontend import HeadOptions, checkpoint, read_checkpoint
from penstock.layers.product import product
from penstock.lowering import lower

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

BYTES_PER_WEIGHT = 14
"""From the float model to the files, at 10 % density; 8 of them are float64 copies of matrices that
are small enough to be kept dense for the golden vectors."""


class Net(torch.nn.Module):
    """What a checkpoint can hold; of these weights, not all can be float32 as they stand."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(5, 12, 2, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(24, 3)


def state(kind):
    torch.manual_seed(3)
    net = Net(kind)
    if kind == "RNN":
        torch.nn.utils.parametrizations.weight_norm(net.rnn, "weight_hh_l0")
    found = {name: value.detach().contiguous() for name, value in net.state_dict().items()}
    if kind == "GRU":  # as torch.nn.utils.prune leaves it, with a mask that is more than a mask
        weight = found.pop("rnn.weight_hh_l0")
        found |= {"rnn.weight_hh_l0_orig": weight, "rnn.weight_hh_l0_mask": weight * 0 + 0.7}
    return found


def frames(spread):
    reach = np.array([1.0, 2.0, 0.5, 1.0, spread])
    return np.random.default_rng(0).normal(0, 1, (4, 9, 5)) * reach


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 3000.0])
def test_the_project_does_not_depend_on_how_the_weights_are_kept(
    kind, stored, spread, tmp_path, monkeypatch
):
    path = tmp_path / "net.safetensors"
    save_file({name: value.to(stored) for name, value in state(kind).items()}, path)
    precision = Precision(weights=6, row_scales=True)
    found = []
    for large in (checkpoint.LARGE, 0):
        monkeypatch.setattr(checkpoint, "LARGE", large)
        head = HeadOptions(at="step")
        compiled = compile_checkpoint(path, frames(spread), Hardware(pes=4), precision, head)
        found.append(compiled.files)
    assert found[0] == found[1]


def test_only_who_asks_for_it_is_given_narrow_matrices(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGE", 0)
    path = tmp_path / "net.safetensors"
    save_file(state("LSTM"), path)
    assert {value.dtype for value in read_checkpoint(path).values()} == {np.dtype(np.float64)}
    for value in read_checkpoint(path, keeps_narrow=True).values():
        assert value.dtype == (np.float32 if value.ndim == 2 else np.float64)


def test_narrow_weights_are_multiplied_in_double_precision():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(3, 700))
    weights = generator.normal(size=(900, 700)).astype(np.float32)
    wanted = x @ weights.astype(np.float64).T
    np.testing.assert_allclose(product(x, weights), wanted, rtol=1e-12, atol=1e-12)


def test_a_compile_takes_few_bytes_a_dense_weight():
    from support import random_model

    model = random_model(inputs=300, cells=(500,), density=1.0)
    layer = model["l0"]
    pruned = {
        name: part.values * pe_balanced_mask(part.values, 0.1, 4) if part.values.ndim == 2
        else part.values
        for name, part in layer.parameters().items()
    }  # fmt: skip
    model = model.with_layers({"l0": layer.with_parameters(pruned)})
    weights = sum(matrix.size for matrix in model.weights().values())
    ranges, hardware = calibrate(model, None), Hardware(pes=4)
    compile_graph(lower(model, ranges, Precision()), hardware)  # modules are loaded once
    tracemalloc.start()
    try:
        compile_graph(lower(model, ranges, Precision()), hardware)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert weights == 1_600_000
    assert peak < BYTES_PER_WEIGHT * weights
