"""Files whose names, headers or values promise what can't be: one line, nothing written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from cli.given import CELLS, INPUTS, PES, compile_to, lstm_tensors
from safetensors.numpy import save_file

from penstock import PenstockError
from penstock.arrays import read_array

LSTM = lstm_tensors()
RENAME = "rename it and save again"
DIVERGED = "did training diverge? use an earlier checkpoint"


def wide(value):
    """The checkpoint in float64, its first matrix filled with a value."""
    return LSTM | {"weight_ih_l0": np.full((4 * CELLS, INPUTS), value)}


CHECKPOINTS = {
    "braces": (
        {f"net{{0}}.{name}": value for name, value in LSTM.items()},
        "a tensor has a name with braces or control characters ('net{0}.bias_hh_l0') "
        f"(m.safetensors); hint: {RENAME}",
    ),
    "5,000 digits": (
        LSTM | {"weight_ih_l" + "9" * 5000: LSTM["weight_ih_l0"]},
        f"a tensor has a name of 5011 characters (m.safetensors); hint: {RENAME}",
    ),
    "25 digits": (
        LSTM | {"weight_ih_l" + "9" * 25: LSTM["weight_ih_l0"]},
        f"a tensor has a name of an impossible layer (weight_ih_l{'9' * 25}) "
        f"(m.safetensors); hint: {RENAME}",
    ),
    "denormal weights": (
        wide(1e-310),
        "weight_ih_l0 has no magnitude greater than 1e-310 (m.safetensors); "
        "hint: was it damaged? set it to zero if it is meant to be",
    ),
    "huge weights": (
        wide(1e200), f"weight_ih_l0 reaches 1e+200 (m.safetensors); hint: {DIVERGED}",
    ),
    "huge negative weights among small ones": (
        LSTM | {"weight_hh_l0": np.where(np.eye(4 * CELLS, CELLS) > 0, -1e200, 0.1)},
        f"weight_hh_l0 reaches 1e+200 (m.safetensors); hint: {DIVERGED}",
    ),
    "biases whose sum overflows": (
        LSTM | {f"bias_{kind}_l0": np.full(4 * CELLS, 1.7e308) for kind in ("ih", "hh")},
        f"bias_hh_l0 reaches 1.7e+308 (m.safetensors); hint: {DIVERGED}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_impossible_names_and_values_are_refused(case, refused, work):
    tensors, message = CHECKPOINTS[case]
    save_file(tensors, work / "m.safetensors")
    assert refused("compile", "m.safetensors", "-o", "out", *PES) == message


SIGNALLING = np.full(4 * CELLS, 0x7FA00000, dtype=np.uint32).view(np.float32)


def test_signalling_nans_are_refused_without_a_warning_of_numpy(refused, work):
    save_file(lstm_tensors() | {"bias_hh_l0": SIGNALLING}, work / "m.safetensors")
    np.save("f.npy", SIGNALLING[:INPUTS].reshape(1, INPUTS))
    message = refused("compile", "m.safetensors", "-o", "out", *PES)
    assert message.startswith(f"bias_hh_l0 has {4 * CELLS} NaN or infinite values (m.safetensors)")
    message = refused("compile", "model.safetensors", "-o", "out", "--calibration", "f.npy", *PES)
    assert message.startswith("a frame has NaN or infinite values (f.npy)")


@pytest.mark.parametrize("peak", [1e-310, 1e-30, 1e30])
def test_calibration_frames_of_any_finite_size_are_taken_without_a_warning(peak, penstock, work):
    np.save("f.npy", np.full((3, INPUTS), peak))
    done = compile_to(penstock, "out", "--calibration", "f.npy")
    assert (done.status, done.err) == (0, "")


def test_calibration_frames_beyond_every_number_format_are_refused(refused, work):
    np.save("f.npy", np.full((3, INPUTS), 1e300))
    message = refused("compile", "model.safetensors", "-o", "out", "--calibration", "f.npy", *PES)
    assert message.startswith("these number formats can't be combined: frac -982 is outside ")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["-o", "y.csv"], "results can't be written as .csv (y.csv); hint: name it y.npy; "),
        (["-o", "y.npy", "--state-output", "s.npy"],
         "results can't be written as .npy (s.npy); hint: name it s.npz; "),
    ],
)  # fmt: skip
def test_results_of_another_kind_are_refused(options, line, refused, project):
    assert refused("run", "project", "-i", "x.npy", *options) == f"{line}numpy.load reads it"


def test_a_result_without_a_suffix_is_a_numpy_file(penstock, project):
    assert penstock("run", "project", "-i", "x.npy", "-o", "y").status == 0
    assert np.load("y").shape == (2, 5, CELLS)


def test_an_npz_of_one_array_is_that_array(penstock, project):
    np.savez("x.npz", frames=np.load("x.npy"))
    for name in ("x.npy", "x.npz"):
        assert penstock("run", "project", "-i", name, "-o", f"{name}.y.npy").status == 0
    assert Path("x.npy.y.npy").read_bytes() == Path("x.npz.y.npy").read_bytes()


def claiming(shape, kind="<f8"):
    """An .npy file of a few bytes whose header claims a shape."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"
    padded = header.ljust(128 - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + bytes(64)


CLAIMS = {
    "10^12 frames": (10**12, INPUTS), "2^100 frames": (2**100, INPUTS), "-1 frames": (-1, INPUTS),
    "one frame more": (3, INPUTS),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(case, suffix, refused, work):
    content = claiming(CLAIMS[case])
    path = work / f"f{suffix}"
    path.write_bytes(content)
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content)
    line = refused("compile", "model.safetensors", "-o", "out", *PES, "--calibration", path.name)
    hint = "save it with numpy.save"
    assert line == f"not a complete NumPy file of numbers ({path.name}); hint: {hint}"


def test_a_member_that_claims_as_many_elements_as_it_has_bytes_is_refused_unread(work, monkeypatch):
    """A number has more than one byte; the archive is not loaded to find that out."""
    content = claiming((10, INPUTS))
    with zipfile.ZipFile("f.npz", "w") as archive:
        archive.writestr("x.npy", content)
    assert 10 * INPUTS <= len(content) < 10 * INPUTS * 8
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(PenstockError, match=r"not a complete NumPy file of numbers"):
        read_array(Path("f.npz"))


def test_an_old_header_gives_no_warning_before_the_error(refused, project):
    np.save("f.npy", np.ones((3, INPUTS + 1)))
    old = Path("f.npy").read_bytes().replace(b"(3, 5), } ", b"(3L, 5), }")
    Path("f.npy").write_bytes(old)
    line = refused("run", "project", "-i", "f.npy", "-o", "y.npy")
    assert line.startswith("frames of shape (3, 5) do not fit a network of 4 inputs")


def test_the_reason_of_another_library_is_cut_short(refused, work):
    header = ("{" + '"a' * 5000 + '":1}').encode()
    (work / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert len(refused("compile", "m.safetensors", "-o", "out", *PES)) < 400


def test_data_of_one_array_are_refused_by_compress(refused, work):
    pytest.importorskip("torch")
    (work / "net.py").write_text("def make():\n    return None\n")
    line = refused("compress", "net.py:make", "x.npy", "-o", "small.safetensors")
    assert line == "the file holds one array (x.npy); hint: save them with numpy.savez"
