"""Checkpoints of a training that prunes: resumed, it goes on to the bit."""

from __future__ import annotations

import io

import pytest

torch = pytest.importorskip("torch")
from compress.networks import adamw, make_net, train  # noqa: E402

import penstock.nn  # noqa: E402
from penstock import PenstockError  # noqa: E402
from penstock.compress import Cubic, OneShot, Pruner  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*leaves no weight in")


def make(seed, options, schedule):
    model = make_net(seed, **options)
    return model, Pruner(model, "pe_balanced", 0.125, schedule, pes=4), adamw(model)


def saved(model, pruner, optimizer):
    file = io.BytesIO()
    torch.save([part.state_dict() for part in (model, pruner, optimizer)], file)
    return file.getvalue()


@pytest.mark.parametrize("stop", [3, 12])
@pytest.mark.parametrize("schedule", [Cubic(1, 10, 2), OneShot(5)], ids=repr)
@pytest.mark.parametrize(
    "options",
    [{}, {"lstm": penstock.nn.LSTM, "peephole": True, "proj_size": 8}, {"bidirectional": True}],
    ids=["plain", "peephole", "bidirectional"],
)
def test_training_interrupted_and_resumed_gives_the_same_weights_to_the_bit(
    stop, schedule, options
):
    through = make(0, options, schedule)
    train(*through, range(15))
    first = make(0, options, schedule)
    train(*first, range(stop))
    checkpoint = saved(*first)
    second = make(33, options, schedule)
    for part, state in zip(second, torch.load(io.BytesIO(checkpoint)), strict=True):
        part.load_state_dict(state)
    assert saved(*second) == checkpoint
    train(*second, range(stop, 15))
    wanted, got = through[1].finalize().state_dict(), second[1].finalize().state_dict()
    assert list(wanted) == list(got)
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_masks_are_in_the_state_dict_of_the_model():
    model, pruner, _ = make(0, {}, None)
    state = model.state_dict()
    mask = state["lstm.parametrizations.weight_hh_l0.0.mask"]
    assert mask.dtype == torch.bool
    assert torch.equal(mask, model.lstm.weight_hh_l0 != 0)
    assert pruner.state_dict()["steps"] == 0


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (
            {"pes": 8, "density": {"fc.weight": 0.1}},
            "patterns is {'fc.weight': 'PeBalanced(pes=4)'}, "
            "not {'fc.weight': 'PeBalanced(pes=8)'}",
        ),
        (
            {"density": {"fc.weight": 0.1}},
            "matrices is ['lstm.weight_ih_l0', 'lstm.weight_hh_l0', 'fc.weight'], "
            "not ['fc.weight']",
        ),
    ],
)
def test_the_state_of_another_pruner_is_refused(other, what):
    density = {"fc.weight": 0.1} if "pes" in other else 0.1
    state = Pruner(make_net(), "pe_balanced", density, pes=4).state_dict()
    pruner = Pruner(make_net(), "pe_balanced", **{"pes": 4, "density": 0.1} | other)
    with pytest.raises(PenstockError) as caught:
        pruner.load_state_dict(state)
    assert caught.value.what == what
    with pytest.raises(PenstockError, match=r"^steps is missing \(state dict of a Pruner\)"):
        pruner.load_state_dict({})
