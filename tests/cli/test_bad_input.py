"""Bad input: one line that says what and how to mend, exit status 2, nothing touched."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.given import CELLS, INPUTS, PES, Executes, assert_says, lstm_tensors
from safetensors.numpy import save_file

LSTM = lstm_tensors()
SAVE = "save it with torch.save(model.state_dict(), path)"


def safe(tensors):
    return lambda path: save_file(tensors, path)


def torched(content):
    return lambda path: torch.save(content, path)


def text(content):
    return lambda path: path.write_bytes(content)


def halved(make):
    return lambda path: (make(path), os.truncate(path, path.stat().st_size // 2))


def spoiled_checkpoints():
    """name -> (file, how to write it, the whole message)."""
    nan = LSTM | {"bias_hh_l0": np.full(4 * CELLS, np.nan, dtype=np.float32)}
    norm = {"norm.weight": np.ones(CELLS, "f4"), "norm.running_mean": np.zeros(CELLS, "f4")}
    damaged = "the file is damaged, or was not written by torch.save"
    objects = "the file holds Python objects, which could run code and so are not loaded"
    unsaid = "a state dict does not say what forward does with it"
    live = "compile the live module, an .onnx or a .pt2 file, or only a part with --only PREFIX"
    return {
        "missing": ("m.pt", lambda path: None,
            "the checkpoint can't be read: No such file or directory (m.pt); hint: check the path"),
        "a folder": ("m.pt", Path.mkdir,
            "the checkpoint can't be read: Is a directory (m.pt); hint: check the path"),
        "of an unknown kind": ("m.tflite", text(b"x"),
            "checkpoints can't be read from .tflite (m.tflite); "
            "hint: convert it to .onnx, for example with tf2onnx"),
        "no ONNX": ("m.onnx", text(b"x"),
            "not a complete ONNX file (m.onnx); hint: was it cut short? export it again"),
        "without a suffix": ("m", text(b"x"),
            "checkpoints can't be read from a file without a suffix (m); "
            "hint: give a .pt state dict, a .safetensors or an .onnx file"),
        "empty .pt": ("m.pt", text(b""),
            "the file is empty (m.pt); hint: was it cut short? copy or save it again"),
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
            "the file is a TorchScript archive (m.pt); hint: save its weights: "
            "torch.save(torch.jit.load(path).state_dict(), other)"),
        "a list": ("m.pt", torched([torch.ones(3)]),
            f"the file holds a list (m.pt); hint: {SAVE}"),
        "a training state under another key": ("m.pt", torched({"net": {"a": torch.ones(2)}}),
            "there is no LSTM, GRU or RNN among a (m.pt); "
            "hint: an LSTM, GRU or RNN has weight_ih_l0, and a cell weight_ih"),
        "a state dict that holds itself": ("m.pt", torched(within_itself()),
            f"model is a dict, not a tensor (m.pt); hint: {SAVE}"),
        "no tensors": ("m.pt", torched({}),
            "the checkpoint holds no tensors (m.pt); hint: save model.state_dict()"),
        "empty .safetensors": ("m.safetensors", text(b""),
            "not a complete safetensors file: * (m.safetensors); "
            "hint: was it cut short? copy or save it again"),
        "truncated .safetensors": ("m.safetensors", halved(safe(LSTM)),
            "not a complete safetensors file: * (m.safetensors); "
            "hint: was it cut short? copy or save it again"),
        "a .pt in disguise": ("m.safetensors", torched({}),
            "the checkpoint holds no tensors (m.safetensors); hint: save model.state_dict()"),
        "NaN": ("m.safetensors", safe(nan),
            "bias_hh_l0 has 24 NaN or infinite values (m.safetensors); "
            "hint: did training diverge? use an earlier checkpoint"),
        "two LSTMs": ("m.safetensors", safe(lstm_tensors(prefix="a.") | lstm_tensors(prefix="b.")),
            "there are 2 recurrent modules: a (4 -> 6), b (4 -> 6) (m.safetensors); "
            f"hint: neither names nor sizes tell their order; {live}"),
        "a batch norm": ("m.safetensors", safe(LSTM | norm),
            f"can't compile norm.running_mean, norm.weight (a BatchNorm): {unsaid} "
            f"(m.safetensors); hint: {live}"),
        "a convolution": ("m.safetensors", safe(LSTM | {"conv.weight": np.ones((3, 2, 5), "f4")}),
            f"can't compile conv.weight (a convolution or a Bilinear): {unsaid} (m.safetensors); "
            f"hint: {live}"),
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
            "a tensor has a name with braces or control characters "
            "('a\\x1b[31m\\n\\x07.weight') (m.safetensors); hint: rename it and save again"),
        "numbers beyond all bounds": (
            "m.safetensors", safe(LSTM | {"weight_ih_l0": np.full((4 * CELLS, INPUTS), 1e308)}),
            "weight_ih_l0 reaches 1e+308 (m.safetensors); "
            "hint: did training diverge? use an earlier checkpoint"),
    }  # fmt: skip


def within_itself():
    content = {}
    content["model"] = content
    return content


def omit(tensors, *names):
    return {name: value for name, value in tensors.items() if name not in names}


CHECKPOINTS = spoiled_checkpoints()


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize("case", CHECKPOINTS, ids=lambda case: case.replace(" ", "-"))
def test_a_checkpoint_is_refused(case, refused, work):
    name, write, message = CHECKPOINTS[case]
    write(work / name)
    assert_says(refused("compile", name, "-o", "out", *PES), message)
    assert not Path("executed").exists() and not Path("out").exists()


@pytest.mark.filterwarnings("ignore:.torch.jit")
@pytest.mark.parametrize("case", ["missing", "a pickle that runs code", "TorchScript", "NaN"])
def test_the_program_refuses_a_checkpoint(case, refused_by_program, work):
    name, write, message = CHECKPOINTS[case]
    write(work / name)
    assert refused_by_program("compile", name, "-o", "out", *PES) == message
