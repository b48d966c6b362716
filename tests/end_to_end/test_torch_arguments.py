"""Frames, lengths and states as torch has them: the bits are those of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from support import random_model

import penstock
from penstock import Hardware, PenstockError
from penstock.driver import compile_model
from penstock_runtime import Interpreter, Session

torch = pytest.importorskip("torch")
INPUTS, CELLS = 3, 4


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    model = random_model(inputs=INPUTS, cells=(CELLS, CELLS), pes=2)
    folder = tmp_path_factory.mktemp("stack") / "project"
    return Interpreter(compile_model(model, None, Hardware(pes=2)).write(folder))


@pytest.fixture
def frames():
    """Of bfloat16's precision, so that every kind of tensor holds the same numbers."""
    torch.manual_seed(0)
    return torch.randn(2, 5, INPUTS).bfloat16()


def test_tensors_run_as_arrays_do(interpreter, frames):
    wanted = interpreter.run(frames.float().numpy(), np.array([5, 3])).raw
    for x in (frames, frames.half(), frames.double().requires_grad_(), frames.float().tolist()):
        assert (interpreter.run(x, torch.tensor([5, 3])).raw == wanted).all()


def test_a_state_may_be_what_torch_returns(interpreter, frames):
    x = frames.float()
    first = interpreter.run(x[:, :2])
    h_n, c_n = (torch.from_numpy(part) for part in interpreter.hidden(first.state))
    wanted = interpreter.run(x[:, 2:], state=first.state).raw
    for state in ((h_n, c_n), [h_n.requires_grad_(), c_n.numpy()]):
        assert (interpreter.run(x[:, 2:], state=state).raw == wanted).all()
    one = interpreter.run(x[0, 2:], state=(h_n[:, 0], c_n[:, 0]))
    assert (one.raw[0] == wanted[0]).all()


def test_a_session_begins_where_it_is_told(interpreter, frames):
    x = frames.float()
    first = interpreter.run(x[:, :2])
    wanted = interpreter.run(x[:, 2:3], state=first.state).values[:, 0]
    state = tuple(torch.from_numpy(part) for part in interpreter.hidden(first.state))
    session = Session(interpreter, sequences=2, state=state)
    assert (session.step(x[:, 2].requires_grad_()) == wanted).all()
    session.reset(first.state)
    assert (session.step(x[:, 2]) == wanted).all()
    session.reset()
    assert (session.step(x[:, 0]) == interpreter.run(x[:, :1]).values[:, 0]).all()


def test_a_state_may_have_torchs_names_or_our_own(interpreter, frames):
    x = frames.float()
    first = interpreter.run(x[:, :2])
    h, c = interpreter.hidden(first.state)
    wanted = interpreter.run(x[:, 2:], state=first.state).raw
    for state in ({"h_0": h, "c_0": c}, {"h_n": h, "c_n": torch.from_numpy(c)}):
        assert (interpreter.run(x[:, 2:], state=state).raw == wanted).all()
    own = interpreter.state_from_arrays(first.state, "states.npz")
    assert (interpreter.run(x[:, 2:], state=own).raw == wanted).all()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"x": torch.empty(5, INPUTS, device="meta")},
         "the Tensor is on the meta device, which holds no values"),
        ({"x": [[1.0], [1.0, 2.0]]}, "this list can't be read as an array"),
        ({"x": None}, "None can't be read as an array"),
        ({"x": "x.npy"}, "this str can't be read as an array"),
        ({"lengths": [[1], [1, 2]]}, "this list can't be read as an array"),
        ({"state": torch.zeros(2, 2, CELLS)},
         "the initial state needs c_0 of shape (2, sequences, n)"),
        ({"state": (torch.zeros(2, 2, CELLS),)},
         "the initial state needs c_0 of shape (2, sequences, n)"),
        ({"state": ()}, "0 arrays are not a state"),
        ({"state": (torch.zeros(3, 2, CELLS), torch.zeros(3, 2, CELLS))},
         "h_0 has shape (3, 2, 4), not (2, sequences, n)"),
        ({"state": (None, None)}, "the initial state needs h_0 of shape (2, sequences, n)"),
        ({"state": {1: 2, "l0.c": 3}},
         "the states are ['l0.c', 'l0.y', 'l1.c', 'l1.y'], not ['1', 'l0.c']"),
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused(arguments, what, interpreter, frames):
    given = {"x": frames, **arguments}
    with pytest.raises(PenstockError) as caught:
        interpreter.run(**given)
    assert caught.value.what == what


def test_a_session_refuses_a_state_before_the_first_frame(interpreter):
    with pytest.raises(PenstockError, match=r"state l0.y has shape \(3, 4\), not \(2, 4\)"):
        Session(interpreter, 2, (torch.zeros(2, 3, CELLS), torch.zeros(2, 3, CELLS)))


def test_frames_of_steps_first_give_results_of_steps_first(interpreter, frames):
    x = frames.float()
    wanted = interpreter.run(x, np.array([5, 3]))
    got = interpreter.run(x.transpose(0, 1), np.array([5, 3]), batch_first=False)
    assert (got.raw == wanted.raw).all()
    assert (got.values == wanted.values.transpose(1, 0, 2)).all()
    assert (got.arranged_raw == wanted.raw.transpose(1, 0, 2)).all()


def test_the_initial_state_is_taken_where_the_final_one_is_given_too(interpreter, frames):
    first = interpreter.run(frames)
    h_n, c_n = interpreter.hidden(first.state)
    both = {"h_0": h_n, "c_0": c_n, "h_n": 0 * h_n, "c_n": 0 * c_n}
    found = interpreter.state_from_arrays(both, "here")
    wanted = interpreter.state_from_arrays({"h_n": h_n, "c_n": c_n}, "here")
    assert all((found[name] == wanted[name]).all() and found[name].any() for name in wanted)


class Stepped(torch.nn.Module):
    """A GRU whose initial state is an argument."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.rnn = torch.nn.GRU(INPUTS, CELLS, num_layers=2, batch_first=True)

    def forward(self, x, h0):
        """(sequences, steps, inputs), (2, sequences, cells) -> results and the final state."""
        return self.rnn(x, h0)


@pytest.fixture(scope="module")
def gru(tmp_path_factory):
    compiled = penstock.compile(Stepped().eval(), torch.randn(4, 6, INPUTS), Hardware(pes=2))
    return Interpreter(compiled.write(tmp_path_factory.mktemp("gru") / "project"))


def test_a_network_without_cells_has_h_alone(gru, frames):
    x = frames.float()
    h0 = torch.rand(2, 2, CELLS) - 0.5
    with torch.no_grad():
        wanted, h_n = Stepped()(x, h0)
    result = gru.run(x, state=h0)
    assert abs(result.values - wanted.numpy()).max() < 0.005
    (found,) = gru.hidden(result.state)
    assert abs(found - h_n.numpy()).max() < 0.005
    again = [gru.run(x, state=state).raw for state in (result.state, (found,), [found], found)]
    assert all((raw == again[0]).all() for raw in again)
    saved = gru.saved_state(result.state)
    assert list(saved) == ["h_n"]
    assert (gru.run(x, state=gru.state_from_arrays(saved, "here")).raw == again[0]).all()


def test_a_cell_state_of_a_network_without_cells_is_refused(gru, frames):
    h = torch.zeros(2, 2, CELLS)
    with pytest.raises(PenstockError, match="c_0 is given, but the network has no such state"):
        gru.run(frames, state=(h, h))


def test_a_network_without_states_has_none_to_save(frames, tmp_path):
    compiled = penstock.compile(torch.nn.Linear(INPUTS, 2), frames.float(), Hardware(pes=2))
    interpreter = Interpreter(compiled.write(tmp_path / "project"))
    result = interpreter.run(frames)
    assert interpreter.hidden(result.state) == ()
    with pytest.raises(PenstockError, match="the network has no state"):
        interpreter.saved_state(result.state)
