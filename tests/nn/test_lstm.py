"""penstock.nn.LSTM: torch.nn.LSTM where that suffices, Sak et al. 2014 where it doesn't."""

import copy
import importlib
import pickle
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence  # noqa: E402

from penstock.errors import PenstockError  # noqa: E402
from penstock.nn import LSTM  # noqa: E402
from penstock.nn.recurrence import Recurrence  # noqa: E402

SHAPES = {
    "plain": {},
    "projected": {"proj_size": 3},
    "no_bias": {"bias": False},
    "two_layers_bidirectional": {"num_layers": 2, "bidirectional": True},
    "all": {"num_layers": 2, "bidirectional": True, "proj_size": 3, "batch_first": True},
}
INPUTS = ("batch", "unbatched", "packed", "with_state")
LENGTHS = (3, 6, 1, 6)

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
inputs = pytest.mark.parametrize("kind", INPUTS)
activations = pytest.mark.parametrize("activation", ["tanh", "sigma"])


@pytest.fixture(autouse=True)
def fixed_seed_and_float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(20140)
    yield
    torch.set_default_dtype(before)


def sequences():
    return [torch.randn(length, 4) for length in LENGTHS]


def arguments_of_forward(kind, lstm):
    batch = torch.randn(6, 2, 4)
    if lstm.batch_first:
        batch = batch.transpose(0, 1)
    directions = lstm.num_layers * (2 if lstm.bidirectional else 1)
    h = torch.randn(directions, 2, lstm.proj_size or lstm.hidden_size)
    state = (h, torch.randn(directions, 2, lstm.hidden_size))
    return {
        "batch": (batch,),
        "unbatched": (batch[0], (state[0][:, 0], state[1][:, 0])),
        "packed": (pack_sequence(sequences(), enforce_sorted=False),),
        "with_state": (batch, state),
    }[kind]


def run(lstm, args):
    """Outputs, last states and every parameter's gradient of an uneven sum of them."""
    lstm.zero_grad()
    output, (h, c) = lstm(*args)
    if isinstance(output, PackedSequence):
        output = torch.cat(unpack_sequence(output))
    results = [output, h, c]
    sum((r.sin() * torch.arange(r.numel()).view(r.shape)).sum() for r in results).backward()
    return results, {name: p.grad for name, p in lstm.named_parameters() if p.grad is not None}


def with_zero_peepholes(theirs, **shape):
    ours = LSTM(4, 5, peephole=True, **shape)
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert unexpected == []
    with torch.no_grad():
        for name in missing:
            if name.startswith("weight_"):
                ours.get_parameter(name).zero_()
    return ours


@inputs
@shapes
def test_plain_one_is_torch_in_outputs_and_gradients_by_its_kernel(shape, kind, monkeypatch):
    monkeypatch.setattr(Recurrence, "run", None)
    theirs, ours = torch.nn.LSTM(4, 5, **shape), LSTM(4, 5, **shape)
    ours.load_state_dict(theirs.state_dict())
    args = arguments_of_forward(kind, ours)
    torch.testing.assert_close(run(ours, args), run(theirs, args))


@shapes
def test_plain_state_dict_loads_both_ways(shape):
    theirs, ours = torch.nn.LSTM(4, 5, **shape), LSTM(4, 5, **shape)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    both = zip(theirs.parameters(), ours.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in both)


@pytest.mark.parametrize("options", [{}, {"peephole": True, "cell_activation": "sigma"}])
@shapes
def test_same_seed_draws_the_weights_torch_draws(shape, options):
    torch.manual_seed(7)
    theirs = torch.nn.LSTM(4, 5, **shape).state_dict()
    torch.manual_seed(7)
    ours = LSTM(4, 5, **shape, **options).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@inputs
@shapes
def test_loop_with_zero_peepholes_equals_torch(shape, kind):
    theirs = torch.nn.LSTM(4, 5, **shape)
    ours = with_zero_peepholes(theirs, **shape)
    args = arguments_of_forward(kind, ours)
    results, gradients = run(ours, args)
    their_results, their_gradients = run(theirs, args)
    torch.testing.assert_close(results, their_results, rtol=1e-6, atol=1e-6)
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-6, atol=1e-6)


def test_loop_drops_between_layers_what_torch_drops():
    theirs = torch.nn.LSTM(4, 5, num_layers=3, dropout=0.5)
    ours = with_zero_peepholes(theirs, num_layers=3, dropout=0.5)
    x = torch.randn(6, 2, 4)
    outputs = []
    for lstm in (theirs, ours):
        torch.manual_seed(11)
        outputs.append(lstm(x)[0])
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.eval()(x)[0], theirs.eval()(x)[0], rtol=1e-6, atol=1e-6)


def numpy_lstm(weights, x, activation, suffix=""):
    """Sak et al. 2014 as printed, one sequence: x (T, inputs) -> y (T, outputs), last c."""

    def sigma(z):
        return 1 / (1 + np.exp(-z))

    w = {name.removesuffix(f"_l0{suffix}"): value.numpy() for name, value in weights.items()}
    w_x, w_r = w["weight_ih"].reshape(4, 5, 4), w["weight_hh"].reshape(4, 5, 3)
    b = (w["bias_ih"] + w["bias_hh"]).reshape(4, 5)
    y, c, ys = np.zeros(3), np.zeros(5), []
    for x_t in x:
        i = sigma(w_x[0] @ x_t + w_r[0] @ y + w["weight_ic"] * c + b[0])
        f = sigma(w_x[1] @ x_t + w_r[1] @ y + w["weight_fc"] * c + b[1])
        g = {"tanh": np.tanh, "sigma": sigma}[activation](w_x[2] @ x_t + w_r[2] @ y + b[2])
        c = f * c + i * g
        o = sigma(w_x[3] @ x_t + w_r[3] @ y + w["weight_oc"] * c + b[3])
        y = w["weight_hr"] @ (o * np.tanh(c))
        ys.append(y)
    return np.array(ys), c


@activations
def test_peepholes_equal_the_printed_equations(activation):
    options = {"peephole": True, "cell_activation": activation}
    lstm = LSTM(4, 5, proj_size=3, bidirectional=True, **options)
    x = torch.randn(7, 4)
    weights = lstm.state_dict()
    forward, c_forward = numpy_lstm(weights, x.numpy(), activation)
    backward, c_backward = numpy_lstm(weights, x.numpy()[::-1], activation, "_reverse")
    output, (h, c) = lstm(x)
    expected = np.concatenate([forward, backward[::-1]], axis=1)
    np.testing.assert_allclose(output.detach().numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(h.detach().numpy(), [forward[-1], backward[-1]], atol=1e-12)
    np.testing.assert_allclose(c.detach().numpy(), [c_forward, c_backward], atol=1e-12)


@shapes
def test_packed_in_the_loop_equals_each_sequence_alone(shape):
    lstm = LSTM(4, 5, peephole=True, cell_activation="sigma", **shape)
    alone = sequences()
    directions = lstm.num_layers * (2 if lstm.bidirectional else 1)
    h = torch.randn(directions, len(alone), lstm.proj_size or lstm.hidden_size)
    c = torch.randn(directions, len(alone), lstm.hidden_size)
    output, last = lstm(pack_sequence(alone, enforce_sorted=False), (h, c))
    for lane, (x, y) in enumerate(zip(alone, unpack_sequence(output), strict=True)):
        expected, expected_last = lstm(x, (h[:, lane], c[:, lane]))
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(tuple(part[:, lane] for part in last), expected_last)


@pytest.mark.parametrize("is_packed", [False, True])
@activations
def test_gradients_of_the_loop_equal_finite_differences(activation, is_packed):
    options = {"bidirectional": True, "peephole": True, "cell_activation": activation}
    lstm = LSTM(2, 3, num_layers=2, proj_size=2, **options)
    names = [name for name, _ in lstm.named_parameters()]
    x = torch.randn(3, 2, 2, requires_grad=True)

    def outputs(x, *weights):
        given = pack_sequence([x[:, 0], x[:2, 1]]) if is_packed else x
        parameters = dict(zip(names, weights, strict=True))
        result, state = torch.func.functional_call(lstm, parameters, (given,))
        return (result.data if is_packed else result, *state)

    assert torch.autograd.gradcheck(outputs, (x, *lstm.parameters()))


@pytest.mark.parametrize("peephole", [False, True])
@activations
def test_state_dict_round_trip_keeps_activation_and_peepholes(activation, peephole):
    def build():
        return LSTM(4, 5, 2, bidirectional=True, peephole=peephole, cell_activation=activation)

    saved, loaded = build(), build()
    loaded.load_state_dict(saved.state_dict())
    x = torch.randn(6, 2, 4)
    assert torch.equal(loaded(x)[0], saved(x)[0])
    code = saved.state_dict().get("cell_activation_code")
    if activation == "tanh" and not peephole:
        assert code is None
    else:
        assert (code.dtype, code.shape, int(code)) == (torch.uint8, (), activation == "sigma")


def test_peephole_names_and_shapes_are_one_vector_a_gate_layer_and_direction():
    lstm = LSTM(4, 5, num_layers=2, bidirectional=True, proj_size=3, peephole=True)
    theirs = torch.nn.LSTM(4, 5, num_layers=2, bidirectional=True, proj_size=3).state_dict()
    ours = {name: tuple(value.shape) for name, value in lstm.state_dict().items()}
    expected = {
        f"weight_{gate}c_l{layer}{suffix}": (5,)
        for gate in "ifo"
        for layer in (0, 1)
        for suffix in ("", "_reverse")
    }
    expected["cell_activation_code"] = ()
    assert ours == {name: tuple(value.shape) for name, value in theirs.items()} | expected
    drawn = torch.cat([value for name, value in lstm.state_dict().items() if "c_l" in name])
    assert 0.9 * 5**-0.5 < drawn.abs().max() <= 5**-0.5


def test_copies_pickles_and_casts_run_alike():
    lstm = LSTM(4, 5, peephole=True, cell_activation="sigma")
    x = torch.randn(6, 2, 4)
    for other in (copy.deepcopy(lstm), pickle.loads(pickle.dumps(lstm))):
        assert torch.equal(other(x)[0], lstm(x)[0])
    assert lstm.float().state_dict()["cell_activation_code"].dtype == torch.uint8
    assert lstm(x.float())[0].dtype == torch.float32


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_the_other_activation_are_refused(strict):
    sigma = torch.nn.Sequential(LSTM(4, 5, cell_activation="sigma"))
    tanh = torch.nn.Sequential(LSTM(4, 5))
    message = (
        "the weights were trained with cell_activation='sigma', but this LSTM has 'tanh' "
        "(state dict, 0.cell_activation_code); "
        "hint: build it as penstock.nn.LSTM(..., cell_activation='sigma')"
    )
    with pytest.raises(PenstockError) as refusal:
        tanh.load_state_dict(sigma.state_dict(), strict=strict)
    assert str(refusal.value) == message
    with pytest.raises(PenstockError, match="trained with cell_activation='tanh'"):
        sigma.load_state_dict(tanh.state_dict(), strict=strict)
    unknown = sigma.state_dict() | {"0.cell_activation_code": torch.tensor(7, dtype=torch.uint8)}
    with pytest.raises(PenstockError, match="code 7 is not the code of an activation"):
        sigma.load_state_dict(unknown, strict=strict)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size is 0, but must be an int of at least 1"),
        ({"num_layers": 1.5}, "num_layers is 1.5, but must be an int of at least 1"),
        ({"bias": 1}, "bias is 1, but must be True or False"),
        ({"proj_size": 5}, "proj_size is 5, but must be smaller than hidden_size, 5"),
        ({"dropout": 1.5}, "dropout is 1.5, but must be a number from 0 to 1"),
        ({"cell_activation": "relu"}, "cell_activation is 'relu', but must be 'tanh' or 'sigma'"),
    ],
)
def test_invalid_arguments_are_refused(options, message):
    with pytest.raises(PenstockError) as refusal:
        LSTM(**{"input_size": 4, "hidden_size": 5, **options})
    assert str(refusal.value).startswith(f"{message} (penstock.nn.LSTM); hint: ")


@pytest.mark.parametrize("shape", [(6, 2, 3), (6, 3), (4,), (0, 2, 4)])
def test_wrong_inputs_raise_in_the_loop_what_torch_raises(shape):
    x = torch.zeros(shape)
    with pytest.raises((RuntimeError, ValueError)) as theirs:
        torch.nn.LSTM(4, 5)(x)
    with pytest.raises(theirs.type) as ours:
        LSTM(4, 5, peephole=True)(x)
    assert str(ours.value) == str(theirs.value)


def test_import_without_torch_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("penstock.nn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PenstockError) as refusal:
        importlib.import_module("penstock.nn")
    assert str(refusal.value) == "penstock.nn needs PyTorch; hint: install penstock[torch]"
