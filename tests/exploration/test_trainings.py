"""Density and bits as axes: a network is trained for each, once, and explored."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from penstock import Hardware, PenstockError, compile_checkpoint
from penstock.exploration import trainings
from penstock.exploration.axes import axes_of

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
         "--density", "0.6,0.9", "--weight-bits", "4", "--pes", "2,4", "--store", "s.db",
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


def test_a_network_is_trained_for_each_density_and_width_and_never_again(run, trained, monkeypatch):
    done = run(*TRAIN, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert len(found["points"]) == 4
    assert sorted(path.name for path in (trained / "models").glob("*.safetensors")) == [
        "density0.6-weight-bits4.safetensors", "density0.9-weight-bits4.safetensors"
    ]  # fmt: skip
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
    assert done.status == 1 and "points: 4 misses\n  4 misses: loss\n" in done.out
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


def test_a_point_is_trained_for_its_own_density_and_width():
    recipe, axes = trainings.recipe_of(["pes=4"]), axes_of({"density": 0.2, "weights": [6, 9]})
    found = trainings._recipe_of_point(recipe, axes, (0.2, 9))
    assert (found.density, found.weight_bits, found.pes) == (0.2, 9, 4)


def test_formats_are_those_of_the_training(trained):
    made = trainings.Trainings(None, None, trainings.recipe_of([]), trained)
    from penstock.exploration import explore

    with pytest.raises(PenstockError, match="a network that is trained has its own number formats"):
        explore(made, calibration=np.zeros((2, 3)))
