"""Files that are no checkpoint of torch, and the way from each: a line of advice."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from penstock import PenstockError
from penstock.frontend import read_checkpoint

torch = pytest.importorskip("torch")
KERAS = "convert it to .onnx, for example with tf2onnx"
ARRAYS = "save its arrays with safetensors.numpy.save_file"
SAVE = "save it with torch.save(model.state_dict(), path)"


def refusal(path):
    with pytest.raises(PenstockError) as caught:
        read_checkpoint(path)
    return caught.value.line().replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("m.h5", b"\x89HDF\r\n\x1a\n", KERAS), ("m.keras", b"PK\x03\x04abc", KERAS),
        ("m.tflite", b"\x1c\0\0\0TFL3", KERAS), ("m.pb", b"\x08\x01", KERAS),
        ("m.pkl", pickle.dumps({"a": 1.0}), ARRAYS),
        ("m.mat", b"MATLAB", "give a .pt state dict, a .safetensors or an .onnx file"),
    ],
)  # fmt: skip
def test_the_way_from_another_format_is_told(tmp_path, name, content, hint):
    (tmp_path / name).write_bytes(content)
    suffix = name.removeprefix("m")
    assert (
        refusal(tmp_path / name)
        == f"checkpoints can't be read from {suffix} ({name}); hint: {hint}"
    )


def test_arrays_of_numpy_are_no_checkpoint(tmp_path):
    np.savez(tmp_path / "m.npz", a=np.zeros(3))
    assert refusal(tmp_path / "m.npz").endswith(f"(m.npz); hint: {ARRAYS}")


def test_torch_may_have_written_any_name(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "m.pkl")
    assert read_checkpoint(tmp_path / "m.pkl")["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "the file is empty (m.pt); hint: was it cut short? copy or save it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
         "the file is a pointer of Git LFS, not the checkpoint (m.pt); hint: git lfs pull"),
        (b"<!DOCTYPE html>",
         f"the file is damaged, or was not written by torch.save (m.pt); hint: {SAVE}"),
    ],
)  # fmt: skip
def test_what_a_download_may_leave_is_named(tmp_path, content, line):
    (tmp_path / "m.pt").write_bytes(content)
    assert refusal(tmp_path / "m.pt") == line


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_scripted_file_has_weights_to_save(tmp_path):
    torch.jit.script(torch.nn.LSTM(3, 4)).save(tmp_path / "m.pt")
    assert refusal(tmp_path / "m.pt") == (
        "the file is a TorchScript archive (m.pt); "
        "hint: save its weights: torch.save(torch.jit.load(path).state_dict(), other)"
    )
