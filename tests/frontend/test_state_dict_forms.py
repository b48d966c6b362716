"""The forms in which people save checkpoints: every one gives what torch computes."""

from __future__ import annotations

import argparse
import datetime

import numpy as np
import pytest
import torch
from frontend.given import saved
from frontend.reference import CELLS, INPUTS, STEPS, assert_same

import penstock
from penstock import Hardware, PenstockError
from penstock.frontend import from_state_dict, read_checkpoint

nn = torch.nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(INPUTS, CELLS, batch_first=True), nn.Linear(CELLS, 3)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1:])


class Executes:
    def __reduce__(self):
        return open, ("executed", "w")


def net():
    """A network, frames, and what it computes of them."""
    model, x = Net().eval(), torch.randn(2, STEPS, INPUTS)
    return model, x.numpy(), model(x).detach().numpy()


def read_file(path, **options):
    key = options.pop("key", None)
    return from_state_dict(read_checkpoint(path, key), str(path.name), **options)


def prefixed(prefix):
    return lambda model: {f"{prefix}{name}": value for name, value in model.state_dict().items()}


FORMS = {
    "best.ckpt": lambda model: {"state_dict": prefixed("model.")(model), "epoch": 3},
    "best.pth.tar": lambda model: {"epoch": 1, "state_dict": model.state_dict()},
    "pytorch_model.bin": lambda model: model.state_dict(),
    "weights.best": lambda model: model.state_dict(),
    "no_suffix": lambda model: model.state_dict(),
    "in_disguise.safetensors": lambda model: model.state_dict(),
    "net.pt": lambda model: {"net": model.state_dict(), "acc": 0.9},
    "weight.pt": lambda model: {"weight": model.state_dict(), "val_loss": 1.0},
    "encoder.pt": lambda model: {"encoder_state_dict": model.state_dict()},
    "deep.pt": lambda model: {"a": {"b": [1, {"ema": model.state_dict()}]}},
    "pair.pt": lambda model: (3, model.state_dict()),
    "loss.pt": lambda model: {"model": model.state_dict(), "loss": {"weight": torch.ones(3)}},
    "compiled.pt": lambda model: torch.compile(model).state_dict(),
    "parallel.pt": lambda model: nn.DataParallel(model).state_dict(),
    "nested.pt": prefixed("module._orig_mod.model.module."),
    "swa.pt": lambda model: torch.optim.swa_utils.AveragedModel(model).state_dict(),
    "criterion.pt": lambda model: model.state_dict() | {"criterion.weight": torch.ones(3)},
    "loss_fn.pt": lambda model: model.state_dict() | {"loss_fn.pos_weight": torch.ones(3)},
    "numpy.pt": lambda model: {"state_dict": model.state_dict(), "best": np.float64(0.9)},
    "settings.pt": lambda model: {
        "model": model.state_dict(), "args": argparse.Namespace(lr=0.1, when=datetime.date.today()),
    },
    "twice.pt": lambda model: dict.fromkeys(("net", "best"), model.state_dict()),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_checkpoint_in_any_form_gives_what_torch_computes(name, tmp_path):
    model, x, wanted = net()
    torch.save(FORMS[name](model), tmp_path / name)
    assert_same(read_file(tmp_path / name).run(x), wanted)


def test_an_optimizers_state_is_not_taken_for_the_network(tmp_path):
    model, x, wanted = net()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.from_numpy(x)).sum().backward()
    optimizer.step()
    wanted = model(torch.from_numpy(x)).detach().numpy()
    torch.save({"optimizer": optimizer.state_dict(), "m": model.state_dict()}, tmp_path / "m.pt")
    assert_same(read_file(tmp_path / "m.pt").run(x), wanted)


@pytest.mark.parametrize("name", ["optimizer", "lr_scheduler", "OptimWrapper"])
def test_averages_that_an_optimizer_keeps_by_name_are_no_second_network(name, tmp_path):
    model, x, wanted = net()
    averages = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    path = tmp_path / "run.pt"
    torch.save({"net": model.state_dict(), name: {"momentum": averages}}, path)
    assert_same(read_file(path).run(x), wanted)


def test_safetensors_are_known_by_their_content(tmp_path):
    model, x, wanted = net()
    path = saved(tmp_path / "m.safetensors", model.state_dict()).rename(tmp_path / "weights")
    assert_same(read_file(path).run(x), wanted)


def test_what_is_left_out_is_noted(tmp_path):
    model = torch.optim.swa_utils.AveragedModel(Net())
    torch.save(model.state_dict() | {"criterion.weight": torch.ones(3)}, tmp_path / "m.pt")
    assert read_file(tmp_path / "m.pt").notes == [
        "n_averaged (a count) is left out",
        "criterion.weight (of a loss) is left out",
        "head: module.fc (3 x 6), at the last step, assumed; --head to change",
    ]


def test_what_torch_load_gave_is_compiled_as_its_file_is(tmp_path):
    model, x, _ = net()
    content = {"epoch": 3, "state_dict": model.state_dict()}
    torch.save(content, tmp_path / "m.pt")
    hardware = Hardware(pes=1)
    of_file = penstock.compile(tmp_path / "m.pt", x, hardware)
    assert (
        penstock.compile(content, x, hardware).files["graph.safetensors"]
        == (of_file.files["graph.safetensors"])
    )


def test_options_for_a_saved_head_leave_its_place_as_it_was(tmp_path):
    from penstock.entry import _completed
    from penstock.frontend import HeadOptions

    saved_head = HeadOptions("step", "none")
    assert _completed(HeadOptions(None, "argmax"), saved_head) == HeadOptions("step", "argmax")
    assert _completed(HeadOptions("last"), saved_head) == HeadOptions("last")
    assert _completed(None, saved_head) == saved_head


def test_a_key_chooses_between_two_networks(tmp_path):
    (model, x, wanted), (other, _, _) = net(), net()
    content = {"net": other.state_dict(), "ema": {"shadow": model.state_dict()}}
    torch.save(content, tmp_path / "m.pt")
    for key in ("ema", "shadow", "ema.shadow"):
        assert_same(read_file(tmp_path / "m.pt", key=key).run(x), wanted)


def test_only_a_prefix_is_compiled(tmp_path):
    model, x, wanted = net()
    state = {f"module.model.{name}": value for name, value in model.state_dict().items()}
    state["module.model.attn.weight"] = state["module.model.lstm2.weight_ih_l0"] = torch.ones(3, 3)
    torch.save(state, tmp_path / "m.pt")
    found = read_file(tmp_path / "m.pt", only=["lstm", "model.fc."])
    assert_same(found.run(x), wanted)
    assert found.notes[0] == (
        "--only: module.model.attn.weight, module.model.lstm2.weight_ih_l0 are left out"
    )
    alone = read_file(tmp_path / "m.pt", only=["lstm"])
    assert_same(alone.run(x), model.lstm(torch.from_numpy(x))[0].detach().numpy())


def test_compile_takes_a_key_and_prefixes(tmp_path):
    model, _, _ = net()
    torch.save({"a": model.state_dict(), "b": Net().state_dict()}, tmp_path / "m.pt")
    compiled = penstock.compile_checkpoint(
        tmp_path / "m.pt", hardware=Hardware(pes=1), key="a", only=["lstm"]
    )
    assert "--only: fc.bias, fc.weight are left out" in compiled.report["notes"]


def shapes(*sizes):
    return {"lstm.weight_ih_l0": torch.ones(4, 2), "x.weight": torch.ones(sizes)}


CHOOSE = "choose one with --key NAME"
REFUSED = {
    "two networks": (
        {"net": shapes(1), "ema": shapes(2)}, {},
        f"2 dictionaries in the file hold a network: net, ema (m.pt); hint: {CHOOSE}",
    ),
    "layers in another dictionary": (
        {"encoder": shapes(1), "fc": {"weight": torch.ones(2, 3)}}, {},
        "the file holds encoder and, apart from it, layers in fc (m.pt); hint: --key encoder "
        "compiles that alone; else save one state dict of the whole model",
    ),
    "a key that is not there": (
        {"net": shapes(1)}, {"key": "model"},
        "there is no dictionary under the key model (m.pt); hint: give one of net",
    ),
    "a key without need": (
        shapes(1), {"key": "model"},
        "there is no dictionary under the key model (m.pt); "
        "hint: leave out --key: the file holds one dictionary",
    ),
    "a key that is there twice": (
        {"a": {"net": shapes(1)}, "b": {"net": shapes(2)}}, {"key": "net"},
        "there are 2 dictionaries under the key net (m.pt); hint: give one of a.net, b.net",
    ),
    "a prefix that is not there": (
        shapes(1), {"only": ["rnn"]},
        "there is nothing under rnn (m.pt); hint: the file has lstm, x",
    ),
    "a part of a name": (
        shapes(1), {"only": ["ls"]},
        "there is nothing under ls (m.pt); hint: the file has lstm, x",
    ),
    "code in place of the network": (
        {"state_dict": Executes()}, {},
        "the file holds Python objects, which could run code and so are not loaded (m.pt); "
        "hint: save it with torch.save(model.state_dict(), path)",
    ),
    "code in place of a weight": (
        {"weight_ih_l0": torch.ones(4, 2), "weight_hh_l0": Executes()}, {},
        "the file holds Python objects, which could run code and so are not loaded (m.pt); "
        "hint: save it with torch.save(model.state_dict(), path)",
    ),
    "a dynamically quantized module": (
        shapes(1) | {"fc._packed_params.dtype": torch.qint8}, {},
        "fc._packed_params.dtype belongs to a dynamically quantized module (m.pt); hint: compile "
        "the float module that it was made from; Penstock quantizes by itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_clear_is_refused(case, tmp_path, monkeypatch):
    content, options, line = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    torch.save(content, "m.pt")
    with pytest.raises(PenstockError) as caught:
        read_file(tmp_path / "m.pt", **options)
    assert caught.value.line().replace(f"{tmp_path}/", "") == line
    assert not (tmp_path / "executed").exists()


def test_an_object_beside_the_network_is_never_made(tmp_path, monkeypatch):
    model, x, wanted = net()
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": model.state_dict(), "callback": Executes()}, "m.pt")
    assert_same(read_file(tmp_path / "m.pt").run(x), wanted)
    assert not (tmp_path / "executed").exists()


def test_dictionaries_nested_without_end_are_refused(tmp_path):
    content = {"net": shapes(1)}
    for _ in range(200):
        content = {"": content}
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(PenstockError, match="is a dict, not a tensor"):
        read_checkpoint(tmp_path / "m.pt")
