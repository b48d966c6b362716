"""Saved programs of torch.export: followed as live modules are, and never trusted."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
from frontend.modules import INPUTS, Module, frames, head, lstm  # noqa: E402

import penstock  # noqa: E402
from penstock import HeadOptions, PenstockError  # noqa: E402
from penstock.frontend import from_pt2, is_pt2  # noqa: E402

EXPORTED = (
    "the program was exported for 5 steps; sequences may have any number, and its last step is "
    "taken for theirs"
)
MODULES = {
    "the last step": (lambda: head(lambda m, y: y[:, -1]), None),
    "the mean over the steps": (lambda: head(lambda m, y: torch.relu(y).mean(1)), None),
    "steps first": (lambda: nn.GRU(INPUTS, 7), None),
    "open numbers of sequences": (lambda: head(lambda m, y: y), {0: torch.export.Dim("lanes")}),
}


def saved(path, module, shape=(2, 5, INPUTS), dynamic=None):
    x = torch.randn(shape)
    with torch.no_grad():
        program = torch.export.export(
            module.eval(), (x,), dynamic_shapes=None if dynamic is None else (dynamic,)
        )
    torch.export.save(program, path)
    return path


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize("case", MODULES)
def test_a_program_computes_what_its_module_does(case, tmp_path):
    torch.manual_seed(1)
    make, dynamic = MODULES[case]
    module = make()
    if dynamic is not None:
        module.function = lambda m, x: m.fc(m.lstm(x)[0])
    is_time_major = case == "steps first"
    shape = (5, 2, INPUTS) if is_time_major else (2, 5, INPUTS)
    model = from_pt2(saved(tmp_path / "m.pt2", module, shape))
    x = torch.tensor(frames())
    with torch.no_grad():
        y = module(x.transpose(0, 1) if is_time_major else x)
    expected = (
        (y[0].transpose(0, 1) if is_time_major else y)
        .numpy()
        .reshape(3, -1, 7 if is_time_major else 3)
    )
    assert np.abs(model.run(x.numpy()) - expected).max() < 1e-6
    assert EXPORTED in model.notes and model.batch_first != is_time_major


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_the_content_decides_and_the_command_compiles_it(tmp_path):
    path = saved(tmp_path / "network.bin", head(lambda m, y: y[:, -1]))
    assert is_pt2(path)
    compiled = penstock.compile(path, hardware=penstock.Hardware(pes=1))
    assert [row["kind"] for row in compiled.report["network"]["layers"]] == ["lstm", "pool", "head"]
    with pytest.raises(PenstockError, match="leave out --time-first"):
        from penstock.entry import compile_checkpoint

        compile_checkpoint(path, batch_first=False)
    assert from_pt2(path, HeadOptions("last", "argmax"))["head"].activation == "argmax"


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_too_few_steps_are_refused(tmp_path):
    path = saved(tmp_path / "m.pt2", nn.LSTM(INPUTS, 4, batch_first=True), (2, 2, INPUTS))
    with pytest.raises(PenstockError, match="exported for 2 steps, of which the last is not told"):
        from_pt2(path)


def rewritten(path, change):
    """The archive with one of its records changed."""
    source, target = zipfile.ZipFile(path), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for record in source.infolist():
            archive.writestr(record.filename, change(record.filename, source.read(record)))
    path.write_bytes(target.getvalue())
    return path


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def calls(target):
    def change(name, content):
        if not name.endswith("models/model.json"):
            return content
        program = json.loads(content)
        program["graph_module"]["graph"]["nodes"][-1]["target"] = target
        return json.dumps(program)

    return change


def pickled(name, content):
    if name.endswith("weight_0") or name.endswith("sample_inputs/model.pt"):
        return pickle.dumps(Evil())
    if name.endswith("model_weights_config.json"):
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')
    return content


HOSTILE = {
    "a call of the system": (calls("torch.os.system"), "the program calls 'torch.os.system'"),
    "a file that is opened": (
        calls("torch.ops.aten.from_file.default"),
        "the program calls 'torch.ops.aten.from_file",
    ),
    "a pickle for a weight": (pickled, "which could run code|can't be loaded|calls"),
    "no program": (
        lambda name, content: b"{}" if name.endswith("model.json") else content,
        "the program can't be loaded|not a program",
    ),
    "nested beyond reason": (
        lambda name, content: "[" * 100_000 if name.endswith("model.json") else content,
        "not a program of torch.export",
    ),
}


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_and_runs_nothing(case, tmp_path):
    change, message = HOSTILE[case]
    path = rewritten(saved(tmp_path / "m.pt2", nn.LSTM(INPUTS, 4, batch_first=True)), change)
    with pytest.raises(PenstockError, match=message) as refusal:
        from_pt2(path)
    assert "\n" not in refusal.value.line()


def test_records_greater_than_the_file_are_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt2", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/models/model.json", " " * 10_000_000)
    with pytest.raises(PenstockError, match="records greater than the file"):
        from_pt2(tmp_path / "m.pt2")


def test_nothing_is_unpickled_while_a_program_is_loaded():
    """Whatever the check of the file would let through."""
    from penstock.frontend.follow.saved_program import _plain_only

    content = io.BytesIO()
    torch.save(Evil(), content)
    with _plain_only():
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            torch.load(io.BytesIO(content.getvalue()), weights_only=False)
        with pytest.raises(ValueError, match="which could run code"):
            pickle.loads(pickle.dumps(Evil()))


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_integers_beside_the_frames_are_refused(tmp_path):
    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = lstm()

        def forward(self, x, count):
            return self.lstm(x)[0] / count[:, None, None]

    program = torch.export.export(
        Counted().eval(), (torch.randn(2, 5, INPUTS), torch.tensor([5, 5]))
    )
    torch.export.save(program, tmp_path / "m.pt2")
    with pytest.raises(PenstockError, match="the program takes other integers beside its frames"):
        from_pt2(tmp_path / "m.pt2")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + b"\0" * 60, b"x" * 1000])
def test_damage_is_refused_in_one_line(content, tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(content)
    with pytest.raises(PenstockError, match=r"not a program of torch\.export"):
        from_pt2(path)


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_what_a_program_has_no_layer_for_is_named(tmp_path):
    module = Module(lambda m, x: m.norm(m.lstm(x)[0]), lstm=lstm(), norm=nn.LayerNorm(8))
    with pytest.raises(PenstockError, match="LayerNorm has no layer here"):
        from_pt2(saved(tmp_path / "m.pt2", module))
