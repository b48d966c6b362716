"""A progress folder: torn, spoiled or mixed up, it is refused by the file that must go."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from penstock import PenstockError
from penstock.compress.dataset import make_dataset

torch = pytest.importorskip("torch")
from penstock.compress.recipe import Recipe, run_recipe  # noqa: E402

RECIPE = Recipe(dense_epochs=1, prune_epochs=1, qat_epochs=1, pes=1, density=0.5, batch=16)
STAGES = ("dense", "pruned", "qat")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(48, 4, 3)).astype(np.float32)
    y = (x[:, :, 0].sum(axis=1) > 0).astype(np.int64)
    arrays = {"x_train": x[:32], "y_train": y[:32], "x_valid": x[32:], "y_valid": y[32:]}
    return make_dataset(arrays, "classification", "here")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that ended, with its progress."""
    folder = tmp_path_factory.mktemp("done")
    run_recipe(Net, data(), RECIPE, folder / "m.safetensors")
    return folder


@pytest.fixture
def work(done, tmp_path):
    return shutil.copytree(done, tmp_path / "work")


def run(work, recipe=RECIPE, **options):
    return run_recipe(Net, data(), recipe, work / "m.safetensors", **options)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """One weight: no archive's own check sees it."""
    state = torch.load(path, weights_only=True)
    weights = next(value for value in state["best_weights"].values() if value.ndim == 2)
    weights[0, 0] = ~weights[0, 0] if weights.dtype == torch.bool else weights[0, 0] + 1
    torch.save(state, path)


def change_number(path):
    torch.save(torch.load(path, weights_only=True) | {"epoch": 5}, path)


def without_digest(path):
    state = torch.load(path, weights_only=True)
    del state["sha256"]
    torch.save(state, path)


def other_content(path):
    torch.save([1, 2], path)


SPOILS = {
    "torn": cut, "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("x"),
    "a flipped weight": flip, "another epoch": change_number, "no digest": without_digest,
    "a list": other_content, "a folder": lambda path: (path.unlink(), path.mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_not_whole_is_refused_by_name(stage, case, work):
    path = work / "m.safetensors.progress" / f"{stage}.pt"
    SPOILS[case](path)
    with pytest.raises(PenstockError) as caught:
        run(work)
    assert caught.value.line() == (
        f"the saved progress of stage {stage} is damaged or belongs to another run ({path}); "
        "hint: remove this file to train the stage again"
    )


def test_obeying_the_hint_leads_to_the_same_result(work):
    wanted = (work / "m.safetensors").read_bytes()
    path = work / "m.safetensors.progress/pruned.pt"
    cut(path)
    path.unlink()
    told = []
    run(work, log=told.append)
    assert [text.split()[0] for text in told] == ["pruned"]
    assert (work / "m.safetensors").read_bytes() == wanted


def test_a_stage_in_the_place_of_another_is_refused(work):
    progress = work / "m.safetensors.progress"
    shutil.copy(progress / "dense.pt", progress / "pruned.pt")
    with pytest.raises(PenstockError, match="the saved progress of stage pruned is damaged"):
        run(work)


def test_a_stage_of_another_recipe_is_refused(work, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    run(other, Recipe(**{**vars(RECIPE), "seed": 1}))
    name = "m.safetensors.progress/dense.pt"
    shutil.copy(other / name, work / name)
    with pytest.raises(
        PenstockError, match="the saved progress of stage dense is damaged or belongs to an"
    ):
        run(work)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe garbage", b"a" * 10**6])
def test_a_marker_of_garbage_is_refused_by_name(content, work):
    marker = work / "m.safetensors.progress/recipe"
    marker.write_bytes(content)
    with pytest.raises(PenstockError) as caught:
        run(work)
    assert caught.value.line() == (
        f"it can't be read what the saved progress belongs to ({marker}); "
        f"hint: remove {marker.parent}, or write elsewhere"
    )


def test_a_marker_that_is_lost_is_made_again_for_the_same_run(work):
    (work / "m.safetensors.progress/recipe").unlink()
    told = []
    run(work, log=told.append)
    assert told == []


def test_stages_without_a_marker_serve_no_other_run(work):
    (work / "m.safetensors.progress/recipe").unlink()
    with pytest.raises(
        PenstockError, match="the saved progress of stage dense is damaged or belongs to an"
    ):
        run(work, Recipe(**{**vars(RECIPE), "seed": 1}))
