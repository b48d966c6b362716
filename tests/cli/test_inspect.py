"""``penstock inspect``: what is in a file, and what the compiler says of it, in its own words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from cli.given import CELLS, INPUTS, Executes, lstm_tensors, tree
from safetensors.numpy import save_file

from penstock import HeadOptions, Precision
from penstock.calibration import Ranges
from penstock.cli.inspect import _about
from penstock.compress import pe_balanced_mask
from penstock.compress.patterns import BankBalanced
from penstock.compress.saved import Formats, save_compressed

GATES = "ifgo"
READ = {"x": 1.5, "l0.c": 2.0, "l0.m": 0.9, "l0.y": 0.9} | {f"l0.pre_{g}": 3.0 for g in GATES}


@pytest.fixture
def inspect(penstock, work):
    """-> (exit status, what is printed as JSON). Nothing is written."""

    def run(*words):
        before = tree(work.parent)
        done = penstock("inspect", *words, "--json")
        assert done.err == "" and tree(work.parent) == before
        return done.status, json.loads(done.out)

    return run


def masked(mask, cells=CELLS, inputs=INPUTS):
    """A checkpoint whose matrices, gate by gate, are masked."""
    tensors = lstm_tensors(inputs, cells)
    for name, values in tensors.items():
        if values.ndim == 2:
            gates = np.split(values, 4)
            tensors[name] = np.concatenate([gate * mask(np.abs(gate)) for gate in gates])
    return tensors


def test_a_checkpoint_layer_by_layer_and_matrix_by_matrix(inspect, work):
    status, found = inspect("model.safetensors")
    assert (status, found["compiles"], found["refusal"], found["schema"]) == (0, True, None, 1)
    assert (found["file"], found["form"]) == ("model.safetensors", "state dict")
    assert (found["inputs"], found["outputs"]) == (INPUTS, CELLS)
    assert found["states"] == {"l0.y": CELLS, "l0.c": CELLS}
    (layer,) = found["layers"]
    assert (layer["name"], layer["kind"], layer["cells"]) == ("l0", "lstm", CELLS)
    names = [row["name"] for row in found["matrices"]]
    assert names == [f"l0.W_{gate}{source}" for gate in GATES for source in "xr"]
    assert {(row["rows"], row["columns"]) for row in found["matrices"]} == {(6, 4), (6, 6)}
    assert {(row["density"], row["row_balanced"]) for row in found["matrices"]} == {(1.0, True)}
    assert found["tensors"] == found["ways"] == []


def test_what_it_says_of_a_compile_is_what_that_compile_gives(inspect, penstock, work):
    _, found = inspect("model.safetensors")
    assert found["command"] == (
        "penstock compile model.safetensors -o project --calibration frames.npy"
    )
    np.save("frames.npy", np.random.default_rng(0).normal(size=(2, 5, INPUTS)))
    assert penstock(*shlex.split(found["command"])[1:]).status == 0
    status, made = inspect("project")
    assert (status, made["form"], made["command"]) == (0, "project", "penstock check project")
    assert made["outcome"] == found["outcome"]
    for part in ("layers", "inputs", "outputs", "states"):
        assert made[part] == found[part], part
    report = json.loads(Path("project/report.json").read_text())
    assert made["outcome"]["cycles_per_step"] == report["timeline"]["cycles_per_step"]
    assert made["notes"] == report["notes"]
    assert any("frames.npy in the command" in note for note in found["notes"])
    assert any(note.startswith("no calibration data") for note in found["notes"])


@pytest.mark.parametrize("pes", [2, 3, 8])
def test_it_finds_the_pes_that_a_network_is_balanced_for(pes, inspect, work):
    tensors = masked(lambda score: pe_balanced_mask(score, 0.3, pes), cells=24, inputs=10)
    save_file(tensors, work / "pruned.safetensors")
    _, found = inspect("pruned.safetensors")
    for row in found["matrices"]:
        assert pes in row["pe_balanced"] and row["imbalance"] == 1.0
        assert row["density"] == row["nonzeros"] / (row["rows"] * row["columns"]) < 0.4
    assert f"--pes {pes} " in found["command"] and found["outcome"]["pes"] == pes


def test_it_finds_banks(inspect, penstock, work):
    tensors = masked(lambda score: BankBalanced(4).mask(score, 0.25), cells=8, inputs=12)
    save_file(tensors, work / "pruned.safetensors")
    _, found = inspect("pruned.safetensors")
    assert {(row["columns"], *row["bank_balanced"]) for row in found["matrices"]} == {
        (12, 4, 12), (8, 4, 8),
    }  # fmt: skip
    assert all(row["row_balanced"] for row in found["matrices"])
    assert found["outcome"]["pes"] == 8  # rows that are even leave it open
    out = penstock("inspect", "pruned.safetensors").out
    assert "bank-balanced (4, 8 columns)" in out and "bank-balanced (4, 12 columns)" in out


def test_text_of_a_layer_needs_no_key():
    gru = {"gates": 3, "resets": "after", "activation": "none", "projection": True}
    assert _about(gru) == "3 gates, reset after the product, projection"
    assert _about({"resets": "before"}) == "reset before the product"


def test_the_text_says_the_same(penstock, work):
    mask = np.ones(CELLS, bool)
    mask[[0, 2]] = False
    save_file(masked(lambda score: mask[:, None] & (score > 0)), work / "pruned.safetensors")
    done = penstock("inspect", "pruned.safetensors")
    assert (done.status, done.err) == (0, "")
    first, *rest = done.out.splitlines()
    assert first == "pruned.safetensors: state dict, 4 inputs, 6 outputs"
    assert any("l0.W_ix" in line and "not balanced" in line and "66.7 %" in line for line in rest)
    assert rest[-2].startswith("compiles: ") and "4 PEs" in rest[-2] and "fits" in rest[-2]
    assert rest[-1].startswith("next: penstock compile pruned.safetensors -o project --calibration")


def two_modules():
    """Two networks that do not follow one another, and a convolution."""
    return (
        lstm_tensors(prefix="encoder.lstm.")
        | lstm_tensors(inputs=9, prefix="decoder.")
        | {"conv.weight": np.ones((3, 3, 3), np.float32)}
    )


def test_a_refusal_is_the_compilers_own_and_says_which_parts_compile(inspect, penstock, work):
    save_file(two_modules(), work / "two.safetensors")
    status, found = inspect("two.safetensors")
    assert (status, found["compiles"], found["layers"], found["outcome"]) == (1, False, [], None)
    refusal = found["refusal"]
    line = f"{refusal['what']} ({refusal['where']}); hint: {refusal['hint']}"
    refused = penstock("compile", "two.safetensors", "-o", "out")
    assert (refused.status, refused.err) == (2, f"error: {line}\n")
    assert {"name": "conv.weight", "shape": [3, 3, 3]} in found["tensors"]
    assert [(way["options"], way["refusal"]) for way in found["ways"]] == [
        (["--only", "decoder"], None), (["--only", "encoder.lstm"], None),
    ]  # fmt: skip
    assert found["command"] is None, "either could be meant"
    status, part = inspect("two.safetensors", *found["ways"][0]["options"])
    assert (status, part["inputs"]) == (0, 9) and "--only decoder --calibration" in part["command"]
    text = penstock("inspect", "two.safetensors")
    assert text.status == 1 and f"does not compile: {line}\n" in text.out
    assert "with --only encoder.lstm: is followed\n" in text.out


def test_a_part_that_does_not_compile_says_why(inspect, work):
    tensors = two_modules()
    del tensors["decoder.weight_hh_l0"]
    save_file(tensors, work / "two.safetensors")
    _, found = inspect("two.safetensors")
    decoder, encoder = found["ways"]
    assert "weight_hh_l0" in decoder["refusal"]["what"] and encoder["refusal"] is None
    assert found["command"] == "penstock inspect two.safetensors --only encoder.lstm"


def test_where_a_head_could_run_is_said(inspect, work):
    tensors = lstm_tensors(suffixes=("", "_reverse")) | {
        "fc.weight": np.ones((3, 2 * CELLS), np.float32), "fc.bias": np.zeros(3, np.float32),
    }  # fmt: skip
    save_file(tensors, work / "both.safetensors")
    status, found = inspect("both.safetensors")
    assert status == 1 and "does not say when" in found["refusal"]["what"]
    heads = [["--head", at] for at in ("step", "last", "final")]
    assert [(way["options"], way["refusal"]) for way in found["ways"]] == [
        (head, None) for head in heads
    ]
    assert found["command"] is None and inspect("both.safetensors", *heads[2])[0] == 0


def test_what_is_refused_behind_the_frontend_is_told_beside_the_layers(
    inspect, penstock, work, monkeypatch
):
    monkeypatch.setattr("penstock.machine.limits.MAX_MEMORY_BYTES", 1)
    status, found = inspect("model.safetensors")
    assert (status, found["compiles"], found["command"]) == (1, False, None)
    assert found["layers"] and found["matrices"] and found["outcome"] is None
    assert found["refusal"]["what"].startswith("the kernel's memories are too large")


def test_options_lead_where_they_lead_compile(inspect, penstock, work):
    tensors = lstm_tensors() | {
        "fc.weight": np.ones((3, CELLS), np.float32), "fc.bias": np.zeros(3, np.float32),
    }  # fmt: skip
    save_file(tensors, work / "head.safetensors")
    options = ("--head", "step", "--head-activation", "argmax")
    _, found = inspect("head.safetensors", *options)
    assert found["layers"][-1]["activation"] == "argmax"
    assert " ".join(options) in found["command"]
    assert found["notes"][0] != inspect("head.safetensors")[1]["notes"][0]


def test_a_compressed_checkpoint_needs_neither_frames_nor_pes(inspect, penstock, work):
    formats = Formats(Ranges(READ), Precision(weights=6), pes=3)
    save_compressed(lstm_tensors(), formats, work / "small.safetensors")
    status, found = inspect("small.safetensors")
    assert (status, found["form"]) == (0, "compressed checkpoint")
    assert found["command"] == "penstock compile small.safetensors -o project"
    assert penstock(*shlex.split(found["command"])[1:]).status == 0
    assert inspect("project")[1]["outcome"] == found["outcome"]
    assert found["outcome"]["pes"] == 3


def test_a_damaged_compressed_checkpoint_is_refused_as_compile_does(refused, penstock, work):
    formats = Formats(Ranges(READ), Precision(weights=6), HeadOptions("last"), pes=3)
    save_compressed(lstm_tensors(), formats, work / "small.safetensors")
    content = bytearray((work / "small.safetensors").read_bytes())
    content[-1] ^= 1
    (work / "small.safetensors").write_bytes(content)
    line = refused("inspect", "small.safetensors")
    assert "do not match its tensors" in line
    assert line == refused("compile", "small.safetensors", "-o", "out")


def test_an_onnx_file_and_the_operation_that_does_not_compile(inspect, penstock, work):
    pytest.importorskip("onnx")
    from frontend.onnx_models import FREE, cell_node, saved, weights_of
    from onnx import helper

    weights = weights_of("LSTM")
    saved(work / "m.onnx", [cell_node("LSTM", weights)], {"x": (*FREE, 3)}, ["Y"], weights)
    status, found = inspect("m.onnx")
    assert (status, found["form"], found["inputs"]) == (0, "ONNX model", 3)
    assert found["layers"][0]["kind"] == "lstm" and "--pes" not in found["command"]
    nodes = [cell_node("LSTM", weights), helper.make_node("Erf", ["Y"], ["z"], "odd")]
    saved(work / "m.onnx", nodes, {"x": (*FREE, 3)}, ["z"], weights)
    status, found = inspect("m.onnx")
    assert (status, found["compiles"], found["tensors"]) == (1, False, [])
    assert "odd" in found["refusal"]["what"]
    assert found["refusal"]["what"] in penstock("compile", "m.onnx", "-o", "out").err


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_a_program_of_torch_export(inspect, work):
    torch = pytest.importorskip("torch")
    from frontend.small_net import Net

    program = torch.export.export(Net().eval(), (torch.randn(2, 5, 3),))
    torch.export.save(program, work / "m.pt2")
    status, found = inspect("m.pt2")
    assert (status, found["form"]) == (0, "program of torch.export")
    assert (found["layers"][0]["kind"], found["outputs"]) == ("lstm", 2)


def test_a_torch_checkpoint_under_a_key(inspect, penstock, refused, work):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.tensor(values) for name, values in lstm_tensors().items()}
    torch.save({"best": tensors, "last": dict(tensors)}, work / "m.pt")
    line = refused("inspect", "m.pt")
    assert line.startswith("2 dictionaries in the file hold a network: best, last (m.pt); hint: ")
    _, found = inspect("m.pt", "--key", "best")
    assert "--key best" in found["command"]


BAD = {
    "missing.safetensors": None, "empty.pt": b"", "torn.safetensors": b"\x90" + b"\0" * 7 + b"{",
    "torn.onnx": b"\x08\x09\x12\x04torch", "torn.pt2": b"PK\x03\x04", "words.txt": b"words",
    "of_keras.h5": b"\x89HDF\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_a_file_that_can_not_be_read_is_refused_as_compile_does(name, words, refused, work):
    pytest.importorskip("onnx")
    if BAD[name] is not None:
        (work / name).write_bytes(BAD[name])
    assert refused("inspect", name, *words) == refused("compile", name, "-o", "out")


def test_no_pickle_is_run(refused, work):
    torch = pytest.importorskip("torch")
    torch.save({"weight_ih_l0": Executes()}, work / "m.pt")
    assert "Python objects, which could run code" in refused("inspect", "m.pt")
    assert not Path("executed").exists()


def test_key_and_only_choose_in_a_state_dict_alone(refused, project, work):
    pytest.importorskip("onnx")
    (work / "m.onnx").write_bytes(b"\x08\x09")
    for words in (("--key", "a"), ("--only", "a")):
        assert "the file holds a program" in refused("inspect", "m.onnx", *words)
    for words in (("--key", "a"), ("--head", "last")):
        assert refused("inspect", "project", *words) == (
            "a project is compiled, and leaves nothing to choose (project); hint: "
            "leave the options out"
        )


@pytest.mark.parametrize("name", ["graph.json", "report.json", "weights/manifest.json"])
def test_a_project_is_trusted_only_when_checked(name, refused, project):
    (project / name).write_text((project / name).read_text().replace("1", "2", 1))
    assert f"{name} is not the file that the compiler wrote" in refused("inspect", "project")


def test_a_folder_that_is_no_project_is_refused(refused, work):
    (work / "folder").mkdir()
    assert refused("inspect", "folder").startswith("this is not a Penstock project (folder)")


def test_warnings_of_the_compile_are_notes(inspect, penstock, work, monkeypatch):
    monkeypatch.setattr("penstock.fidelity.verdict.OUTPUT_ERROR", 0)
    with pytest.warns(UserWarning) as warned:
        done = penstock("compile", "model.safetensors", "-o", "out", "--pes", "4")
    assert done.status == 0
    _, found = inspect("model.safetensors")  # which demands that nothing goes to stderr
    assert str(warned[0].message) in found["notes"]
