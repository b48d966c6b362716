"""Live modules: what is compiled is what ``forward`` computes, or it is refused by name."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from frontend.modules import FOLLOWED, INPUTS, MESSAGES, REFUSED, Module, frames, results  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune  # noqa: E402

import penstock  # noqa: E402
from penstock import HeadOptions, PenstockError  # noqa: E402
from penstock.calibration import calibrate  # noqa: E402
from penstock.frontend import from_module  # noqa: E402
from penstock.ir.evaluate import evaluate  # noqa: E402
from penstock.lowering import lower  # noqa: E402
from penstock.settings import Precision  # noqa: E402


def lstm_and_head(**options):
    return Module(
        lambda m, x: m.fc(m.lstm(x)[0]),
        lstm=nn.LSTM(INPUTS, 8, batch_first=True, **options), fc=nn.Linear(8, 3),
    )  # fmt: skip


@pytest.mark.parametrize("case", FOLLOWED, ids=lambda case: case.replace(" ", "-"))
def test_the_network_and_its_bits_are_what_forward_computes(case):
    torch.manual_seed(1)
    module = FOLLOWED[case].make()
    x = FOLLOWED[case].frames(module)
    is_time_major = any(not getattr(part, "batch_first", True) for part in module.modules())
    model = from_module(module, calibration=x.swapaxes(0, 1) if is_time_major else x)
    kinds = [place.layer.kind for place in model.places]
    assert kinds == FOLLOWED[case].kinds, f"it became {kinds}"
    expected, y = results(module, x, model)
    assert np.abs(y - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())
    real = FOLLOWED[case].inputs(x, model)
    graph = lower(model, calibrate(model, real), Precision())
    raw = evaluate(graph, graph["x"].tensor.type.quantize(real), np.full(len(real), real.shape[1]))
    got = graph["y"].tensor.type.to_float(raw.y).reshape(expected.shape)
    assert np.abs(got - expected).max() <= 0.01 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_what_cant_be_compiled_is_named(case):
    torch.manual_seed(1)
    with pytest.raises(PenstockError) as refusal:
        from_module(REFUSED[case]())
    assert (
        re.sub(r"modules\.py line \d+", "modules.py line N", str(refusal.value)) == MESSAGES[case]
    )


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_order_of_arrays_is_the_modules(batch_first):
    module = nn.LSTM(INPUTS, 8, batch_first=batch_first)
    assert from_module(module).batch_first is batch_first


def test_calibration_frames_are_in_the_modules_own_order():
    module = nn.LSTM(INPUTS, 8)
    x = frames(lanes=3, steps=20).transpose(1, 0, 2).astype(np.float64)
    x[10:] *= 30.0
    peak = penstock.compile(module, x, penstock.Hardware(pes=1)).graph["x"].tensor.type
    assert (
        peak == penstock.compile(module, x[:, 1:], penstock.Hardware(pes=1)).graph["x"].tensor.type
    )
    model = from_module(module, calibration=x)
    assert not model.batch_first and model.inputs == INPUTS


def test_a_module_in_training_mode_is_compiled_as_in_inference_and_left_as_it_was():
    module = Module(lambda m, x: m.drop(m.lstm(x)[0]), lstm=nn.LSTM(INPUTS, 8, batch_first=True),
                    drop=nn.Dropout(0.9))  # fmt: skip
    module.train()
    module.lstm.eval()
    from_module(module)
    assert module.training and module.drop.training and not module.lstm.training


def test_weights_that_are_computed_anew_are_those_that_forward_has():
    module = lstm_and_head()
    prune.l1_unstructured(module.lstm, "weight_hh_l0", 0.7)
    prune.l1_unstructured(module.fc, "weight", 0.5)
    model = from_module(module)
    assert np.count_nonzero(model["head"].weight) == 12
    x = torch.tensor(frames())
    with torch.no_grad():
        assert np.abs(model.run(x.numpy()) - module(x).numpy()).max() < 1e-6


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_normalized_weights_are_folded(norm):
    module = lstm_and_head()
    module.fc = norm(module.fc)
    module(torch.randn(1, 4, INPUTS))
    module.eval()
    x = torch.tensor(frames())
    with torch.no_grad():
        expected = module(x).numpy()
    assert np.abs(from_module(module).run(x.numpy()) - expected).max() < 1e-6


def test_a_parametrized_module_is_compiled_as_it_computes():
    module = lstm_and_head()
    parametrize.register_parametrization(module.fc, "weight", Halved())
    x = torch.tensor(frames())
    with torch.no_grad():
        expected = module(x).numpy()
    assert np.abs(from_module(module).run(x.numpy()) - expected).max() < 1e-6


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_module_of_another_precision_is_read_exactly(dtype):
    module = lstm_and_head().to(dtype)
    model = from_module(module)
    x = torch.tensor(frames())
    with torch.no_grad():
        expected = module.double()(x.double()).numpy()
    assert np.abs(model.run(x.numpy()) - expected).max() < 1e-6


def test_a_subclass_that_only_adds_methods_is_an_lstm():
    class Named(nn.LSTM):
        def title(self):
            return "mine"

    assert [place.layer.kind for place in from_module(Named(INPUTS, 8)).places] == ["lstm"]


def test_tokens_are_looked_up_for_calibration():
    module = Module(lambda m, x: m.lstm(m.table(x))[0], table=nn.Embedding(9, INPUTS),
                    lstm=nn.LSTM(INPUTS, 8, batch_first=True))  # fmt: skip
    tokens = np.random.default_rng(0).integers(0, 9, (4, 7))
    compiled = penstock.compile(module, tokens, penstock.Hardware(pes=1))
    embedded = penstock.compile(
        module, module.table.weight.detach().numpy()[tokens], penstock.Hardware(pes=1)
    )
    assert compiled.notes[0] == "table is an embedding of 9 entries: the look-up stays on the host"
    assert compiled.graph["x"].tensor.type == embedded.graph["x"].tensor.type
    with pytest.raises(PenstockError, match=r"a token is outside 0\.\.8"):
        penstock.compile(module, tokens + 9, penstock.Hardware(pes=1))


def test_forward_may_take_the_initial_state():
    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.fc = nn.LSTM(INPUTS, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x, h0, c0):
            y, state = self.lstm(x, (h0, c0))
            return self.fc(y), state

    model = from_module(Stateful())
    assert model.notes == [
        "the final states are read with --state-output",
        "the initial state (h0, c0) is given with --state; zero without",
    ]


def test_forward_may_take_lengths():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(INPUTS, 8, batch_first=True, bidirectional=True)
            self.fc = nn.Linear(16, 3)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(
                x, lengths, batch_first=True, enforce_sorted=False
            )
            y, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            return self.fc(y[torch.arange(len(y)), lengths - 1])

    module, lengths = Packed(), np.array([7, 3, 1])
    x = torch.tensor(frames(steps=7))
    with torch.no_grad():
        expected = module(x, torch.tensor(lengths)).numpy()
    got = from_module(module).run(x.numpy(), lengths)
    assert np.abs(got[:, 0] - expected).max() < 1e-6


def test_the_head_of_a_module_runs_where_forward_says():
    with pytest.raises(PenstockError, match="said to run at 'last', but in forward it runs at eve"):
        from_module(lstm_and_head(), HeadOptions("last"))
    model = from_module(lstm_and_head(), HeadOptions("step", "argmax"))
    assert model["head"].activation == "argmax"
    with pytest.raises(PenstockError, match="there is no Linear head to apply the head options"):
        from_module(nn.LSTM(INPUTS, 8), HeadOptions("step"))


def test_a_network_that_computes_something_else_is_refused(monkeypatch):
    """The follower's own faults are found by the numbers."""
    from penstock.frontend.follow import aten_rules

    monkeypatch.setitem(aten_rules.RULES, "relu", lambda f, title, x: x)
    module = Module(lambda m, x: torch.relu(m.lstm(x)[0]), lstm=nn.LSTM(INPUTS, 8))
    with pytest.raises(PenstockError) as refusal:
        from_module(module)
    text = "the network that was followed does not compute what the module does: the result differs"
    assert str(refusal.value).startswith(text)


@pytest.mark.parametrize("steps", [None, 5, 9])
def test_what_depends_on_the_number_of_steps_is_refused(steps):
    module = Module(lambda m, x: m.fc(m.lstm(x)[0].sum(1)),
                    lstm=nn.LSTM(INPUTS, 8, batch_first=True), fc=nn.Linear(8, 3))  # fmt: skip
    with pytest.raises(PenstockError, match="depends on the number of steps or sequences: head"):
        from_module(module, calibration=None if steps is None else frames(steps=steps))


def test_lengths_that_forward_does_not_keep_are_found():
    class Ignoring(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(INPUTS, 8, batch_first=True)

        def forward(self, x, lengths):
            return self.lstm(x.flip(1))[0].flip(1)

    with pytest.raises(PenstockError, match="does for sequences of unequal lengths: the result di"):
        from_module(Ignoring())


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"num_layers": 2}, {"proj_size": 4}])
def test_initial_states_have_the_shapes_of_the_layer(options):
    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(INPUTS, 8, batch_first=True, **options)

        def forward(self, x, h0, c0):
            return self.lstm(x, (h0, c0))[0]

    model = from_module(Stateful())
    assert model.notes[-1] == "the initial state (h0, c0) is given with --state; zero without"


def test_one_initial_state_of_a_gru_is_no_pair():
    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(INPUTS, 8, batch_first=True)

        def forward(self, x, state):
            return self.gru(x, state)[0]

    assert [place.layer.kind for place in from_module(Stateful()).places] == ["gru"]


def test_directions_are_named_by_their_layer():
    model = from_module(nn.LSTM(INPUTS, 4, num_layers=2, bidirectional=True))
    names = [place.name for place in model.places]
    assert names == ["l0", "l0_reverse", "l1", "l1_reverse"]


def test_a_layer_in_training_mode_is_told():
    module = Module(
        lambda m, x: m.fc(m.drop(x)), drop=torch.nn.Dropout(0.3), fc=torch.nn.Linear(INPUTS, 2)
    ).train()
    (note,) = from_module(module, calibration=frames()).notes
    assert note.startswith("the module is in training mode; it is compiled as in evaluation (drop ")
    assert module.training and module.drop.training
    assert not from_module(torch.nn.Linear(INPUTS, 2).train(), calibration=frames()).notes
