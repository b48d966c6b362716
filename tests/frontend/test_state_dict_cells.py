"""What names and shapes say of a network, and what is assumed: as torch computes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frontend.given import read, with_prefix
from frontend.reference import CELLS, INPUTS, STEPS, assert_same, frames

from penstock import HeadOptions, PenstockError

nn = torch.nn
TANH = "weight_hh_l0 is of an RNN, whose function a state dict does not say: tanh, assumed"


@torch.no_grad()
def outputs(module, x):
    return module(x)[0].numpy()


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_rows_tell_the_kind_of_cell(kind, options):
    module, x = kind(INPUTS, CELLS, batch_first=True, **options), frames()
    model = read(module.state_dict())
    assert model["l0"].kind == kind.__name__.lower()
    assert model.notes == ([TANH] if kind is nn.RNN else [])
    assert_same(model.run(x.numpy()), outputs(module, x))


def test_the_function_of_an_rnn_that_is_saved_is_not_assumed():
    state = nn.RNN(INPUTS, CELLS).state_dict()
    assert read(state).notes == [TANH]
    model = read(state | {"nonlinearity_code": torch.tensor(1.0)})
    assert (model["l0"].nonlinearity, model.notes) == ("relu", [])


@pytest.mark.parametrize("prefix", ["", "cell.", "module.decoder."])
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@torch.no_grad()
def test_a_cell_is_a_layer_that_runs_over_the_steps(kind, prefix):
    cell, head, x = kind(INPUTS, CELLS), nn.Linear(CELLS, 3), frames()
    state = None
    for t in range(STEPS):
        state = cell(x[:, t], state)
    y = head(state[0] if kind is nn.LSTMCell else state)[:, None]
    model = read(with_prefix(prefix, cell.state_dict()) | with_prefix("out.", head.state_dict()))
    assert_same(model.run(x.numpy()), y.numpy())


def chained(*modules):
    names = ["third", "first", "another"][: len(modules)]
    state = {}
    for name, module in zip(names, modules, strict=True):
        state |= with_prefix(f"{name}.", module.state_dict())
    return state


@pytest.mark.parametrize("shuffle", [False, True])
def test_modules_of_unequal_sizes_follow_one_another(shuffle):
    one = nn.LSTM(INPUTS, 7, batch_first=True, bidirectional=True)
    two = nn.GRU(14, 5, batch_first=True)
    x = frames()
    y = outputs(two, one(x)[0])
    model = read(chained(two, one) if shuffle else chained(one, two))
    order = "first -> third" if shuffle else "third -> first"
    assert model.notes == [
        f"{order}: assumed to follow one another, as their sizes allow no other order"
    ]
    assert_same(model.run(x.numpy()), y)


def test_cells_of_unequal_sizes_follow_one_another():
    state = with_prefix("cells.0.", nn.LSTMCell(INPUTS, 7).state_dict())
    state |= with_prefix("cells.1.", nn.LSTMCell(7, 5).state_dict())
    model = read(state)
    assert [model[name].outputs for name in ("l0", "l1")] == [7, 5]


def test_a_head_decides_between_one_behind_the_other_and_side_by_side():
    state = with_prefix("a.", nn.LSTM(4, 4).state_dict())
    state |= with_prefix("b.", nn.LSTM(4, 6).state_dict())
    model = read(state | with_prefix("fc.", nn.Linear(6, 2).state_dict()))
    assert model.notes[0].startswith("a -> b: assumed")
    with pytest.raises(PenstockError, match="can't compile fc"):
        read(state | with_prefix("fc.", nn.Linear(10, 2).state_dict()))


@pytest.mark.parametrize("at", ["step", "last", "final"])
def test_a_head_where_it_is_said_to_run_is_no_assumption(at):
    lstm, head = nn.LSTM(INPUTS, CELLS, bidirectional=True), nn.Linear(2 * CELLS, 3)
    state = with_prefix("lstm.", lstm.state_dict()) | with_prefix("fc.", head.state_dict())
    assert read(state, head=HeadOptions(at)).notes == []


def test_only_the_last_layers_directions_matter_to_a_head():
    state = chained(nn.LSTM(INPUTS, 7, bidirectional=True), nn.LSTM(14, 5))
    model = read(state | with_prefix("fc.", nn.Linear(5, 3).state_dict()))
    assert model.notes[-1] == "head: fc (3 x 5), at the last step, assumed; --head to change"


def test_a_head_without_a_name_is_called_by_its_weight():
    state = with_prefix("lstm.", nn.LSTM(INPUTS, CELLS).state_dict())
    model = read(state | nn.Linear(CELLS, 3).state_dict())
    assert model.notes == ["head: weight (3 x 6), at the last step, assumed; --head to change"]


def forecaster(is_before=False):
    state = with_prefix("lstm.", nn.LSTM(INPUTS, CELLS).state_dict())
    head = with_prefix("fc.", nn.Linear(CELLS, INPUTS).state_dict())
    return head | state if is_before else state | head


def test_what_stands_behind_the_recurrent_layer_in_the_file_is_no_layer_in_front():
    model = read(forecaster())
    assert model["head"].weight.shape == (INPUTS, CELLS)
    assert model.notes == ["head: fc (4 x 6), at the last step, assumed; --head to change"]


@pytest.mark.parametrize("state", [forecaster(True), dict(sorted(forecaster().items()))])
def test_a_layer_that_fits_in_front_and_behind_is_the_head_if_that_is_said(state):
    with pytest.raises(PenstockError, match="could be a Linear head or a Linear layer in front"):
        read(state)
    assert read(state, head=HeadOptions("step"))["head"].outputs == INPUTS


def language_model(decoder_bias):
    state = with_prefix("encoder.", nn.Embedding(20, 8).state_dict())
    state |= with_prefix("rnn.", nn.LSTM(8, 8, 2).state_dict())
    return state | with_prefix("decoder.", nn.Linear(8, 20, bias=decoder_bias).state_dict())


def test_the_bias_tells_an_embedding_from_a_head_of_its_size():
    state = language_model(True)
    model = read(state, head=HeadOptions("step"))
    assert (model.table == state["encoder.weight"].numpy()).all()
    assert (model["head"].weight == state["decoder.weight"].numpy()).all()
    assert model.notes == ["encoder.weight is an embedding of 20 entries: the look-up stays on the "
                           "host"]  # fmt: skip


@pytest.mark.parametrize("order", [list, sorted])
def test_tied_weights_are_the_embedding_and_the_head(order):
    state = language_model(False)
    state["decoder.weight"] = state["encoder.weight"]
    model = read({name: state[name] for name in order(state)}, head=HeadOptions("step"))
    assert (model.table == state["encoder.weight"].numpy()).all()
    assert (model["head"].weight == state["encoder.weight"].numpy()).all()


def test_without_a_bias_nothing_tells_them_apart():
    with pytest.raises(PenstockError) as caught:
        read(language_model(False), head=HeadOptions("step"))
    assert caught.value.what == (
        "encoder.weight (20 x 8) could be a Linear head or an embedding; "
        "decoder.weight (20 x 8) could be a Linear head or an embedding"
    )


@pytest.mark.parametrize("names", [("word_emb", "tag_emb"), ("word", "tag")])
def test_two_embeddings_side_by_side_stay_on_the_host(names):
    state = with_prefix("lstm.", nn.LSTM(12, CELLS).state_dict())
    for name, width in zip(names, (8, 4), strict=True):
        state |= with_prefix(f"{name}.", nn.Embedding(9, width).state_dict())
    model = read(state | with_prefix("fc.", nn.Linear(CELLS, 3).state_dict()))
    assert sum("is an embedding of 9 entries" in note for note in model.notes) == 2
    assert model.table is None and model["head"].outputs == 3


def test_an_embedding_of_a_part_of_the_frame_is_no_table_of_frames():
    state = with_prefix("lstm.", nn.LSTM(12, CELLS).state_dict())
    state |= with_prefix("tag_emb.", nn.Embedding(9, 4).state_dict())
    model = read(state)
    assert model.table is None and model.inputs == 12
    assert model.notes == ["tag_emb.weight is an embedding of 9 entries: the look-up stays on the "
                           "host"]  # fmt: skip


def test_two_embeddings_that_are_added_up_stay_on_the_host():
    state = with_prefix("lstm.", nn.LSTM(12, CELLS).state_dict())
    for name in ("word", "place"):
        state |= with_prefix(f"{name}.", nn.Embedding(9, 12).state_dict())
    model = read(state)
    assert len(model.notes) == 2 and model.table is None and model.inputs == 12


@pytest.mark.parametrize("name", ["h0", "init_h", "hidden.0", "rnn.h_0", "initial_state", "c0"])
@pytest.mark.parametrize("shape", [(2, 1, CELLS), (2, CELLS)])
def test_a_learned_initial_state_is_given_when_it_runs(name, shape):
    state = with_prefix("rnn.", nn.LSTM(INPUTS, CELLS, 2).state_dict())
    with pytest.raises(PenstockError, match="of an initial state that was learned") as caught:
        read(state | {name: torch.zeros(shape)})
    assert caught.value.what.startswith(name) and "--state" in caught.value.hint


def test_options_that_say_nothing_of_where_the_head_runs_leave_it_assumed():
    state = forecaster()
    model = read(state, head=HeadOptions(activation="argmax"))
    assert model["head"].activation == "argmax" and "assumed" in model.notes[0]
    assert np.array_equal(model["head"].bias, state["fc.bias"].numpy())
