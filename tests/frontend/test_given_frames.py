"""Slips in what ``penstock.compile`` is given beside a module: a line each, and no traceback."""

from __future__ import annotations

import numpy as np
import pytest

import penstock
from penstock import Hardware, HeadOptions, PenstockError
from penstock_runtime import load_project

torch = pytest.importorskip("torch")
from frontend.small_net import Net  # noqa: E402

nn = torch.nn
HARDWARE = Hardware(pes=2)
FRAMES = np.random.default_rng(3).normal(size=(2, 5, 3)).astype(np.float32)
SHAPES = "give (steps, inputs) or (sequences, steps, inputs); of tokens, (sequences, steps)"
READ = "give a NumPy array or a torch tensor"


def refusal(call):
    with pytest.raises(PenstockError) as caught:
        call()
    return caught.value.line()


@pytest.mark.parametrize("shape", [(3,), (1, 2, 5, 3), (0, 5, 3), (2, 0, 3)])
def test_frames_of_a_module_have_a_shape(shape):
    assert refusal(lambda: penstock.compile(Net(), np.zeros(shape), HARDWARE)) == (
        f"frames of shape {shape} are no sequences (calibration); hint: {SHAPES}"
    )


@pytest.mark.parametrize("kind", [torch.utils.data.DataLoader, lambda x: {"x": x}, object])
def test_what_holds_frames_is_no_array(kind):
    given = kind() if kind is object else kind(FRAMES)
    assert refusal(lambda: penstock.compile(Net(), given, HARDWARE)) == (
        f"this {type(given).__name__} can't be read as an array (calibration); hint: {READ}"
    )


def test_frames_that_are_not_finite_are_no_fault_of_the_network():
    assert refusal(lambda: penstock.compile(Net(), FRAMES * np.nan, HARDWARE)) == (
        "a frame has NaN or infinite values (calibration); "
        "hint: clean the data, or give the lengths"
    )


def test_what_lies_beyond_the_lengths_may_be_anything():
    def compiled(beyond):
        frames = np.concatenate([FRAMES, np.full((2, 2, 3), beyond, np.float32)], axis=1)
        lengths = np.array([5, 5])
        found = penstock.compile(Net(), frames, HARDWARE, calibration_lengths=lengths)
        return found.files["graph.safetensors"]

    assert compiled(np.nan) == compiled(-1e4) == compiled(0.0)


def test_a_module_for_one_shape_alone_is_refused():
    class Fixed(Net):
        def forward(self, x):
            return self.fc(self.lstm(x.reshape(2, 5, 3))[0])

    assert refusal(lambda: penstock.compile(Fixed(), None, HARDWARE)).startswith(
        "forward fails on frames of shape (3, 8, 3): "
    )


def test_a_key_that_forward_misses_is_said_to_be_one():
    class Broken(Net):
        def forward(self, x):
            raise KeyError("hidden")

    line = refusal(lambda: penstock.compile(Broken(), FRAMES, HARDWARE))
    assert line.startswith("forward can't be traced: KeyError: 'hidden' (Broken); ")


def test_a_module_that_gives_its_input_is_refused():
    assert refusal(lambda: penstock.compile(nn.Embedding(5, 3), None, HARDWARE)) == (
        "forward gives its own input, or an embedding of it, and no layer (Embedding); "
        "hint: return the network's output"
    )


def test_an_exported_program_is_compiled_as_its_file_is(tmp_path):
    program = torch.export.export(
        Net().eval(), (torch.from_numpy(FRAMES).to(torch.get_default_dtype()),)
    )
    torch.export.save(program, tmp_path / "m.pt2")
    head = HeadOptions(activation="sigmoid")
    ways = [
        penstock.compile(given, FRAMES, HARDWARE, head=head).files["graph.safetensors"]
        for given in (program, tmp_path / "m.pt2", Net())
    ]
    assert ways[0] == ways[1] == ways[2]


def test_the_module_of_an_exported_program_is_refused_where_it_takes_one_shape():
    module = torch.export.export(Net().eval(), (torch.zeros(2, 5, 3),)).module()
    assert refusal(lambda: penstock.compile(module, FRAMES[:, :4], HARDWARE)).startswith(
        "forward fails on frames of shape "
    )


def test_a_project_is_where_it_was_written(tmp_path):
    compiled = penstock.compile(Net(), FRAMES, HARDWARE)
    assert refusal(lambda: load_project(compiled)) == (
        "a Compiled is not the path of a project (load_project); "
        "hint: give the folder that penstock.compile(...).write(folder) gives"
    )
    assert refusal(lambda: compiled.write(None)) == (
        "None is not a path (write); hint: give a folder's name"
    )
