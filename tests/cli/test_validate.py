"""--validate and --strict; what compile, run and check say of values out of range."""

from pathlib import Path

import numpy as np
import pytest
from cli.given import CELLS, INPUTS, PES, compile_to, lstm_tensors, run_words
from safetensors.numpy import save_file


def validation(**arrays):
    np.savez("v.npz", **arrays)
    return "--validate", "v.npz"


def test_a_compile_ends_with_the_error_against_the_float_network(penstock, work):
    done = compile_to(penstock, "out")
    assert done.status == 0, done
    assert "error against the float network, on synthetic, normally distributed frames" in done.out
    assert "tensors that cost most: " in done.out and "out of range: none of " in done.out


def test_a_compile_compares_on_the_frames_it_is_given(penstock, work):
    done = compile_to(penstock, "out", "--calibration", "x.npy")
    assert "on calibration frames: 2 sequences, 10 steps" in done.out
    arrays = {"x": np.zeros((3, 4, INPUTS)), "lengths": np.array([4, 2, 1])}
    done = compile_to(penstock, "out", "--calibration", "x.npy", *validation(**arrays))
    assert "on validation frames: 3 sequences, 7 steps" in done.out


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"frames": np.zeros(3)}, "there is no x (v.npz); hint: save it with numpy.savez("),
        ({"x": np.zeros((2, INPUTS)), "z": np.zeros(2), "a": np.zeros(2)}, "there is a, z (v.npz)"),
        ({"x": np.zeros((2, INPUTS + 1))}, "frames of shape (2, 5) do not fit a network of 4 inp"),
        ({"x": np.zeros((2, INPUTS)), "lengths": np.array([3])}, "lengths must be 1 integers from"),
        ({"x": np.full((2, INPUTS), np.nan)}, "a frame has NaN or infinite values (v.npz)"),
    ],
)
def test_a_validation_file_that_does_not_fit_is_refused(arrays, message, refused):
    words = validation(**arrays)
    assert refused("compile", "model.safetensors", "-o", "out", *PES, *words).startswith(message)


def test_one_array_is_no_validation_file(refused):
    line = refused(
        "compile", "model.safetensors", "-o", "out", *PES, "--validate", "x.npy"
    )  # fmt: skip
    assert line == "the file holds one array (x.npy); hint: save them with numpy.savez"


def test_of_quantities_the_greatest_decides_nothing(penstock, work):
    head = {"weight": np.eye(3, CELLS), "bias": np.zeros(3)}
    tensors = lstm_tensors() | {f"fc.{name}": value for name, value in head.items()}
    save_file({name: np.float32(value) for name, value in tensors.items()}, "head.safetensors")
    words = ["compile", "head.safetensors", *PES, "--head", "step"]
    assert "decisions (the greatest of 3 outputs)" in penstock(*words, "-o", "out").out
    done = penstock(*words, "-o", "out", "--regression")
    assert done.status == 0 and "decisions" not in done.out and "largest error" in done.out
    done = penstock(*words, "-o", "out", "--regression", "--head-activation", "argmax")
    assert "decisions (the label)" in done.out


def test_strict_refuses_what_is_warned_of_and_writes_nothing(refused, penstock):
    words = ["compile", "model.safetensors", "-o", "out", *PES, "--weight-bits", "2"]
    line = refused(*words, "--strict")
    assert line.startswith("the outputs' RMS error is ") and not Path("out").exists()
    with pytest.warns(UserWarning, match="the outputs' RMS error is "):
        assert penstock(*words).status == 0
    assert penstock(*words[:-2], "--strict").status == 0


def test_a_run_says_that_nothing_was_out_of_range(penstock, project, work):
    np.save(work / "x.npy", np.zeros((3, INPUTS)))
    assert "no value was out of range" in penstock(*run_words()).out


def test_a_state_that_does_not_fit_is_named(penstock, project):
    np.savez("s.npz", h_0=np.zeros((1, 2, CELLS)), c_0=np.full((1, 2, CELLS), 1e4))
    with pytest.warns(UserWarning, match=r"l0.c \(given state\): 12 of 12 values"):
        done = penstock(*run_words(), "--state", "s.npz")
    assert "out of range and cut off: l0.c (given state): 12 of 12 values" in done.out


def test_an_npz_of_one_array_serves_where_one_is_wanted(penstock, project, work):
    np.savez(work / "one.npz", np.load(work / "x.npy"))
    done = penstock("run", "project", "-i", "one.npz", "-o", "z.npy")
    assert done.status == 0, done
    assert penstock(*run_words()).status == 0
    assert Path("y.npy").read_bytes() == Path("z.npy").read_bytes()


def test_a_check_names_what_is_out_of_range_in_ones_own_sequences(
    cpp_flags, penstock, project, work
):
    np.save(work / "x.npy", np.full((1, 2, INPUTS), 1e4))
    with pytest.warns(UserWarning, match=r"x \(input frame\): 8 of 8 values"):
        done = penstock("check", project, "-i", "x.npy", "--steps", 1)
    assert (
        done.status == 0 and "x.npy: out of range and cut off: x (input frame): 8 of 8" in done.out
    )
    assert "values were out of range in our own calls, as is meant" in done.out
