"""penstock.toml: what it may say, what is made of it, and a project made again from its own."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from cli.given import CELLS, INPUTS, lstm_tensors, tree
from safetensors.numpy import save_file

from penstock import Hardware, compile_checkpoint
from penstock.config import Origin, Source, config_text, read_config

PAGE = Path(__file__).parents[2] / "docs/command-line.md"


def write(text, path="p.toml"):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A network with a head, and everything else that a compile reads."""
    folder = tmp_path_factory.mktemp("inputs")
    generator = np.random.default_rng(3)
    head = {
        "head.weight": generator.normal(size=(3, CELLS)).astype(np.float32),
        "head.bias": generator.normal(size=3).astype(np.float32),
    }
    save_file(lstm_tensors(prefix="lstm.") | head, folder / "net.safetensors")
    frames = generator.normal(size=(3, 5, INPUTS))
    np.save(folder / "x.npy", frames)
    np.save(folder / "n.npy", np.array([5, 3, 2]))
    state = generator.normal(0, 0.1, size=(1, 3, CELLS))
    np.savez(folder / "s.npz", h_0=state, c_0=state)
    np.savez(folder / "v.npz", x=frames, lengths=np.array([5, 4, 1]), y=np.array([0, 1, 2]))
    return folder


EVERYTHING = (
    "--calibration", "x.npy", "--calibration-lengths", "n.npy", "--calibration-state", "s.npz",
    "--validate", "v.npz", "--head", "last", "--head-activation", "argmax", "--board", "kv260",
    "--pes", "3", "--lanes", "2", "--no-overlap", "--accumulator-banks", "8", "--port-bits", "64",
    "--weight-bits", "9", "--bias-bits", "s14.9 TRN SAT", "--type", "l0.c=s17.11", "--row-scales",
    "--index-bits", "2", "--interpolate-bits", "1", "--table-entries", "256",
)  # fmt: skip


@pytest.mark.parametrize("words", [EVERYTHING, ()], ids=["every option", "none"])
def test_a_project_is_made_again_from_its_own_file_byte_for_byte(
    words, penstock, inputs, work, monkeypatch
):
    for file in inputs.iterdir():
        shutil.copy(file, work)
    assert penstock("compile", "net.safetensors", "-o", "project", *words).status == 0
    before = tree(work / "project")
    provenance = json.loads(before["report.json"])["provenance"]
    for source in provenance["files"].values():
        assert source["sha256"] == hashlib.sha256(Path(source["name"]).read_bytes()).hexdigest()
        assert source["sha256"] in before["report.html"].decode()
    assert provenance["command"] in html.unescape(before["report.html"].decode())
    shutil.rmtree(work / "project/kernel")  # made anew, not left as it was
    again = ("compile", "--config", "project/penstock.toml")
    done = penstock(*again, "-o", "elsewhere/again")
    assert (done.status, done.err) == (0, "")
    assert tree(work / "elsewhere/again") == before
    assert penstock(*again, "--overwrite").status == 0
    assert tree(work / "project") == before
    monkeypatch.chdir("project")
    assert penstock("compile", "--config", "penstock.toml", "-o", "../third").status == 0
    assert tree(work / "third") == before


def test_the_same_files_elsewhere_give_the_same_project(penstock, inputs, work, monkeypatch):
    """By absolute paths, through another folder, into one of another name."""
    shutil.copytree(inputs, work / "a")
    shutil.copytree(inputs, work / "b/c")
    monkeypatch.chdir(work / "a")
    words = ("--calibration", "x.npy", "--validate", "v.npz", "--pes", "2")
    assert penstock("compile", "net.safetensors", "-o", "one", *words).status == 0
    monkeypatch.chdir("/")
    there = work / "b/c"
    words = ("--calibration", there / "x.npy", "--validate", there / "v.npz", "--pes", "2")
    assert penstock("compile", there / "net.safetensors", "-o", work / "two", *words).status == 0
    assert tree(work / "a/one") == tree(work / "two")
    for content in tree(work / "two").values():
        assert content is None or str(work).encode() not in content


def test_the_file_has_what_was_given_and_what_was_chosen(penstock, work):
    words = ("--board", "kv260", "--dataflow", "broadcast", "--weight-bits", "s9.7")
    assert penstock("compile", "model.safetensors", "-o", "out", *words).status == 0
    text = Path("out/penstock.toml").read_text()
    stored, report = tomllib.loads(text), json.loads(Path("out/report.json").read_text())
    assert stored["files"] == {"model": "model.safetensors"}
    assert stored["hardware"]["board"] == "kv260" and "pes" not in stored["hardware"]
    assert stored["precision"]["weights"] == "s9.7"
    chosen = report["hardware"]
    for name in ("pes", "clock_mhz", "queue_depth"):
        assert f"# {name} = {chosen[name]}" in text.splitlines()
    assert report["provenance"]["settings"]["hardware"]["pes"] is None


def test_the_command_line_counts_before_the_file(penstock, work):
    write(
        '[files]\nmodel = "model.safetensors"\noutput = "out"\n'
        "[hardware]\npes = 3\nlanes = 2\noverlap = false\n"
        "[precision]\nrow_scales = true\nbiases = 9\n"
    )
    words = ("compile", "--config", "p.toml", "--pes", "2", "--no-row-scales", "--overlap")
    assert penstock(*words).status == 0
    settings = json.loads(Path("out/report.json").read_text())["provenance"]["settings"]
    hardware, precision = settings["hardware"], settings["precision"]
    assert (hardware["pes"], hardware["lanes"], hardware["overlap"]) == (2, 2, True)
    assert (precision["row_scales"], precision["biases"]) == (False, 9)


def test_a_relative_path_is_one_beside_the_file(penstock, work):
    shutil.copytree(".", "sub", ignore=shutil.ignore_patterns("sub"))
    for name in ("model.safetensors", "x.npy"):
        Path(name).unlink()
    write(
        '[files]\nmodel = "model.safetensors"\ncalibration = "x.npy"\noutput = "out"\n'
        "[hardware]\npes = 2\n",
        "sub/my.toml",
    )
    assert penstock("compile", "--config", "sub/my.toml").status == 0
    assert Path("sub/out/penstock.json").is_file() and not Path("out").exists()


def test_the_page_shows_a_file_that_is_read(work):
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    config = read_config(Path(write(shown)))
    assert {table for table, values in config.given.items() if values} == {*config.given}
    assert Hardware(**config.given["hardware"]) == Hardware(board="kv260", lanes=2)


def test_any_name_of_a_file_is_read_as_it_was_written(work):
    for name in ('a"b\\c.pt', "é \x7f\x01\n#.pt", "[x] = 'y'.pt"):
        text = config_text(Origin({"model": Source(name, "0")}), {})
        assert tomllib.loads(text)["files"]["model"] == name


HERE = '[files]\nmodel = "model.safetensors"\noutput = "out"\n'
REFUSED = {
    "[hardware]\npse = 4": (
        "the configuration has an unknown key hardware.pse (p.toml); "
        "hint: did you mean hardware.pes?"
    ),
    "[hardware]\nweight-bits = 4": "hint: did you mean precision.weights?",
    "[hardware]\nWeights = 4": "hint: did you mean precision.weights?",
    "pes = 4": "an unknown key pes (p.toml); hint: did you mean hardware.pes?",
    "[hardwear]\npes = 4": "an unknown key hardwear (p.toml); hint: did you mean hardware?",
    "[network]\nzzzzzz = 4": "its keys are those of docs/command-line.md, such as hardware.pes",
    "[sha256]\nmodle = 'x'": "unknown key sha256.modle (p.toml); hint: did you mean files.model?",
    "sha256 = 3": "sha256 must be a table of texts (p.toml); hint: one for each file",
    "[sha256]\nmodel = 3": "sha256 must be a table of texts",
    "[sha256]\nmodel = 'abc'": (
        "model.safetensors, which the configuration names, is another file: its sha256 differs "
        "(model.safetensors); hint: give it as MODEL, or restore it"
    ),
    "[hardware]\npes = '4'": (
        "hardware.pes must be an integer, not text (p.toml); hint: mend the configuration"
    ),
    "[hardware]\npes = true": "hardware.pes must be an integer, not a flag",
    "[hardware]\npes = 4.0": "hardware.pes must be an integer, not a number",
    "[hardware]\noverlap = 1": "hardware.overlap must be true or false, not an integer",
    "[hardware]\nclock_mhz = 'fast'": "hardware.clock_mhz must be a number, not text",
    "[hardware]\nboard = 3": "hardware.board must be text, not an integer",
    "[hardware]\npes = 1979-05-27": "hardware.pes must be an integer, not a date",
    "[network]\nonly = 'lstm'": "network.only must be a list of texts, not text",
    "[network]\nonly = [1]": "network.only must be a list of texts, not a list",
    "[precision]\nweights = 's9'": (
        "precision.weights must be a number of bits, or a type such as s16.12, not text: "
        "'s9' is not a type such as s16.12 (p.toml); hint: mend the configuration"
    ),
    "[precision]\nweights = 's99.9'": "width 99 is outside 1..60",
    "[precision]\nweights = 's9.9 UP WRAP'": "'AP_UP' is not a valid Rounding",
    "[precision]\noverrides = ['s9.9']": "precision.overrides must be a type such as s16.12 for",
    "[precision.overrides]\n'l0.c' = 9": "precision.overrides must be a type such as s16.12 for",
    "[precision.overrides]\n'l9.c' = 's9.8'": "there is no tensor l9.c to override (precision)",
    "[precision.row_exponents]\n'l0.W_ix' = 3": "precision.row_exponents must be integers for",
    "hardware = 3": "hardware must be a table, not an integer (p.toml); hint: write [hardware]",
    "[hardware]\npes = 4000": "the hardware can't have 4000 PEs (hardware settings)",
    "[hardware": "the configuration is not TOML: ",
    "[hardware]\n[hardware]": "the configuration is not TOML: ",
    f"x = {'[' * 5000}": "the configuration is not TOML: ",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_a_file_that_makes_no_sense_is_one_line(text, refused, work):
    is_top = not text.startswith("[")
    write(f"{text}\n{HERE}" if is_top else f"{HERE}{text}\n")
    assert REFUSED[text] in refused("compile", "--config", "p.toml")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (1 << 22) + b"xx"], ids=["bytes", "long"])
def test_a_file_of_another_kind_is_one_line(content, refused, work):
    Path("p.toml").write_bytes(content)
    assert refused("compile", "--config", "p.toml").startswith("the configuration is no")


PLACES = {
    ("--config", "none.toml"): "the configuration can't be read: No such file or directory",
    ("--config", "."): "the configuration can't be read: Is a directory",
    ("--config", "p.toml"): "there is nothing to compile (compile)",
    ("--config", "p.toml", "model.safetensors"): "there is no folder to write the project to",
    ("--config", "gone.toml", "-o", "out"): (
        "gone.pt, which the configuration names, is not there (gone.toml); "
        "hint: give it as MODEL, or restore it"
    ),
    ("--config", "frames.toml", "-o", "out"): "hint: give --calibration FILE, or restore it",
}  # fmt: skip


@pytest.mark.parametrize("words", PLACES, ids=" ".join)
def test_what_is_not_there_is_one_line(words, refused, work):
    write("[hardware]\npes = 2\n")
    write('[files]\nmodel = "gone.pt"\n', "gone.toml")
    write('[files]\nmodel = "model.safetensors"\ncalibration = "no.npy"\n', "frames.toml")
    assert PLACES[words] in refused("compile", *words)


def test_a_checkpoint_that_is_another_is_refused_or_told(penstock, refused, work):
    assert penstock("compile", "model.safetensors", "-o", "out", "--pes", "2").status == 0
    tensors = lstm_tensors()
    tensors["bias_ih_l0"] += 1
    save_file(tensors, "model.safetensors")
    assert refused("compile", "--config", "out/penstock.toml") == (
        "model.safetensors, which the configuration names, is another file: its sha256 differs "
        "(model.safetensors); hint: give it as MODEL, or restore it"
    )
    given = ("compile", "model.safetensors", "--config", "out/penstock.toml", "-o", "new")
    told = "model.safetensors is not the model of out/penstock.toml: its sha256 differs"
    with pytest.warns(UserWarning, match=re.escape(told)):
        assert penstock(*given).status == 0
    found = json.loads(penstock("diff", "out", "new", "--json").out)
    (told,) = [one["rows"] for one in found["sections"] if one["name"] == "provenance"]
    assert [row["name"] for row in told] == ["files.model.sha256"]


def test_the_command_of_the_report_gives_the_project(penstock, inputs, work):
    for file in inputs.iterdir():
        shutil.copy(file, work)
    assert penstock("compile", "net.safetensors", "-o", "first", *EVERYTHING).status == 0
    report = json.loads(Path("first/report.json").read_text())
    program, *words = shlex.split(report["provenance"]["command"])
    assert program == "penstock" and penstock(*words).status == 0
    assert tree(work / "project") == tree(work / "first")


def test_frames_from_python_are_no_file_and_that_is_said(work):
    frames = np.load("x.npy")
    compiled = compile_checkpoint("model.safetensors", frames, Hardware(pes=2))
    provenance = compiled.report["provenance"]
    assert provenance["command"] is None and [*provenance["files"]] == ["model"]
    assert b"came from Python" in compiled.files["penstock.toml"]
    whole = compile_checkpoint("model.safetensors", None, Hardware(pes=2))
    assert whole.report["provenance"]["command"] == (
        "penstock compile model.safetensors -o project --pes 2"
    )
