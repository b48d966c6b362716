"""What ``penstock.compile`` takes, and how it refuses the rest."""

from __future__ import annotations

import numpy as np
import pytest

import penstock
from penstock import Hardware, PenstockError

torch = pytest.importorskip("torch")
from frontend.small_net import Net  # noqa: E402

nn = torch.nn
HARDWARE = Hardware(pes=2)
FRAMES = np.random.default_rng(3).normal(size=(2, 5, 3)).astype(np.float32)


@pytest.fixture
def wanted():
    """The weights and formats that every way to give the network must lead to."""
    return tensors_of(penstock.compile(Net(), FRAMES, HARDWARE))


def tensors_of(compiled):
    return compiled.files["graph.safetensors"]


def test_a_path_is_a_checkpoint(wanted, tmp_path):
    for path in (tmp_path / "m.pt", str(tmp_path / "m.pt")):
        torch.save(Net().state_dict(), path)
        assert tensors_of(penstock.compile(path, FRAMES, HARDWARE)) == wanted


def test_a_state_dict_is_compiled_as_its_file_is(wanted):
    state = Net().state_dict()
    arrays = {name: value.numpy() for name, value in state.items()}
    assert tensors_of(penstock.compile(state, FRAMES, HARDWARE)) == wanted
    assert tensors_of(penstock.compile(arrays, FRAMES, HARDWARE)) == wanted


@pytest.mark.parametrize("kind", ["requires grad", "a list", "bfloat16", "sparse"])
def test_frames_may_be_what_torch_has(kind):
    frames = torch.from_numpy(FRAMES).bfloat16().float()
    given = {
        "requires grad": frames.clone().requires_grad_(), "a list": frames.tolist(),
        "bfloat16": frames.bfloat16(), "sparse": frames.to_sparse(),
    }[kind]  # fmt: skip
    expected = tensors_of(penstock.compile(Net(), frames.numpy(), HARDWARE))
    assert tensors_of(penstock.compile(Net(), given, HARDWARE)) == expected


def test_a_module_may_be_of_bfloat16():
    narrow = Net().bfloat16()
    assert tensors_of(penstock.compile(narrow, FRAMES, HARDWARE)) == tensors_of(
        penstock.compile(narrow.float(), FRAMES, HARDWARE)
    )


def scripted_inside():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.jit.script(nn.LSTM(3, 4))

    return Outer()


FLOATS = "compile the float module that it was made from; Penstock quantizes by itself"
SCRIPT = "compile the module that was scripted or traced, or its state_dict()"
GIVE = "give a torch.nn.Module, its state dict, or the path of a checkpoint"
REFUSED = {
    "scripted": (
        lambda: torch.jit.script(nn.LSTM(3, 4)),
        "layer (the module itself) is TorchScript, whose forward can't be inspected (LSTM); "
        f"hint: {SCRIPT}",
    ),
    "traced": (
        lambda: torch.jit.trace(nn.LSTM(3, 4), torch.zeros(2, 5, 3)),
        "layer (the module itself) is TorchScript, whose forward can't be inspected (LSTM); "
        f"hint: {SCRIPT}",
    ),
    "scripted inside": (
        scripted_inside,
        f"layer inner is TorchScript, whose forward can't be inspected (Outer); hint: {SCRIPT}",
    ),
    "on the meta device": (
        lambda: nn.LSTM(3, 4, device="meta"),
        "weight_ih_l0 is on the meta device, which holds no values (LSTM); "
        "hint: load the weights first",
    ),
    "a class": (
        lambda: nn.LSTM, "LSTM is a class (compile); hint: give one of it: LSTM(...)",
    ),
    "a number": (lambda: 5, f"an int can't be compiled (compile); hint: {GIVE}"),
    "nothing": (lambda: None, f"None can't be compiled (compile); hint: {GIVE}"),
    "torch.ao's quantizable LSTM": (
        lambda: torch.ao.nn.quantizable.LSTM(3, 4),
        f"layer (the module itself) is an LSTM of torch.ao's quantization (LSTM); hint: {FLOATS}",
    ),
    "dynamically quantized": (
        lambda: torch.ao.quantization.quantize_dynamic(Net().eval(), {nn.Linear}),
        f"layer fc is a Linear of torch.ao's quantization (Net); hint: {FLOATS}",
    ),
    "its state dict": (
        lambda: torch.ao.quantization.quantize_dynamic(Net().eval(), {nn.Linear}).state_dict(),
        "fc._packed_params.dtype belongs to a dynamically quantized module (state dict); "
        f"hint: {FLOATS}",
    ),
    "a lazy layer": (
        lambda: nn.Sequential(nn.LazyLinear(3)),
        "0.weight is of a lazy layer, which has no weights yet (Sequential); "
        "hint: run the module once on frames of the right width",
    ),
    "an empty state dict": (
        lambda: {}, "it contains no tensors (state dict); hint: give model.state_dict()",
    ),
    "a dictionary of words": (
        lambda: {"a": "b"}, "a is of type str (state dict); hint: save it again, as float32",
    ),
    "complex weights": (
        lambda: {"weight_ih_l0": torch.zeros(16, 3, dtype=torch.complex64)},
        "weight_ih_l0 is of type torch.complex64 (state dict); hint: save it again, as float32",
    ),
    "a missing file": (
        lambda: "none.pt",
        "the checkpoint can't be read: No such file or directory (none.pt); hint: check the path",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.torch.jit", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_model_is_refused(case):
    make, line = REFUSED[case]
    given = make()
    with pytest.raises(PenstockError) as caught:
        penstock.compile(given, FRAMES, HARDWARE)
    assert caught.value.line() == line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"hardware": {"pes": 2}}, "hardware is a dict (compile); hint: give a penstock.Hardware"),
        ({"precision": 12}, "precision is an int (compile); hint: give a penstock.Precision"),
        ({"head": "step"}, "head is a str (compile); hint: give a penstock.HeadOptions"),
        ({"calibration": torch.empty(3, 3, device="meta")},
         "the Tensor is on the meta device, which holds no values (calibration); "
         "hint: give real values"),
        ({"calibration": [[1.0], [1.0, 2.0]]},
         "this list can't be read as an array (calibration); "
         "hint: give a NumPy array or a torch tensor"),
        ({"calibration": "frames.npy"},
         "this str can't be read as an array (calibration); hint: read the file: numpy.load(path)"),
    ],
)  # fmt: skip
def test_an_argument_of_another_type_is_refused(arguments, line):
    with pytest.raises(PenstockError) as caught:
        penstock.compile(Net(), **arguments)
    assert caught.value.line() == line


def test_a_module_is_not_read_as_a_file():
    with pytest.raises(PenstockError) as caught:
        penstock.compile_checkpoint(Net())
    assert caught.value.line() == (
        "a Net is not a path (compile_checkpoint); hint: use penstock.compile"
    )
