"""What the tests of the command line give it, and what they ask of every refusal."""

from __future__ import annotations

import os

import numpy as np

INPUTS, CELLS = 4, 6
PES = ("--pes", "2")
AGAIN = "compile the model again"
ANOTHER = "choose another folder"


def lstm_tensors(inputs=INPUTS, cells=CELLS, layers=1, prefix="", suffixes=("",), gates=4):
    """A state dict in float32, of torch's names and shapes."""
    generator = np.random.default_rng(1)
    tensors = {}
    for layer in range(layers):
        for suffix in suffixes:
            width = inputs if layer == 0 else cells * len(suffixes)
            shapes = {
                "weight_ih": (gates * cells, width), "weight_hh": (gates * cells, cells),
                "bias_ih": (gates * cells,), "bias_hh": (gates * cells,),
            }  # fmt: skip
            for kind, shape in shapes.items():
                values = generator.normal(0, 0.4, shape).astype(np.float32)
                tensors[f"{prefix}{kind}_l{layer}{suffix}"] = values
    return tensors


def tree(folder):
    """Everything below ``folder``: path -> content, target of a link, or None for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = path.readlink()
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def assert_refusal(done):
    """Exit status 2, and one line that says what is wrong and how to mend it."""
    assert done.status == 2, done
    assert done.err.startswith("error: ") and done.err.endswith("\n")
    assert done.err.count("\n") == 1, done.err
    assert "Traceback" not in done.err + done.out
    assert "; hint: " in done.err, done.err
    assert done.err.rstrip("\n").isprintable()


class Executes:
    """A pickle that runs a command when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def assert_says(line, message):
    """``*`` stands for words of another library."""
    before, star, after = message.partition("*")
    assert line == message or (star and line.startswith(before) and line.endswith(after)), line


def compile_to(run, output, *words):
    return run("compile", "model.safetensors", "-o", output, *PES, *words)


def run_words(folder="project"):
    return "run", folder, "-i", "x.npy", "-o", "y.npy"
