"""An exported state dict holds exactly the quantized weights, under names that PyTorch loads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from graphs import rows_that_all_have_a_scale
from safetensors.numpy import load_file, save_file
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.driver import compile_model
from penstock.export import save, to_state_dict
from penstock.frontend import from_state_dict
from penstock.layers import DenseHead, Gru, Rnn
from penstock.layers.build import exponents_of, parts_of
from penstock.model import stack

HARDWARE = Hardware(pes=2)
GENERATOR = np.random.default_rng(5)


def arrays(gates, rows, columns):
    return {gate: GENERATOR.normal(0, 0.6, (rows, columns)) for gate in gates}


def vectors(names, rows):
    return {name: GENERATOR.normal(0, 0.3, rows) for name in names}


def gru(inputs, cells, **more):
    return Gru(arrays("rzn", cells, inputs), arrays("rzn", cells, cells),
               vectors(("r", "z", "nx", "nr"), cells), **more)  # fmt: skip


def rnn(inputs, cells, nonlinearity):
    return Rnn(arrays("h", cells, inputs), arrays("h", cells, cells), vectors("h", cells),
               nonlinearity=nonlinearity)  # fmt: skip


NETWORKS = {
    "LSTM with projection and peepholes, two layers, a head": random_model(
        cells=(6, 4), outputs=4, peephole=True, head=3, at="step"
    ),
    "both directions": random_model(cells=(4, 6), bidirectional=True),
    "sigma as g": random_model(g_function="sigma", bias=0.0),
    "GRU": stack([gru(5, 6), gru(6, 4)], DenseHead(GENERATOR.normal(0, 1, (2, 4)), None), "step"),
    "RNN with ReLU": stack([rnn(5, 6, "relu")]),
    "RNN with tanh": stack([rnn(5, 6, "tanh")]),
}


pytestmark = [
    pytest.mark.filterwarnings("ignore:.* decisions"), pytest.mark.filterwarnings("ignore:out of"),
]  # fmt: skip


def compiled(model, calibration=None, **precision):
    return compile_model(model, calibration, HARDWARE, Precision(**precision))


def quantized(result, name):
    """A matrix as the graph has it, in real numbers."""
    exponents, parts = exponents_of(result.graph), []
    for node in parts_of(result.graph, name):
        real = node.tensor.type.to_float(np.asarray(node.tensor.constant))
        parts.append(np.ldexp(real, -exponents.get(node.name, np.zeros(len(real), int))[:, None]))
    return np.concatenate(parts, axis=1)


@pytest.mark.filterwarnings("ignore:the outputs' RMS error")
@pytest.mark.parametrize("row_scales", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_read_again_it_is_the_same_network_with_quantized_weights(name, row_scales):
    model = NETWORKS[name]
    result = compiled(model, weights=5, row_scales=row_scales)
    found = to_state_dict(result)
    assert {values.dtype for values in found.tensors.values()} == {np.dtype(np.float32)}
    again = from_state_dict({name: np.float64(v) for name, v in found.tensors.items()})
    assert [place.layer.kind for place in again.places if place.layer.parameters()] == [
        place.layer.kind for place in model.places if place.layer.parameters()
    ]
    for matrix, values in again.weights().items():
        assert values.tolist() == quantized(result, matrix).tolist()
        assert not values[model.weights()[matrix] == 0].any()
    for layer, part in again.named_layers():
        for parameter, own in part.parameters().items():
            node = f"{layer}.{parameter}"
            if own.values.ndim == 1:
                real = 0.0
                if node in result.graph:
                    tensor = result.graph[node].tensor
                    real = tensor.type.to_float(tensor.constant)
                assert (own.values == real).all()
    if "sigma" in name or "ReLU" in name:
        assert found.notes[1].startswith("l0 computes with ")
    assert {getattr(part, "g_function", "") for _, part in again.named_layers()} == {
        getattr(part, "g_function", "") for _, part in model.named_layers()
    }


def test_what_scaled_inputs_moved_into_the_weights_is_taken_out_again():
    model = random_model(inputs=4, cells=(6,), density=1.0)
    for weights in model["l0"].w_x.values():
        weights[:, 0] /= 30_000.0
    x = GENERATOR.normal(0, 1, (3, 12, 4))
    x[..., 0] *= 30_000.0
    result = compiled(model, x)
    assert any(result.manifest.interface.input_exponents)
    found = to_state_dict(result).tensors["weight_ih_l0"]
    assert np.abs(found - np.concatenate(list(model["l0"].w_x.values()))).max() < 1e-3
    assert np.abs(found[:, 0]).max() < 1e-3 and found[:, 0].any()


def test_layers_that_torch_has_otherwise_are_noted():
    model = stack([gru(4, 4, resets_before=True, clip=1.5)])
    assert to_state_dict(compiled(model)).notes[1:] == [
        "l0 resets before its product, which torch.nn.GRU does not",
        "l0 clips what its gates are given, which torch.nn does not",
    ]


# -- under the checkpoint's own names -------------------------------------------------------------


def of_torch(cells=6, seed=0):
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(9, 5)
            self.enc = torch.nn.LSTM(5, cells, 2, batch_first=True, bidirectional=True)
            self.dec = torch.nn.GRU(2 * cells, 4, batch_first=True, bias=False)
            self.out = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.out(self.dec(self.enc(self.embed(x))[0])[0])

    torch.manual_seed(seed)
    return Network()


@pytest.fixture(scope="module")
def module():
    return of_torch()


@pytest.fixture(scope="module")
def network(module):
    from penstock.frontend import from_module

    return compile_model(from_module(module), None, HARDWARE, Precision(weights=8))


def saved(module, path):
    save_file({name: v.numpy() for name, v in module.state_dict().items()}, path)
    return path


def test_the_users_module_loads_it_under_its_own_names(module, network, tmp_path):
    torch = pytest.importorskip("torch")
    like = saved(module, tmp_path / "own.safetensors")
    done = save(network, tmp_path / "new.safetensors", like=like)
    assert "embed.weight (9 x 5, float32)" in done.lines
    assert done.notes[1:] == [
        "enc -> dec: assumed to follow one another, as their sizes allow no other order",
        "as in the checkpoint, and not quantized: embed.weight",
    ]
    found = load_file(tmp_path / "new.safetensors")
    again = of_torch(seed=7)
    again.load_state_dict({name: torch.from_numpy(values) for name, values in found.items()})
    ours = to_state_dict(network).tensors
    for theirs, own in (
        ("enc.weight_hh_l1_reverse", "weight_hh_l1_reverse"),
        ("dec.weight_ih_l0", "weight_ih_l2"),
        ("out.bias", "head.bias"),
    ):
        assert found[theirs].tolist() == ours[own].tolist()
    assert found["embed.weight"].tolist() == module.embed.weight.tolist()


def test_a_compressed_checkpoint_gives_its_names_and_not_its_network(module, network, tmp_path):
    tensors = {name: v.numpy() for name, v in module.state_dict().items()}
    save_file(tensors | {"penstock.l0.bias.i": np.ones(6, np.float32)}, tmp_path / "own.st")
    save(network, tmp_path / "new.safetensors", like=tmp_path / "own.st")
    assert load_file(tmp_path / "new.safetensors").keys() == tensors.keys()


def refusal(network, like, tmp_path):
    with pytest.raises(PenstockError) as error:
        save(network, tmp_path / "new.safetensors", like=like)
    assert not (tmp_path / "new.safetensors").exists()
    return error.value.line().replace(str(tmp_path), "")


def test_a_checkpoint_of_another_network_is_refused_by_tensor(network, module, tmp_path):
    hint = "; hint: give the checkpoint that was compiled, or leave out --like"
    path = tmp_path / "own.safetensors"
    assert refusal(network, saved(of_torch(seed=3), path), tmp_path) == (
        f"enc.weight_ih_l0 is not weight_ih_l0 of the network (/own.safetensors){hint}"
    )
    assert refusal(network, saved(of_torch(cells=4), path), tmp_path) == (
        f"enc.weight_ih_l0 is not weight_ih_l0 of the network (/own.safetensors){hint}"
    )
    tensors = {name: v.numpy() for name, v in module.state_dict().items()}
    save_file({name: v for name, v in tensors.items() if "out" not in name}, path)
    assert refusal(network, path, tmp_path) == (
        f"head.weight of the network is not in the file (/own.safetensors){hint}"
    )
    save_file(tensors | {"norm.weight": np.ones(4, np.float32)}, path)
    assert refusal(network, path, tmp_path) == (
        "norm.weight: the network has no such tensor; it was folded into others, or is left to the "
        "host (/own.safetensors); hint: leave out --like"
    )


def test_a_linear_layer_keeps_the_users_name():
    torch = pytest.importorskip("torch")

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = torch.nn.RNN(4, 4, batch_first=True)
            self.fc = torch.nn.Linear(4, 4)

        def forward(self, x):
            return torch.relu(self.fc(self.rnn(x)[0]))

    from penstock.frontend import from_module

    found = to_state_dict(compiled(from_module(Scaled()))).tensors
    assert [*found] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                        "fc.weight", "fc.bias"]  # fmt: skip


def test_a_graph_without_layers_gives_its_constants_by_name():
    interface = SimpleNamespace(batch_first=True, input_exponents=())
    graph = rows_that_all_have_a_scale()
    found = to_state_dict(
        SimpleNamespace(graph=graph, manifest=SimpleNamespace(interface=interface))
    )
    weights = {name for node in graph.of_kind("matvec") for name in node.inputs[1::2]}
    assert weights <= found.tensors.keys()
    assert found.tensors.keys() <= {node.name for node in graph.of_kind("const")}
