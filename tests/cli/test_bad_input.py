"""Bad input: one line that says what and how to mend, exit status 2, and nothing is touched."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.conftest import CELLS, INPUTS, PES, lstm_tensors, tree
from safetensors.numpy import load_file, save_file

import penstock_runtime.project

LSTM = lstm_tensors()
SAVE = "save it with torch.save(model.state_dict(), path)"
AGAIN = "compile the model again"
ANOTHER = "choose another folder"


class Executes:
    """A pickle that runs a command when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


# --- Checkpoints -----------------------------------------------------------------------------


def spoiled_checkpoints():
    """name -> (file, how to write it, the whole message)."""
    halved = lambda make: lambda path: (make(path), os.truncate(path, path.stat().st_size // 2))
    safe = lambda tensors: lambda path: save_file(tensors, path)
    torched = lambda content: lambda path: torch.save(content, path)
    text = lambda content: lambda path: path.write_bytes(content)
    nan = LSTM | {"bias_hh_l0": np.full(4 * CELLS, np.nan, dtype=np.float32)}
    norm = {"norm.weight": np.ones(CELLS, "f4"), "norm.running_mean": np.zeros(CELLS, "f4")}
    damaged = "the file is damaged, or was not written by torch.save"
    objects = "the file holds Python objects, which could run code and so are not loaded"
    rest = "not part of an LSTM, a Linear head or an embedding"
    alone = "save only the LSTM and the Linear layer that reads it"
    one_lstm = (
        "their order can't be known from names; stack them in one nn.LSTM, or compile one at a time"
    )
    return {
        "missing": ("m.pt", lambda path: None,
            "the checkpoint can't be read: No such file or directory (m.pt); hint: check the path"),
        "a folder": ("m.pt", Path.mkdir,
            "the checkpoint can't be read: Is a directory (m.pt); hint: check the path"),
        "of an unknown kind": ("m.onnx", text(b"x"),
            "a checkpoint of kind .onnx is not supported (m.onnx); "
            "hint: give a .pt state dict or a .safetensors file"),
        "without a suffix": ("m", text(b"x"),
            "a checkpoint of kind without suffix is not supported (m); "
            "hint: give a .pt state dict or a .safetensors file"),
        "empty .pt": ("m.pt", text(b""), f"{damaged} (m.pt); hint: {SAVE}"),
        "text .pt": ("m.pt", text(b"hello world\n"), f"{damaged} (m.pt); hint: {SAVE}"),
        "truncated .pt": ("m.pt", halved(torched(torch.nn.LSTM(3, 4).state_dict())),
            f"{damaged} (m.pt); hint: {SAVE}"),
        "a plain pickle": ("m.pt", text(pickle.dumps({"a": 1})), f"{damaged} (m.pt); hint: {SAVE}"),
        "a pickle that runs code": ("m.pt", torched({"weight_ih_l0": Executes()}),
            f"{objects} (m.pt); hint: {SAVE}"),
        "an old pickle that runs code": (
            "m.pt", text(pickle.dumps({"weight_ih_l0": Executes()}, protocol=2)),
            f"{objects} (m.pt); hint: {SAVE}"),
        "a module and not its state dict": ("m.pt", torched(torch.nn.LSTM(3, 4)),
            f"{objects} (m.pt); hint: {SAVE}"),
        "TorchScript": ("m.pt", lambda path: torch.jit.script(torch.nn.LSTM(3, 4)).save(path),
            f"the file is a TorchScript archive (m.pt); hint: {SAVE}"),
        "a list": ("m.pt", torched([torch.ones(3)]),
            f"the file holds a list (m.pt); hint: {SAVE}"),
        "a training state under another key": ("m.pt", torched({"net": {"a": torch.ones(2)}}),
            f"net is a dict, no tensor (m.pt); hint: {SAVE}"),
        "a state dict that holds itself": ("m.pt", torched(within_itself()),
            f"model is a dict, no tensor (m.pt); hint: {SAVE}"),
        "no tensors": ("m.pt", torched({}),
            "the checkpoint holds no tensors (m.pt); hint: save model.state_dict()"),
        "empty .safetensors": ("m.safetensors", text(b""),
            "this is no whole safetensors file: * (m.safetensors); "
            "hint: was it cut short? copy or save it again"),
        "truncated .safetensors": ("m.safetensors", halved(safe(LSTM)),
            "this is no whole safetensors file: * (m.safetensors); "
            "hint: was it cut short? copy or save it again"),
        "a .pt in disguise": ("m.safetensors", torched({}),
            "this is no whole safetensors file: * (m.safetensors); "
            "hint: was it cut short? copy or save it again"),
        "NaN": ("m.safetensors", safe(nan),
            "bias_hh_l0 has 24 NaN or infinite values (m.safetensors); "
            "hint: did training diverge? take an earlier checkpoint"),
        "a GRU": ("m.safetensors", safe(lstm_tensors(gates=3)),
            "weight_hh_l0 is of a GRU, which is not supported (m.safetensors); "
            "hint: only LSTM layers can be compiled so far"),
        "an Elman RNN": ("m.safetensors", safe(lstm_tensors(gates=1)),
            "weight_hh_l0 is of an Elman RNN, which is not supported (m.safetensors); "
            "hint: only LSTM layers can be compiled so far"),
        "two LSTMs": ("m.safetensors", safe(lstm_tensors(prefix="a.") | lstm_tensors(prefix="b.")),
            f"there are 2 LSTMs: a, b (m.safetensors); hint: {one_lstm}"),
        "a batch norm": ("m.safetensors", safe(LSTM | norm),
            f"can't compile norm.running_mean, norm.weight: {rest} (m.safetensors); "
            f"hint: {alone}"),
        "a convolution": ("m.safetensors", safe(LSTM | {"conv.weight": np.ones((3, 2, 5), "f4")}),
            f"can't compile conv.weight: {rest} (m.safetensors); hint: {alone}"),
        "half a bias": ("m.safetensors", safe(omit(LSTM, "bias_ih_l0")),
            "bias_ih_l0 is missing (m.safetensors); hint: it is needed because biases come in "
            "pairs, in all layers or none"),
        "one direction of the second layer": (
            "m.safetensors", safe(lstm_tensors(layers=2) | lstm_tensors(suffixes=("_reverse",))),
            "weight_ih_l1 reads 6 inputs, but the layer before gives 12 (m.safetensors); "
            "hint: was the checkpoint saved from a model with another hidden_size or proj_size?"),
        "layers that do not follow one another": (
            "m.safetensors", safe(lstm_tensors(layers=2) | lstm_tensors(cells=5)),
            "weight_ih_l1 reads 6 inputs, but the layer before gives 5 (m.safetensors); "
            "hint: was the checkpoint saved from a model with another hidden_size or proj_size?"),
        "a name that commands the terminal": (
            "m.safetensors", safe(LSTM | {"a\x1b[31m\n\x07.weight": np.ones((2, 2, 2), "f4")}),
            f"can't compile a?[31m ?.weight: {rest} (m.safetensors); hint: {alone}"),
        "numbers beyond all bounds": (
            "m.safetensors", safe(LSTM | {"weight_ih_l0": np.full((4 * CELLS, INPUTS), 1e308)}),
            "the float network overflows: l0.pre_i reaches * (m.safetensors); "
            "hint: is a weight or a frame far out of range?"),
    }  # fmt: skip


def within_itself():
    content = {"state_dict": None}
    content["model"] = content
    return content


def omit(tensors, *names):
    return {name: value for name, value in tensors.items() if name not in names}


def assert_says(line, message):
    """``*`` stands for words of another library."""
    before, star, after = message.partition("*")
    assert line == message or (star and line.startswith(before) and line.endswith(after)), line


CHECKPOINTS = spoiled_checkpoints()


@pytest.mark.parametrize("case", CHECKPOINTS, ids=lambda case: case.replace(" ", "-"))
def test_a_checkpoint_is_refused(case, refused, work):
    name, write, message = CHECKPOINTS[case]
    write(work / name)
    assert_says(refused("compile", name, "-o", "out", *PES), message)
    assert not Path("executed").exists() and not Path("out").exists()


@pytest.mark.parametrize("case", ["missing", "a pickle that runs code", "TorchScript", "NaN"])
def test_the_program_refuses_a_checkpoint(case, refused_by_program, work):
    name, write, message = CHECKPOINTS[case]
    write(work / name)
    assert refused_by_program("compile", name, "-o", "out", *PES) == message


# --- Settings --------------------------------------------------------------------------------

HARDWARE = "hardware settings"
SETTINGS = {
    "--pes 7": (
        f"7 PEs can't share 6 cells: a PE owns whole cells ({HARDWARE}); "
        "hint: choose 6 PEs or fewer (--pes)"
    ),
    "--pes 0": f"the hardware can't have 0 PEs ({HARDWARE}); hint: choose 1 to 1024 (--pes)",
    "--pes -4": f"the hardware can't have -4 PEs ({HARDWARE}); hint: choose 1 to 1024 (--pes)",
    "--pes 1025": f"the hardware can't have 1025 PEs ({HARDWARE}); hint: choose 1 to 1024 (--pes)",
    "--lanes 3": (
        f"the hardware can't have 3 lanes ({HARDWARE}); hint: choose one of (1, 2, 4, 8, 16)"
    ),
    "--lanes 32": (
        f"the hardware can't have 32 lanes ({HARDWARE}); hint: choose one of (1, 2, 4, 8, 16)"
    ),
    "--pes 6 --cell-units 4": (
        f"the hardware can't have 4 cell units for 6 PEs ({HARDWARE}); "
        "hint: cell_units must divide the number of PEs"
    ),
    "--cell-units 0": "0 cell units",
    "--assign random": (
        f"the hardware can't have assign 'random' ({HARDWARE}); "
        "hint: choose best, interleave or balance"
    ),
    "--index-bits 0": f"the hardware can't have 0 index bits ({HARDWARE}); hint: choose 1 to 8",
    "--index-bits 9": f"the hardware can't have 9 index bits ({HARDWARE}); hint: choose 1 to 8",
    "--raw-distance 0": "raw_distance 0",
    "--raw-distance 17": "raw_distance 17",
    "--max-steps 0": "max_steps 0",
    "--clock-mhz 0": "a clock of 0.0 MHz",
    "--clock-mhz -100": "a clock of -100.0 MHz",
    "--clock-mhz nan": "a clock of nan MHz",
    "--weight-bits 1": "weights of 1 bits can't be built (precision); hint: choose 2 to 18",
    "--weight-bits 19": "weights of 19 bits can't be built (precision); hint: choose 2 to 18",
    "--input-bits 1": "inputs of 1 bits can't be built (precision); hint: choose 2 to 24",
    "--input-bits 25": "inputs of 25 bits can't be built (precision); hint: choose 2 to 24",
    "--cell-bits 25": "cell_state of 25 bits can't be built (precision); hint: choose 2 to 24",
    "--output-bits 25": "outputs of 25 bits can't be built (precision); hint: choose 2 to 24",
    "--table-entries 100": (
        "a table of 100 entries can't be built (precision); "
        "hint: choose a power of two from 64 to 4096"
    ),
    "--table-entries 32": "a table of 32 entries",
    "--table-entries 8192": "a table of 8192 entries",
    "--table-entries 0": "a table of 0 entries",
    "--interpolate-bits 9": "9 bits of interpolation can't be built (precision); hint: choose 0 to 8",
    "--interpolate-bits -1": "-1 bits of interpolation",
    "--accumulator-bits 7": "accumulators of 7 bits can't be built",
    "--accumulator-bits 63": "accumulators of 63 bits can't be built",
    "--accumulator-bits 20": "accumulators of 20 bits could overflow: l0.acc_",
    "--head step": (
        "there is no Linear head to apply the head options to (model.safetensors); "
        "hint: leave them out"
    ),
    "--head last": "there is no Linear head to apply the head options to",
    "--head-activation none": "there is no Linear head to apply the head options to",
    "--head first": (
        "a head can't run at 'first' (head options); hint: choose one of step, last, final"
    ),
    "--head-activation relu": (
        "a head can't end in 'relu' (head options); hint: choose one of none, sigmoid, argmax"
    ),
    "--pes many": "Invalid value for '--pes': ",
    "--pes 2.5": "Invalid value for '--pes': ",
    "--clock-mhz fast": "Invalid value for '--clock-mhz': ",
    "--no-such-option": "No such option: --no-such-option",
    "--pes": "Option '--pes' requires an argument.",
    "another.pt": "Got unexpected extra argument",
}


@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: words.strip("-").replace(" ", "-"))
def test_a_setting_is_refused(words, refused):
    line = refused("compile", "model.safetensors", "-o", "out", *PES, *words.split())
    message = SETTINGS[words]
    assert line == message if "; hint: " in message else message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("frobnicate", "No such command 'frobnicate'.; hint: see penstock --help"),
        ("--frobnicate", "No such option: --frobnicate"),
        ("compile", "Missing argument 'MODEL'.; hint: see penstock compile --help"),
        ("compile model.safetensors", "Missing option '-o"),
        ("run project -o y.npy", "Missing option '-i"),
        ("run", "Missing argument 'DIR'.; hint: see penstock run --help"),
        ("check project --steps 0", "Invalid value for '--steps': "),
        ("check project --seed -1", "Invalid value for '--seed': "),
    ],
)
def test_a_command_that_is_not_understood_is_one_line_too(words, message, refused):
    assert message in refused(*words.split())


def test_the_program_refuses_a_command_that_is_not_understood(refused_by_program):
    line = refused_by_program("compile", "model.safetensors")
    assert line.startswith("Missing option '-o") and line.endswith("; hint: see penstock compile --help")


def test_no_words_at_all_give_the_help(penstock):
    done = penstock()
    assert (done.status, done.err) == (0, "") and "Usage: penstock" in done.out
    assert penstock("--version").out.startswith("penstock ")


# --- Calibration -----------------------------------------------------------------------------

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
        lambda path: np.savez(path.open("wb"), x=np.ones((3, INPUTS))),
        "the file holds several arrays (f.npy); hint: save one with numpy.save",
    ),
    "a cut zip": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(40)), "no whole file"),
}  # fmt: skip
NO_WHOLE_FILE = "this is no whole NumPy file of numbers (f.npy); hint: save it with numpy.save"
FIT = f"give (steps, {INPUTS}) or (sequences, steps, {INPUTS})"
FRAMES = {
    "of another width": (
        np.ones((3, 5)), f"frames of shape (3, 5) do not fit a network of 4 inputs (*); hint: {FIT}",
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
    "infinity": (np.full((3, 4), np.inf, dtype=np.float16), "a frame has NaN or infinite values (*"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("use", ["calibration", "input", "lengths"])
def test_a_file_that_is_no_array_is_refused(case, use, refused, project):
    write, message = FILES[case]
    write(Path("f.npy"))
    words = {
        "calibration": ["compile", "model.safetensors", "-o", "out", *PES, "--calibration", "f.npy"],
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


# --- run -------------------------------------------------------------------------------------


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
    line = refused("run", "narrow", "-i", "f.npy", "-o", "y.npy")
    assert line.startswith("raw integers outside -8..7 (input for narrow); hint: the input type is")
    assert line.endswith("; give floats to have them quantized")


def test_real_numbers_out_of_range_saturate_in_silence(penstock, narrow_project):
    np.save("f.npy", np.full((3, 4), 1e308))
    done = penstock("run", "narrow", "-i", "f.npy", "-o", "y.npy")
    assert (done.status, done.err) == (0, "")
    np.save("f.npy", np.full((3, 4), 7, dtype=np.int8))
    assert penstock("run", "narrow", "-i", "f.npy", "-o", "z.npy").status == 0
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
    "nothing of ours": ({"x": (3,)}, NEEDS.format("h_0")),
    "two dimensions": ({"h_0": (2, CELLS), "c_0": (1, 2, CELLS)}, NEEDS.format("h_0")),
    "two layers": ({"h_0": (2, 2, CELLS), "c_0": (2, 2, CELLS)}, NEEDS.format("h_0")),
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
        ("a", "state l0.y has shape (2, 6), not (2, 6)"),
    ],
    ids=str,
)
def test_a_state_of_impossible_values_is_refused(value, message, refused, project):
    values = np.full((1, 2, CELLS), value)
    np.savez("state.npz", h_0=values, c_0=np.zeros((1, 2, CELLS)))
    line = refused("run", "project", "-i", "x.npy", "-o", "y.npy", "--state", "state.npz")
    if isinstance(value, str):
        message = "state l0.y is of type <U1, not numbers (initial state for project); hint: "
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
        "hint: compile with a greater --max-steps"
    )


def test_states_that_are_not_one_array_are_refused_before_anything_is_written(
    refused, penstock, compiled_projects
):
    shutil.copytree(compiled_projects / "unequal", "unequal")
    words = ["run", "unequal", "-i", "x.npy", "-o", "y.npy"]
    line = refused(*words, "--state-output", "state.npz")
    assert line.startswith("the states of layers of [6, 4] elements are not one array (unequal)")
    assert penstock(*words).status == 0


def test_an_output_that_cant_be_written_leaves_no_other(refused, project):
    words = ["run", "project", "-i", "x.npy", "-o", "y.npy", "--state-output"]
    assert refused(*words, "none/state.npz") == (
        "the file can't be written: No such file or directory (none/state.npz); "
        "hint: choose another place"
    )
    assert refused(*words, "project") == (
        "the output is not a file (project); hint: choose another place"
    )
    assert refused(*words, "./y.npy").startswith("two results in one file (y.npy)")


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
    def save(file, values):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    Path("y.npy").write_bytes(b"old")
    monkeypatch.setattr(np, "save", save)
    assert refused("run", "project", "-i", "x.npy", "-o", "y.npy") == (
        "the file can't be written: No space left on device (y.npy); hint: choose another place"
    )


# --- Where to write --------------------------------------------------------------------------

NOT_OURS = (
    "the target folder holds something that is not a Penstock project ({}); "
    "hint: choose a new or empty folder"
)
NO_FOLDER = "the target is not a folder ({}); hint: choose another folder"


def compile_to(run, output, *words):
    return run("compile", "model.safetensors", "-o", output, *PES, *words)


@pytest.mark.parametrize("name", ["precious.txt", ".git", "penstock.json/x", "graph.json"])
def test_a_folder_that_is_not_ours_is_refused(name, refused):
    path = Path("out", name)
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    assert compile_to(refused, "out") == NOT_OURS.format("out")
    assert compile_to(refused, "out/") == NOT_OURS.format("out")
    assert compile_to(refused, Path("out").resolve()) == NOT_OURS.format(Path("out").resolve())


def test_the_program_refuses_a_folder_that_is_not_ours(refused_by_program):
    assert compile_to(refused_by_program, ".") == NOT_OURS.format(".")
    assert compile_to(refused_by_program, "/") == NOT_OURS.format("/")


def test_the_working_folder_and_what_is_above_it_are_refused(refused):
    for output in (".", "..", "../work", ""):
        assert compile_to(refused, output) == NOT_OURS.format(output or ".")


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to a folder", "broken link"])
def test_a_target_that_is_no_folder_is_refused(kind, refused):
    Path("file").write_text("precious")
    Path("folder").mkdir()
    targets = {"link to a file": "file", "link to a folder": "folder", "broken link": "none"}
    if kind != "file":
        Path("out").symlink_to(targets[kind])
    output = "file" if kind == "file" else "out"
    assert compile_to(refused, output) == NO_FOLDER.format(output)


def test_a_target_below_a_file_is_refused(refused):
    Path("file").write_text("precious")
    line = compile_to(refused, "file/out")
    assert line.startswith("the project can't be written: ") and line.endswith(
        f"(file/out); hint: {ANOTHER}"
    )


def test_a_name_that_is_too_long_is_refused(refused):
    name = "a" * 300
    assert compile_to(refused, name) == (
        f"the target can't be written: File name too long ({name}); hint: {ANOTHER}"
    )
    assert "File name too long" in refused("run", name, "-i", "x.npy", "-o", "y.npy")
    assert "File name too long" in refused("run", name, "-i", "x.npy", "-o", name)


def test_a_place_where_nothing_may_be_written_is_refused(refused, monkeypatch):
    def refuse(*words, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert compile_to(refused, "out") == (
        f"the project can't be written: Permission denied (out); hint: {ANOTHER}"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_parent_is_refused(refused):
    Path("parent").mkdir(mode=0o500)
    assert compile_to(refused, "parent/out") == (
        f"the project can't be written: Permission denied (parent/out); hint: {ANOTHER}"
    )


@pytest.mark.parametrize(
    "output", ["out", "out/", "./out", "a/b/out", "a/../out", "empty", "{absolute}/out"]
)
def test_a_new_or_empty_folder_is_made_a_project(output, penstock, work):
    Path("empty").mkdir()
    Path("a").mkdir()
    output = output.format(absolute=work)
    assert compile_to(penstock, output).status == 0
    assert penstock("run", output, "-i", "x.npy", "-o", "y.npy").status == 0
    strays = {"model.safetensors", "x.npy", "y.npy", "empty", "a", Path(output).name}
    assert {path.name for path in work.iterdir()} <= strays


def test_an_empty_working_folder_is_made_a_project_and_again(penstock, work, monkeypatch):
    (work / "here").mkdir()
    monkeypatch.chdir(work / "here")
    inode = Path.cwd().stat().st_ino
    for _ in range(2):
        assert penstock("compile", "../model.safetensors", "-o", ".", *PES).status == 0
        assert penstock("run", ".", "-i", "../x.npy", "-o", "../y.npy").status == 0
        assert Path().resolve().stat().st_ino == inode
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]
    assert sorted(path.name for path in work.iterdir()) == [
        "here", "model.safetensors", "x.npy", "y.npy",
    ]  # fmt: skip


def test_a_new_compile_replaces_our_files_and_no_others(penstock, work):
    assert compile_to(penstock, "out", "--pes", 3, "--table-entries", 64).status == 0
    old = tree(work / "out")
    Path("out/csim").mkdir()
    Path("out/csim/lstm_tb_old").write_text("built")
    Path("out/notes/empty").mkdir(parents=True)
    mine = {"out/notes/mine.txt": "mine", "out/weights/mine.bin": "too", "out/vitis/log": "long"}
    for name, content in mine.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    Path("out/notes/link").symlink_to("mine.txt")
    Path("out/kernel/config.h").write_text("edited")
    assert compile_to(penstock, "out").status == 0
    assert {name: Path(name).read_text() for name in mine} == mine
    assert Path("out/notes/link").is_symlink() and Path("out/notes/empty").is_dir()
    assert not Path("out/csim").exists()
    assert compile_to(penstock, "fresh").status == 0
    fresh, new = tree(work / "fresh"), tree(work / "out")
    assert old.keys() - fresh.keys(), "some tables have another name"
    assert new.items() >= fresh.items()
    added = {"notes", "notes/mine.txt", "notes/link", "notes/empty", "weights/mine.bin", "vitis",
             "vitis/log"}  # fmt: skip
    assert new.keys() - fresh.keys() == added


def test_a_file_of_the_user_is_not_overwritten_by_one_of_ours(refused, penstock):
    assert compile_to(penstock, "out").status == 0
    marker = json.loads(Path("out/penstock.json").read_text())
    marker["files"].remove("report.html")
    Path("out/penstock.json").write_text(json.dumps(marker))
    assert compile_to(refused, "out") == (
        "the project holds a report.html that the compiler did not write (out); "
        "hint: move it away, or choose another folder"
    )


@pytest.mark.parametrize(
    "marker",
    [b"", b"{", b"[]", b"{}", b"\xff", b'{"files": 3}', b'{"files": [3]}',
     b'{"files": ["../work/x.npy"]}', b'{"files": ["/etc/passwd"]}',
     b'{"files": ["a/../../x.npy"]}'],
)  # fmt: skip
def test_a_damaged_marker_is_refused_and_nobody_elses_file_removed(marker, refused):
    Path("out").mkdir()
    Path("out/penstock.json").write_bytes(marker)
    assert compile_to(refused, "out") == (
        "penstock.json is damaged: what is ours in this folder can't be known (out); "
        "hint: choose a new or empty folder"
    )


@pytest.mark.parametrize("failing", [1, 5, 20])
@pytest.mark.parametrize("exists", [False, True])
def test_a_write_that_fails_midway_changes_nothing(failing, exists, refused, penstock, monkeypatch):
    if exists:
        assert compile_to(penstock, "out", "--table-entries", 64).status == 0
    count, write = [0], Path.write_bytes

    def fail(path, content):
        count[0] += 1
        if count[0] == failing:
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert compile_to(refused, "out") == (
        f"the project can't be written: No space left on device (out); hint: {ANOTHER}"
    )
    assert count[0] == failing and Path("out").exists() == exists


@pytest.mark.parametrize("failing", [1, 5, 20, 40, 55])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_move_that_fails_midway_is_taken_back(
    failing, error, penstock, work, refused, monkeypatch
):
    assert compile_to(penstock, "out", "--table-entries", 64).status == 0
    Path("out/mine.txt").write_text("mine")
    before = {name for name, content in tree(work).items() if content is not None}, tree(work)
    count, replace = [0], Path.replace

    def fail(path, target):
        count[0] += 1
        if count[0] == failing:
            raise error
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    done = compile_to(penstock, "out")
    assert count[0] > failing or failing == 1
    assert done.status == (2 if isinstance(error, OSError) else 130)
    assert tree(work) == before[1]
    monkeypatch.undo()
    assert penstock("run", work / "out", "-i", work / "x.npy", "-o", work / "y.npy").status == 0


# --- Projects --------------------------------------------------------------------------------


def run_words(folder="project"):
    return "run", folder, "-i", "x.npy", "-o", "y.npy"


@pytest.mark.parametrize("command", ["run", "csim", "check"])
@pytest.mark.parametrize("folder", ["none", ".", "x.npy"])
def test_a_folder_that_is_no_project_is_refused(command, folder, refused):
    words = run_words(folder) if command == "run" else (command, folder)
    assert refused(*words) == (
        f"this is no Penstock project ({folder}); hint: give the folder that penstock compile wrote"
    )


DIFFERS = "{} is not the file that the compiler wrote (its sha256 differs) (project); hint: " + AGAIN
BINARIES = ["weights/group_0.bin", "weights/parameters.bin", "graph.json", "graph.safetensors"]


@pytest.mark.parametrize("name", BINARIES)
@pytest.mark.parametrize("how", ["a bit", "cut", "longer", "empty"])
def test_a_changed_file_is_refused_by_its_sha256(name, how, refused, project):
    path = project / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    changed = {"a bit": bytes(content), "cut": path.read_bytes()[:-1],
               "longer": path.read_bytes() + b"\0", "empty": b""}  # fmt: skip
    path.write_bytes(changed[how])
    for words in (run_words(), ("check", "project"), ("csim", "project")):
        assert refused(*words) == DIFFERS.format(name)


def test_the_program_refuses_a_changed_weight(refused_by_program, project):
    path = project / "weights/group_0.bin"
    path.write_bytes(path.read_bytes()[::-1])
    assert refused_by_program(*run_words()) == DIFFERS.format("weights/group_0.bin")


@pytest.mark.parametrize("name", [*BINARIES, "weights/manifest.json"])
def test_a_missing_file_is_refused(name, refused, project):
    (project / name).unlink()
    assert refused(*run_words()) == (
        f"{name} can't be read: No such file or directory (project); hint: {AGAIN}"
    )


def tamper(project, name, change):
    """Change a file, and the manifest's sha256 with it."""
    content = change((project / name).read_bytes())
    (project / name).write_bytes(content)
    manifest = json.loads((project / "weights/manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
    (project / "weights/manifest.json").write_text(json.dumps(manifest))


def tamper_json(project, name, change):
    def edit(content):
        fields = json.loads(content)
        change(fields)
        return json.dumps(fields).encode()

    tamper(project, name, edit)


def flipped(index, bit=0):
    def change(content):
        spoiled = bytearray(content)
        spoiled[index] ^= 1 << bit
        return bytes(spoiled)

    return change


@pytest.mark.parametrize("index", [0, 1, 7, 20])
def test_a_changed_weight_is_found_even_with_a_matching_sha256(index, refused, project):
    tamper(project, "weights/group_0.bin", flipped(index))
    line = refused(*run_words())
    assert line.startswith(("the packed weights of l0.W_", "weights/ is damaged: "))
    assert line.endswith(f"(project); hint: {AGAIN}")


def test_a_changed_bias_is_found_even_with_a_matching_sha256(refused, project):
    tamper(project, "weights/parameters.bin", flipped(0))
    assert refused(*run_words()) == (
        f"the packed weights of l0.b_i are not those of the graph (project); hint: {AGAIN}"
    )


@pytest.mark.parametrize("name", ["weights/group_0.bin", "weights/parameters.bin"])
def test_weights_that_are_cut_short_are_found_even_with_a_matching_sha256(name, refused, project):
    tamper(project, name, lambda content: content[: len(content) // 4])
    line = refused(*run_words())
    assert line.startswith("weights/ is damaged: ") and line.endswith(f"(project); hint: {AGAIN}")


def test_weights_changed_in_the_graph_alone_are_found(refused, project):
    def change(content):
        path = Path("tensors.safetensors")
        path.write_bytes(content)
        tensors = load_file(path)
        name = next(name for name in tensors if name.startswith("l0.W_ir"))
        tensors[name] = tensors[name] * 0 + tensors[name].min()
        save_file(tensors, path)
        return path.read_bytes()

    tamper(project, "graph.safetensors", change)
    line = refused(*run_words())
    assert line.startswith(("the packed weights of l0.W_ir", "the saved graph is damaged: "))


def node(fields, name):
    return next(entry for entry in fields["nodes"] if entry["name"] == name)


def reversed_nodes(fields):
    fields["nodes"].reverse()


GRAPHS = {
    "no JSON": lambda fields: fields.clear(),
    "another schema": lambda fields: fields.update(schema=99),
    "no nodes": lambda fields: fields.update(nodes=[]),
    "no output": lambda fields: fields["nodes"].pop(),
    "nodes that are no list": lambda fields: fields.update(nodes=3),
    "nodes that are no objects": lambda fields: fields.update(nodes=[3]),
    "a forward reference": reversed_nodes,
    "an unknown operation": lambda fields: node(fields, "l0.m").update(op="exec"),
    "an operation that is no name": lambda fields: node(fields, "l0.m").update(op=[]),
    "an unknown input": lambda fields: node(fields, "l0.m").update(inputs=["nobody"]),
    "too few inputs": lambda fields: node(fields, "l0.m_product").update(inputs=[]),
    "a name twice": lambda fields: node(fields, "l0.m").update(name="l0.c"),
    "an unknown sweep": lambda fields: node(fields, "l0.m").update(sweep=7),
    "a sweep that is no number": lambda fields: node(fields, "l0.m").update(sweep="0"),
    "an unknown direction": lambda fields: fields.update(sweeps=["sideways"]),
    "another type": lambda fields: node(fields, "l0.m").update(type="s8.0"),
    "another interval": lambda fields: node(fields, "l0.m").update(range=[0, 0]),
    "another shape of a constant": lambda fields: node(fields, "l0.b_i").update(shape=[7]),
    "attributes that are no object": lambda fields: node(fields, "l0.m").update(attributes=[1]),
    "an unknown attribute": lambda fields: node(fields, "l0.m")["attributes"].update(run="rm"),
    "an impossible width": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(width=99),
    "an unknown rounding": lambda fields: node(fields, "l0.m")["attributes"]["to"].update(
        rounding="AP_EVIL"
    ),
    "a state that nobody writes": lambda fields: fields["nodes"].remove(node(fields, "l0.c_after")),
    "a state written as another": lambda fields: node(fields, "l0.c_after")["attributes"].update(
        state="l0.y"
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_that_can_be_none_is_refused(case, refused, project):
    tamper_json(project, "graph.json", GRAPHS[case])
    line = refused(*run_words())
    assert "graph" in line and line.endswith(f"(project); hint: {AGAIN}")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"null", b"[]", b"[" * 100000])
def test_a_graph_or_manifest_of_garbage_is_refused(content, refused, project):
    for name in ("graph.json", "weights/manifest.json"):
        good = (project / name).read_bytes()
        if name == "graph.json":
            tamper(project, name, lambda _: content)
        else:
            (project / name).write_bytes(content)
        assert refused(*run_words()).endswith(f"(project); hint: {AGAIN}")
        tamper(project, name, lambda _, good=good: good) if name == "graph.json" else None


def test_garbage_for_the_graphs_constants_is_refused(refused, project):
    tamper(project, "graph.safetensors", lambda content: content[:50])
    assert refused(*run_words()).startswith("the saved graph is damaged: ")


def phase(**values):
    return lambda fields: fields["phases"][0].update(values)


def extra(**values):
    return lambda fields: fields["extra"].update(values)


def dropped(*keys):
    def change(fields):
        for key in keys[:-1]:
            fields = fields[key]
        del fields[keys[-1]]

    return change


def shortened(fields):
    name = next(iter(fields["layouts"]))
    fields["layouts"][name] = fields["layouts"][name][:-2]


def swapped_rows(fields):
    rows = fields["layouts"]["l0.gates"]
    rows[0], rows[1] = rows[1], rows[0]


MANIFESTS = {
    **{f"no {key}": dropped(key) for key in (
        "schema", "pes", "group_pes", "port_bits", "phases", "layouts", "layout_of", "parameters",
        "extra", "sha256")},
    **{f"no extra {key}": dropped("extra", key) for key in (
        "lanes", "io_bits", "batch_first", "max_steps", "states")},
    **{f"no sha256 of {name}": dropped("sha256", name) for name in BINARIES},
    "another schema": lambda fields: fields.update(schema=99),
    "no PEs": lambda fields: fields.update(pes=0),
    "fewer PEs": lambda fields: fields.update(pes=1, group_pes=1),
    "PEs in words": lambda fields: fields.update(pes="two"),
    "groups of no PEs": lambda fields: fields.update(group_pes=0),
    "groups greater than all": lambda fields: fields.update(group_pes=64),
    "a port of no bits": lambda fields: fields.update(port_bits=0),
    "sha256 that is a list": lambda fields: fields.update(sha256=[]),
    "a file from elsewhere": lambda fields: fields["sha256"].update({"graph.json": "0"}),
    "phases that are no list": lambda fields: fields.update(phases=7),
    "no phase": lambda fields: fields.update(phases=[]),
    "a phase twice": lambda fields: fields["phases"].append(dict(fields["phases"][0])),
    "an unknown phase field": phase(exec="rm"),
    "weights of no bits": phase(weight_bits=0),
    "weights of fewer bits": phase(weight_bits=5),
    "weights of too many bits": phase(weight_bits=10**9),
    "gaps of other bits": phase(index_bits=5),
    "fewer words": phase(words=1),
    "more words": phase(words=10**12),
    "less than no words": phase(words=-1),
    "another number of rows": phase(rows_per_pe=1),
    "no rows": phase(rows_per_pe=0),
    "unknown rows": phase(rows="nobody"),
    "other matrices": phase(matvecs=["l0.acc_i"]),
    "unknown matrices": phase(matvecs=["nobody"] * 4),
    "matrices in another order": phase(matvecs=["l0.acc_f", "l0.acc_i", "l0.acc_g", "l0.acc_o"]),
    "no operands": phase(operands=[]),
    "unknown operands": phase(operands=[["nobody", 4]]),
    "operands in another order": lambda fields: fields["phases"][0]["operands"].reverse(),
    "rows in another order": swapped_rows,
    "a shorter layout": shortened,
    "a layout of words": lambda fields: fields["layouts"].update({"l0.gates": ["a"]}),
    "a layout twice": lambda fields: fields["layouts"].update({"l0.gates": [0] * 6}),
    "no lanes": extra(lanes=0),
    "a lane in words": extra(lanes="one"),
    "an element of no bits": extra(io_bits=0),
    "an order of the future": extra(batch_first="maybe"),
    "no steps at all": extra(max_steps=0),
    "steps in words": extra(max_steps="9"),
    "other states": extra(states=["l0.c", "l1.c"]),
    "a state twice": extra(states=["l0.y", "l0.y"]),
    "states that are no list": extra(states=None),
    "other parameters": lambda fields: fields.update(parameters=["l0.W_ix"]),
    "parameters in another order": lambda fields: fields["parameters"].reverse(),
    "fewer parameters": lambda fields: fields["parameters"].pop(),
}  # fmt: skip


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_does_not_fit_is_refused(case, refused, project):
    path = project / "weights/manifest.json"
    fields = json.loads(path.read_text())
    MANIFESTS[case](fields)
    path.write_text(json.dumps(fields))
    assert refused(*run_words()).endswith(f"(project); hint: {AGAIN}")


def test_an_untouched_project_runs_after_all_this(penstock, project):
    tamper_json(project, "graph.json", lambda fields: None)
    done = penstock(*run_words())
    assert (done.status, done.err) == (0, "")
    assert np.load("y.npy").shape == (2, 5, CELLS)


# --- What else a user could do ---------------------------------------------------------------


def test_calibration_frames_are_in_the_order_of_the_model(penstock):
    frames = np.random.default_rng(5).normal(size=(3, 7, INPUTS))
    frames[0] *= 8
    np.save("first.npy", frames)
    np.save("second.npy", frames.swapaxes(0, 1))
    assert compile_to(penstock, "a", "--calibration", "first.npy").status == 0
    assert compile_to(penstock, "b", "--calibration", "second.npy", "--time-first").status == 0
    assert Path("a/graph.json").read_bytes() == Path("b/graph.json").read_bytes()


def test_names_need_not_be_text(penstock, work):
    name = os.fsdecode(b"net\xff [red] \xc3\xa9")
    shutil.copy("model.safetensors", f"{name}.safetensors")
    done = penstock("compile", f"{name}.safetensors", "-o", name, *PES)
    assert done.status == 0 and done.err == ""
    assert penstock("run", name, "-i", "x.npy", "-o", f"{name}.npy").status == 0


def test_a_terminal_without_unicode_is_no_reason_to_fail(refused_by_program, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert refused_by_program("compile", "é.pt", "-o", "out") == (
        "the checkpoint can't be read: No such file or directory (\\xe9.pt); hint: check the path"
    )


def test_a_fault_of_the_system_is_one_line_too(refused, project, monkeypatch):
    def fail(folder):
        raise PermissionError(13, "Permission denied", "project/csim")

    monkeypatch.setattr(penstock_runtime.project, "_read", fail)
    monkeypatch.setattr("penstock_runtime.load_project", fail)
    assert refused("csim", "project") == (
        "Permission denied (project/csim); hint: check the path and the disk"
    )
