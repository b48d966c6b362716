"""Arrays that do not fit: for calibration, and as frames, lengths and states of a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli.given import CELLS, INPUTS, PES, Executes, assert_says

from penstock_runtime.batches import Results
from penstock_runtime.engines import UnavailableError
from penstock_runtime.engines.native import library

FILES = {
    "missing": (
        lambda path: None,
        "the file can't be read: No such file or directory (f.npy); hint: check the path",
    ),
    "a folder": (
        Path.mkdir, "the file can't be read: Is a directory (f.npy); hint: check the path",
    ),
    "empty": (lambda path: path.write_bytes(b""), "no whole file"),
    "text": (lambda path: path.write_text("1,2,3\n"), "no whole file"),
    "truncated": (
        lambda path: (np.save(path, np.ones((9, INPUTS))), os.truncate(path, 200)),
        "no whole file",
    ),
    "objects": (
        lambda path: np.save(path, np.array([Executes(), 1], dtype=object), allow_pickle=True),
        "no whole file",
    ),
    "several arrays": (
        lambda path: np.savez(path.open("wb"), x=np.ones((3, INPUTS)), y=np.ones(2)),
        "the file holds 2 arrays: x, y (f.npy); hint: save one with numpy.save",
    ),
    "a cut zip": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40)), "no whole file"),
}  # fmt: skip
NO_WHOLE_FILE = "not a complete NumPy file of numbers (f.npy); hint: save it with numpy.save"
FIT = f"give (steps, {INPUTS}) or (sequences, steps, {INPUTS})"
FRAMES = {
    "of another width": (
        np.ones((3, 5)),
        f"frames of shape (3, 5) do not fit a network of 4 inputs (*); hint: {FIT}",
    ),
    "of one dimension": (
        np.ones(4), f"frames of shape (4,) do not fit a network of 4 inputs (*); hint: {FIT}",
    ),
    "of four dimensions": (
        np.ones((1, 1, 3, 4)),
        f"frames of shape (1, 1, 3, 4) do not fit a network of 4 inputs (*); hint: {FIT}",
    ),
    "one number": (
        np.array(3.0), f"frames of shape () do not fit a network of 4 inputs (*); hint: {FIT}",
    ),
    "words": (np.full((3, 4), "one"), "frames of type <U3 are not numbers (*"),
    "truth values": (np.ones((3, 4), dtype=bool), "frames of type bool are not numbers (*"),
    "complex": (np.ones((3, 4), dtype=complex), "frames of type complex128 are not numbers (*"),
    "records": (
        np.zeros((3, 4), dtype=[("a", "f4")]), "frames of type [('a', '<f4')] are not numbers (*",
    ),
    "times": (np.zeros((3, 4), dtype="M8[s]"), "frames of type datetime64[s] are not numbers (*"),
    "NaN": (np.full((3, 4), np.nan), "a frame has NaN or infinite values (*"),
    "infinity": (np.full((3, 4), np.inf, dtype="f2"), "a frame has NaN or infinite values (*"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("use", ["calibration", "input", "lengths"])
def test_a_file_that_is_no_array_is_refused(case, use, refused, project):
    write, message = FILES[case]
    write(Path("f.npy"))
    words = {
        "calibration": [
            "compile",
            "model.safetensors",
            "-o",
            "out",
            *PES,
            "--calibration",
            "f.npy",
        ],
        "input": ["run", "project", "-i", "f.npy", "-o", "y.npy"],
        "lengths": ["run", "project", "-i", "x.npy", "-o", "y.npy", "--lengths", "f.npy"],
    }[use]
    assert refused(*words) == (NO_WHOLE_FILE if message == "no whole file" else message)
    assert not Path("executed").exists()


@pytest.mark.parametrize("case", FRAMES)
def test_frames_for_calibration_are_refused(case, refused):
    frames, message = FRAMES[case]
    np.save("f.npy", frames)
    words = ["compile", "model.safetensors", "-o", "out", *PES, "--calibration", "f.npy"]
    assert_says(refused(*words), message.replace("(*)", "(f.npy)"))


def test_calibration_without_frames_is_refused(refused):
    np.save("f.npy", np.ones((0, 4)))
    assert refused(
        "compile", "model.safetensors", "-o", "out", *PES, "--calibration", "f.npy"
    ) == "there are no frames (f.npy); hint: give at least one step"  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_frames_for_run_are_refused(case, refused, project):
    frames, message = FRAMES[case]
    np.save("f.npy", frames)
    line = refused("run", "project", "-i", "f.npy", "-o", "y.npy")
    assert_says(line, message.replace("(*)", "(input for project)"))


INTEGERS = "the frames are integers (int16) (input for project); hint: give floats, or --raw-input "


@pytest.mark.parametrize("command", ["run", "check"])
def test_integers_are_refused_unless_they_are_called_raw(command, refused, project):
    np.save("f.npy", np.ones((3, 4), dtype=np.int16))
    output = ["-o", "y.npy"] if command == "run" else []
    line = refused(command, "project", "-i", "f.npy", *output)
    assert line == INTEGERS + "if these are raw integers"


def test_real_numbers_are_refused_where_raw_integers_were_promised(refused, project):
    np.save("f.npy", np.ones((3, 4)))
    line = refused("run", "project", "-i", "f.npy", "-o", "y.npy", "--raw-input")
    assert line == (
        "frames of type float64 are no raw integers (input for project); "
        "hint: leave out --raw-input"
    )


def test_integers_for_calibration_are_refused(refused):
    np.save("f.npy", np.ones((3, 4), dtype=np.uint8))
    line = refused("compile", "model.safetensors", "-o", "out", *PES, "--calibration", "f.npy")
    assert line == (
        "the frames are integers (uint8), but calibration takes real numbers (f.npy); hint: give "
        "floats: .astype(float), if the integers are what the network is to see"
    )


@pytest.mark.parametrize("option", ["lengths", "state"])
def test_what_belongs_to_calibration_frames_is_refused_without_them(option, refused):
    np.save("f.npy", np.array([3]))
    np.savez("s.npz", h_0=np.zeros((1, 1, CELLS)))
    file = {"lengths": "f.npy", "state": "s.npz"}[option]
    line = refused(
        "compile", "model.safetensors", "-o", "out", *PES, f"--calibration-{option}", file
    )
    assert line == (
        "calibration lengths or states were given without frames (model.safetensors); "
        "hint: give the frames as well (--calibration)"
    )


@pytest.fixture
def narrow_project(penstock, work):
    """Inputs of 4 bits, so that int8 can be out of range."""
    done = penstock("compile", "model.safetensors", "-o", "narrow", *PES, "--input-bits", 4)
    assert done.status == 0, done
    return work / "narrow"


@pytest.mark.parametrize(
    "raw",
    [
        np.full((3, 4), 8, dtype=np.int8), np.full((3, 4), -9, dtype=np.int8),
        np.full((3, 4), 200, dtype=np.uint8), np.full((3, 4), 2**64 - 1, dtype=np.uint64),
    ],
    ids=["8", "-9", "200", "2**64-1"],
)  # fmt: skip
def test_raw_integers_out_of_range_are_refused(raw, refused, narrow_project):
    np.save("f.npy", raw)
    line = refused("run", "narrow", "-i", "f.npy", "-o", "y.npy", "--raw-input")
    assert line.startswith("raw integers outside -8..7 (input for narrow); hint: the input type is")
    assert line.endswith("; give floats to have them quantized")


def test_real_numbers_out_of_range_saturate_and_are_told(penstock, narrow_project):
    np.save("f.npy", np.full((3, 4), 1e308))
    with pytest.warns(UserWarning, match=r"x \(input frame\): 12 of 12 values, first at step 0"):
        done = penstock("run", "narrow", "-i", "f.npy", "-o", "y.npy")
    assert (done.status, done.err) == (0, "")
    assert "out of range and cut off: x (input frame): 12 of 12 values" in done.out
    np.save("f.npy", np.full((3, 4), 7, dtype=np.int8))
    assert penstock("run", "narrow", "-i", "f.npy", "-o", "z.npy", "--raw-input").status == 0
    assert Path("y.npy").read_bytes() == Path("z.npy").read_bytes()


@pytest.mark.parametrize(
    "shape", [(0, 4), (3, 0), (0, 5, 4), (2, 0, 4)], ids=lambda shape: "x".join(map(str, shape))
)
def test_nothing_to_run_is_refused(shape, refused, project):
    np.save("f.npy", np.ones(shape))
    line = refused("run", "project", "-i", "f.npy", "-o", "y.npy")
    assert line == (
        f"frames of shape {shape} do not fit a network of 4 inputs (input for project); hint: {FIT}"
    )


@pytest.mark.parametrize(
    "lengths",
    [[5], [5, 5, 5], [[5, 5]], [6, 5], [-1, 5], [5.0, 5.0], [True, True], [2**40, 1]],
    ids=str,
)
def test_lengths_that_do_not_fit_are_refused(lengths, refused, project):
    np.save("lengths.npy", np.array(lengths))
    line = refused("run", "project", "-i", "x.npy", "-o", "y.npy", "--lengths", "lengths.npy")
    assert line == (
        "lengths must be 2 integers from 0 to 5 (lengths for project); "
        "hint: give one length for each sequence"
    )


NEEDS = "the initial state needs {} of shape (1, sequences, n) (state.npz); hint: save it with "
STATES = {
    "c_0 is missing": ({"h_0": (1, 2, CELLS)}, NEEDS.format("c_0")),
    "h_0 is missing": ({"c_0": (1, 2, CELLS)}, NEEDS.format("h_0")),
    "nothing of ours": ({"x": (3,)}, "the states are ['l0.c', 'l0.y'], not ['x'] (state.npz); "),
    "two dimensions": ({"h_0": (2, CELLS), "c_0": (1, 2, CELLS)}, "h_0 has shape (2, 1, 6), not "),
    "two layers": (
        {"h_0": (2, 2, CELLS), "c_0": (2, 2, CELLS)},
        "h_0 has shape (2, 2, 6), not (1, sequences, n) (state.npz); hint: give (layers * ",
    ),
    "another number of sequences": (
        {"h_0": (1, 3, CELLS), "c_0": (1, 3, CELLS)},
        "state l0.y has shape (3, 6), not (2, 6) (initial state for project); hint: ",
    ),
    "another number of cells": (
        {"h_0": (1, 2, CELLS), "c_0": (1, 2, CELLS + 1)},
        "state l0.c has shape (2, 7), not (2, 6) (initial state for project); hint: ",
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_that_does_not_fit_is_refused(case, refused, project):
    shapes, message = STATES[case]
    np.savez("state.npz", **{name: np.zeros(shape) for name, shape in shapes.items()})
    line = refused("run", "project", "-i", "x.npy", "-o", "y.npy", "--state", "state.npz")
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "state l0.y has NaN or infinite values (initial state for project); hint: "),
        (np.inf, "state l0.y has NaN or infinite values (initial state for project); hint: "),
        (40000, "state l0.y is outside s16.15 (initial state for project); hint: "),
        (2**64 - 1, "state l0.y is outside s16.15 (initial state for project); hint: "),
        ("a", "state l0.y is of type <U1, not numbers (initial state for project); hint: "),
    ],
    ids=["NaN", "infinity", "beyond the type", "beyond int64", "a letter"],
)
def test_a_state_of_impossible_values_is_refused(value, message, refused, project):
    values = np.full((1, 2, CELLS), value)
    np.savez("state.npz", h_0=values, c_0=np.zeros((1, 2, CELLS)))
    line = refused("run", "project", "-i", "x.npy", "-o", "y.npy", "--state", "state.npz")
    assert line.startswith(message)


@pytest.mark.parametrize("case", ["missing", "text", "one array", "objects", "cut"])
def test_a_state_file_is_refused(case, refused, project):
    path = Path("state.npz")
    if case == "text":
        path.write_text("h_0")
    elif case == "one array":
        np.save(path.open("wb"), np.ones(3))
    elif case != "missing":
        h_0 = np.array([Executes()], dtype=object) if case == "objects" else np.ones((1, 2, 6))
        np.savez(path, h_0=h_0, c_0=np.ones((1, 2, CELLS)))
    if case == "cut":
        path.write_bytes(path.read_bytes()[:400] + b"!" + path.read_bytes()[401:])
    refused("run", "project", "-i", "x.npy", "-o", "y.npy", "--state", "state.npz")
    assert not Path("executed").exists()


def test_more_steps_than_the_kernel_buffers_are_refused(refused, compiled_projects):
    shutil.copytree(compiled_projects / "both", "both")
    np.save("f.npy", np.ones((10, INPUTS)))
    assert refused("run", "both", "-i", "f.npy", "-o", "y.npy") == (
        "10 steps are more than the 9 that the kernel can buffer (input for both); "
        "hint: compile with a larger --max-steps"
    )


def test_states_that_are_not_one_array_go_by_their_names(penstock, compiled_projects):
    shutil.copytree(compiled_projects / "unequal", "unequal")
    words = ["run", "unequal", "-i", "x.npy", "-o", "y.npy"]
    assert penstock(*words, "--state-output", "state.npz").status == 0
    with np.load("state.npz") as final:
        assert final["l0.y"].shape == (2, 6) and final["l1.c"].shape == (2, 4)
    assert penstock(*words, "--state", "state.npz", "--state-output", "next.npz").status == 0
    with np.load("state.npz") as first, np.load("next.npz") as final:
        assert first.files == final.files


def test_an_output_that_cant_be_written_leaves_no_other(refused, project):
    words = ["run", "project", "-i", "x.npy", "-o", "y.npy", "--state-output"]
    assert refused(*words, "none/state.npz") == (
        "the file can't be written: No such file or directory (none/state.npz); "
        "hint: choose another place"
    )
    assert refused(*words, "project") == (
        "the output is not a file (project); hint: choose another place"
    )
    assert refused(*words, "./y.npy").startswith("both results would go to the same file (y.npy)")


def test_an_output_that_is_no_file_is_not_replaced(refused, project, work):
    os.mkfifo("pipe")
    Path("folder").mkdir()
    for name in ("pipe", "folder", ".", "project"):
        line = refused_keeping(work, refused, "run", "project", "-i", "x.npy", "-o", name)
        assert line == f"the output is not a file ({name}); hint: choose another place"


def refused_keeping(work, refused, *words):
    """``tree`` takes a pipe for a folder; so look at it here."""
    line = refused(*words)
    assert (work / "pipe").is_fifo()
    return line


def test_a_full_disk_leaves_the_old_output(refused, project, monkeypatch):
    def save(results, dtype):
        results._file.write(b"half")
        raise OSError(28, "No space left on device")

    Path("y.npy").write_bytes(b"old")
    monkeypatch.setattr(Results, "_begin", save)
    assert refused("run", "project", "-i", "x.npy", "-o", "y.npy") == (
        "the file can't be written: No space left on device (y.npy); hint: choose another place"
    )


def test_an_interrupt_leaves_the_old_output_and_nothing_beside_it(penstock, project, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    Path("y.npy").write_bytes(b"old")
    before = set(Path().iterdir())
    monkeypatch.setattr(Results, "_put", interrupted)
    assert penstock("run", "project", "-i", "x.npy", "-o", "y.npy").status == 130
    assert Path("y.npy").read_bytes() == b"old" and set(Path().iterdir()) == before


def test_the_engine_of_a_run_is_the_one_that_is_asked_for(penstock, refused, project, monkeypatch):
    words = ["run", "project", "-i", "x.npy", "-o", "y.npy", "--engine"]
    results = []
    for engine in ("auto", "native", "numpy"):
        assert penstock(*words, engine).status == 0
        results.append(Path("y.npy").read_bytes())
    assert len(set(results)) == 1
    unavailable = UnavailableError("there is none")
    monkeypatch.setattr(library, "attempt", lambda flags: unavailable)
    assert refused(*words, "native") == (
        "the native engine can't be had: there is none (engine); hint: take auto, or numpy"
    )
    assert penstock(*words, "numpy").status == 0
    assert refused(*words, "warp") == (
        "unknown engine 'warp' (engine); hint: choose auto, native, numpy"
    )


def test_sequences_to_check_that_do_not_fit_are_refused(refused, project, work):
    np.save(work / "x.npy", np.zeros((2, 3, INPUTS + 1)))
    assert "do not fit a network" in refused("check", project, "-i", work / "x.npy")
    np.save(work / "n.npy", np.array([3, 3]))
    line = refused("check", project, "--lengths", work / "n.npy")
    assert line == "--lengths was given without --input (check); hint: give both, or neither"


def test_a_check_says_how_many_calls_ones_own_sequences_made(penstock, project, work):
    np.save(work / "x.npy", np.zeros((3, 2, INPUTS)))
    done = penstock("check", project, "-i", work / "x.npy", "--steps", 1)
    assert done.status == 0 and "compared in 17 calls" in done.out, done
