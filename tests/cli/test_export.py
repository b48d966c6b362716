"""``penstock export``: the file, what is said of it, and what is refused."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from cli.given import CELLS, INPUTS
from safetensors.numpy import load_file

from penstock import PenstockError
from penstock.export import save
from penstock.export.state_dict import ALONE
from penstock_runtime import Interpreter, load_project


def test_weights_are_written_and_told(penstock, project):
    done = penstock("export", "project", "-o", "small.safetensors")
    shapes = {
        "bias_hh_l0": (4 * CELLS,), "bias_ih_l0": (4 * CELLS,),
        "weight_hh_l0": (4 * CELLS, CELLS), "weight_ih_l0": (4 * CELLS, INPUTS),
    }  # fmt: skip
    assert {name: v.shape for name, v in load_file("small.safetensors").items()} == shapes
    lines = done.out.splitlines()
    assert sorted(lines[:-1]) == [
        f"small.safetensors: {name} ({' x '.join(map(str, shape))}, float32)"
        for name, shape in shapes.items()
    ]
    assert lines[-1] == f"note: {ALONE}" and (done.status, done.err) == (0, "")


def test_an_onnx_model_is_written_and_gives_what_run_gives(penstock, project):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = penstock("export", "project", "-o", "net.onnx", "--lengths", "--states")
    states = f"l0.y_{{0}} (sequences, {CELLS}), l0.c_{{0}} (sequences, {CELLS})"
    compared = (3 * 5 + 2 * 3) * CELLS
    assert done.out.splitlines() == [
        f"net.onnx: takes x (sequences, steps, {INPUTS}), lengths (sequences), {states.format(0)}",
        f"net.onnx: gives y (sequences, steps, {CELLS}), {states.replace('{0}', 'n')}",
        f"note: onnxruntime {onnxruntime.__version__} gives all of {compared} values as the "
        "interpreter does, to the last bit",
    ]
    x = np.load("x.npy").astype(np.float32)
    zeros = np.zeros((len(x), CELLS), np.float32)
    feed = {"x": x, "lengths": np.array([5, 2]), "l0.y_0": zeros, "l0.c_0": zeros}
    (y,) = onnxruntime.InferenceSession("net.onnx").run(["y"], feed)
    assert y.tolist() == Interpreter("project").run(x, [5, 2]).values.tolist()


def test_refusals(refused, project):
    assert refused("export", "project", "-o", "net.pt") == (
        "a network can't be exported as .pt (net.pt); hint: name it net.safetensors for the "
        "weights, or net.onnx for all of it"
    )
    assert refused("export", "project", "-o", "net").startswith(
        "a network can't be exported as a file without a suffix (net); "
    )
    assert refused("export", "project", "-o", "net.safetensors", "--states") == (
        "weights take no lengths and no states (net.safetensors); hint: leave them out, or export "
        ".onnx"
    )
    assert refused("export", "project", "-o", "net.onnx", "--like", "model.safetensors") == (
        "an ONNX model names its weights as the project does (net.onnx); hint: leave out --like, "
        "or export .safetensors"
    )
    assert refused("export", "project", "-o", "net.safetensors", "--like", "none.pt").startswith(
        "the checkpoint can't be read: "
    )
    assert "model.safetensors" in refused("export", "model.safetensors", "-o", "net.onnx")
    assert refused("export", "project", "-o", "project/penstock.json/net.onnx")


def test_a_damaged_project_is_not_exported(refused, project):
    (project / "graph.json").write_text("{}")
    assert "graph.json is not the file that the compiler wrote" in refused(
        "export", "project", "-o", "net.onnx"
    )


def test_without_the_package_onnx_one_line_says_so(refused, project, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "penstock.export.files.find_spec", lambda name: None if name == "onnx" else find(name)
    )
    assert refused("export", "project", "-o", "net.onnx") == (
        "writing ONNX files needs the package onnx (lstm); hint: pip install 'penstock[onnx]'"
    )


def test_other_values_in_onnxruntime_are_no_export(refused, project, monkeypatch):
    """As of a runtime that computes in another precision."""
    onnxruntime = pytest.importorskip("onnxruntime")

    class Rounded(onnxruntime.InferenceSession):
        def run(self, *arguments):
            (y,) = super().run(*arguments)
            y[0, 0, 0] += 2**-20
            return [y]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Rounded)
    assert refused("export", "project", "-o", "net.onnx") == (
        f"onnxruntime {onnxruntime.__version__} gives 1 of {3 * 5 * CELLS} values otherwise than "
        "the interpreter (lstm); hint: try another version of onnxruntime, and report it, please"
    )


def test_where_onnxruntime_can_not_run_it_the_file_is_written_and_a_note_says_so(
    penstock, project, monkeypatch
):
    onnxruntime = pytest.importorskip("onnxruntime")

    def fail(*arguments, **more):
        raise RuntimeError("ONNX Runtime only guarantees support up to opset 20\nmore")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    done = penstock("export", "project", "-o", "net.onnx")
    assert done.status == 0 and (project.parent / "net.onnx").exists()
    assert done.out.splitlines()[-1] == (
        f"note: not compared with the interpreter, for onnxruntime {onnxruntime.__version__} can't "
        "run it: ONNX Runtime only guarantees support up to opset 20"
    )


def test_python_takes_a_project_and_refuses_what_is_no_path(project, tmp_path):
    network = load_project(project)
    saved = save(network, str(tmp_path / "net.safetensors"))
    assert len(saved.lines) == len(load_file(tmp_path / "net.safetensors"))
    with pytest.raises(PenstockError, match="an int is not a path"):
        save(network, 3)
