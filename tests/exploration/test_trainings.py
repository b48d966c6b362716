"""Density and bits as axes: a network is trained for each, once, and explored."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from penstock import Hardware, PenstockError, compile_checkpoint
from penstock.compress.recipe import Outcome
from penstock.compress.training import Score
from penstock.exploration import trainings

FACTORY = """
import torch

class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])
"""
RECIPE = [f"--recipe={word}" for word in (
    "task=labelling", "dense-epochs=1", "prune_epochs=1", "qat_epochs=0",
)]  # fmt: skip
TRAIN = ("explore", "model.py:Tagger", "--data", "data.npz", "--models", "models", *RECIPE,
         "--density", "0.6", "--weight-bits", "4", "--pes", "2,4", "--store", "s.db",
         "-j", "1")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which ``TRAIN`` ran, and what it printed as JSON."""
    folder = tmp_path_factory.mktemp("trained")
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (80, 6, 3)).astype(np.float32)
    y = (x[:, :, 0].cumsum(axis=1) > 0).astype(np.int64)
    np.savez(folder / "data.npz", x_train=x[:60], y_train=y[:60], x_valid=x[60:], y_valid=y[60:])
    (folder / "model.py").write_text(FACTORY)
    return folder


@pytest.fixture
def run(trained, monkeypatch, run_penstock):
    monkeypatch.chdir(trained)
    return run_penstock


def test_no_two_densities_share_a_file():
    named = [trainings._file_name({"density": one, "weights": 8}) for one in (0.1, 0.10000001, 1.0)]
    assert named == ["density0.1-weight-bits8", "density0.10000001-weight-bits8",
                     "density1-weight-bits8"]  # fmt: skip


def test_a_network_is_trained_once_and_explored_as_compile_takes_it(run, trained, monkeypatch):
    done = run(*TRAIN, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert len(found["points"]) == 2
    for point in found["points"]:
        settings, training = point["settings"], point["training"]
        name = f"density{settings['density']:g}-weight-bits{settings['weights']}.safetensors"
        assert point["model"] == f"models/{name}"
        assert training["measure"] == "accuracy" and training["split"] == "valid"
        assert point["error"]["loss"] == training["dense"] - training["trained"]
        assert abs(training["density"] - settings["density"]) < 0.1
    point = found["points"][-1]
    report = compile_checkpoint(point["model"], None, Hardware(pes=4)).report
    assert point["figures"]["cycles_per_step"] == report["timeline"]["cycles_per_step"]
    assert point["error"]["relative_error"] == report["error"]["output"]["relative_error"]
    assert point["options"] == ["--pes", "4"]
    monkeypatch.setattr("penstock.compress.recipe.run_recipe", None)
    assert json.loads(run(*TRAIN, "--json").out) == found


def test_a_checkpoint_that_is_gone_or_changed_is_trained_again(run, trained):
    path = trained / "models" / "density0.6-weight-bits4.safetensors"
    if not path.exists():
        run(*TRAIN)
    before = path.read_bytes()
    path.write_bytes(b"torn")
    assert run(*TRAIN).status == 0
    assert path.read_bytes() == before


def test_a_loss_is_that_of_the_training(run):
    done = run(*TRAIN, "--max-loss", "-2")
    assert done.status == 1 and "points: 2 misses\n  2 misses: loss\n" in done.out
    assert "a loss of " in done.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--recipe=dense_epoch=1"],
         "a recipe has no 'dense_epoch' (--recipe); hint: did you mean dense_epochs?"),
        (["--recipe=dense_epochs=x"], "'x' is no dense_epochs (--recipe); hint: write "
         "dense_epochs=VALUE, such as dense_epochs=8"),
        (["--recipe=row_scales"], "'row_scales' gives row_scales no value (--recipe); hint: write "
         "row_scales=VALUE, such as row_scales=yes"),
        (["--pes", "3,4"], "no pattern is balanced over both 3 and 4 PEs (pes); hint: explore PEs "
         "that divide 4, or one number after the other"),
        (["--bias-bits", "8"], "--bias-bits is no axis of a training (--bias-bits); hint: give it "
         "to the recipe (--recipe)"),
        (["--density", "0.5,2"], "density 2.0 is outside (0, 1] (recipe); *"),
        (["--density", "auto"], "'auto' is not a number (--density); *"),
        (["--validate", "data.npz"], "there is no x *"),
    ],
)  # fmt: skip
def test_what_can_not_be_trained_is_said_before_anything_is(words, line, run, monkeypatch):
    monkeypatch.setattr("penstock.compress.recipe.run_recipe", None)
    done = run(*TRAIN[:-4], *words)
    assert (done.status, done.out) == (2, ""), done
    before, star, _ = f"error: {line}".partition("*")
    assert done.err.startswith(before) and (star or done.err == f"{before}\n"), done.err


def test_a_network_is_trained_for_each_density_and_width(run, trained, monkeypatch):
    known = trained / "models" / "density0.6-weight-bits4.safetensors"
    if not known.exists():
        run(*TRAIN)
    asked = []

    def trained_elsewhere(factory, data, recipe, path):
        asked.append((recipe.density, recipe.weight_bits, recipe.pes, path.name))
        path.write_bytes(known.read_bytes())
        score = Score(0.5, recipe.density)
        return Outcome("valid", {"dense": Score(0.1, 1.0), "pruned": score}, 0.5, path, [], [])

    monkeypatch.setattr("penstock.compress.recipe.run_recipe", trained_elsewhere)
    done = run(*TRAIN[:5], "others", *RECIPE, "--density", "0.1,0.2", "--weight-bits", "6..8",
               "--pes", "2,8,4", "-j", "1", "--json")  # fmt: skip
    wanted = [(density, bits) for density in (0.1, 0.2) for bits in (6, 7, 8)]
    assert asked == [
        (density, bits, 8, f"density{density}-weight-bits{bits}.safetensors")
        for density, bits in sorted(wanted, key=lambda pair: pair[0])
    ]
    points = json.loads(done.out)["points"]
    assert [point["number"] for point in points] == list(range(1, 19))
    assert {(p["settings"]["density"], p["error"]["loss"]) for p in points} == {
        (0.1, 0.9), (0.2, 0.8)
    }  # fmt: skip


def test_formats_are_those_of_the_training(trained):
    made = trainings.Trainings(None, None, trainings.recipe_of([]), trained)
    from penstock.exploration import explore

    with pytest.raises(PenstockError, match="a network that is trained takes no calibration: "):
        explore(made, calibration=np.zeros((2, 3)))
    with pytest.raises(PenstockError) as caught:
        explore(made, key="model", only=["lstm"], batch_first=False)
    assert caught.value.hint == "leave out key, only, batch_first"


def test_every_choice_of_a_recipe_can_be_given():
    """Those that are open by default, too."""
    found = trainings.recipe_of(["banks=16", "bank=4", "pes=2", "rate=0.1", "row-scales=yes"])
    assert (found.banks, found.bank, found.pes, found.rate, found.row_scales) == (
        16, 4, 2, 0.1, True
    )  # fmt: skip
    with pytest.raises(PenstockError, match="'many' is no banks"):
        trainings.recipe_of(["banks=many"])
