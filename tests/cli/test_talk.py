"""--json, --quiet and --verbose of every command."""

from __future__ import annotations

import inspect as inspection
import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from cli.given import lstm_tensors
from safetensors.numpy import save_file

from penstock.cli import check, completion, compress, export, lint, run, summary
from penstock.cli.main import COMMANDS
from penstock.cli.output import Talk, set_talk
from penstock.cli.progress import Bar, told_progress
from penstock.report import report
from penstock_runtime.bench import table

NEEDS = {"check": "hls4ml", "csim": "hls4ml", "lint": "clang", "export": "safetensors"}
WORDS = {
    "inspect": (("inspect", "project"), None),
    "compile": (("compile", "model.safetensors", "-o", "out"), summary.compile_values),
    "run": (("run", "project", "-i", "x.npy", "-o", "y.npy"), run.run_values),
    "csim": (("csim", "project"), check.csim_values),
    "check": (("check", "project", "-i", "x.npy"), check.check_values),
    "lint": (("lint", "project"), lint.lint_values),
    "rules": (("lint", "--rules"), lint.lint_values),
    "export": (("export", "project", "-o", "back.safetensors"), export.export_values),
    "report": (("report", "project"), report),
    "diff": (("diff", "project", "project"), None),
    "bench": (("bench", "project", "--no-cpu", "--ese"), table),
    "doctor": (("doctor",), None),
    "explore": (("explore", "model.safetensors", "--pes", "2,4"), None),
    "completion": (("completion", "fish"), completion.completion_values),
}  # fmt: skip
"""Command -> how it is called, and who describes its JSON, if no other test looks."""
OF_DATA = ("fit", "values", "lint", "hardware", "states", "settings", "versions", "files", "bits",
           "cycles_by_kind", "compression", "layers", "times_faster_than",
           "times_the_energy_efficiency_of")  # fmt: skip
"""Whose keys are names of the network, of resources, of settings or of rules."""


@pytest.fixture(params=WORDS)
def called(request, work, project):
    needed = NEEDS.get(request.param)
    if needed and find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    return WORDS[request.param]


def keys(value):
    """All keys of objects in objects and lists."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    deeper = (keys(item) for name, item in value.items() if name not in OF_DATA)
    return {*value}.union(*deeper)


def test_every_command_is_among_them():
    needs_torch = {"compress", "sensitivity"}  # tested below
    assert {words[0] for words, _ in WORDS.values()} | needs_torch == {*COMMANDS}


def test_json_is_one_described_value_and_nothing_else(called, penstock):
    words, describes = called
    done = penstock(*words, "--json")
    values = json.loads(done.out)
    assert (done.status, done.err) == (0, "")
    assert values["schema"] == (report.SCHEMA if describes is report else 1)
    if describes is not None:
        described = {*re.findall(r"\w+", inspection.cleandoc(describes.__doc__))}
        assert keys(values) <= described


@pytest.mark.parametrize("name", [name for name in WORDS if name not in ("csim", "lint")])
def test_quiet_says_nothing_where_nothing_is_wrong(name, penstock, project):
    words, _ = WORDS[name]
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    done = penstock(*words, "--quiet")
    silent = "" if words[0] != "completion" else done.out
    assert (done.status, done.out, done.err) == (0, silent, "")


@pytest.mark.parametrize("name", ["inspect", "compile", "run", "check", "bench"])
def test_verbose_says_more_on_standard_error_alone(name, penstock, project):
    words, _ = WORDS[name]
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    done = penstock(*words, "-v")
    assert done.status == 0 and " s  " not in done.out
    works = name in ("compile", "run", "check", "bench")
    assert bool(done.err) == works
    assert not works or re.match(r" +[\d.]+ s  \w", done.err)


@pytest.mark.parametrize("name", [*WORDS])
def test_quiet_and_verbose_are_not_both(name, refused, project):
    words, _ = WORDS[name]
    assert refused(*words, "-q", "-v") == (
        "--quiet and --verbose were both given (command line); hint: give one of them"
    )


def test_quiet_still_says_what_is_wrong(penstock, project, cpp_flags):
    vectors = bytearray((project / "tb/vectors.dat").read_bytes())
    vectors[-1] ^= 1
    (project / "tb/vectors.dat").write_bytes(vectors)
    done = penstock("check", "project", "-q")
    assert done.status == 1 and done.out.startswith("FAIL: first difference: ")
    assert done.out.count("\n") == 1 and done.err == ""
    values = json.loads(penstock("check", "project", "--json").out)
    assert values["passed"] is False and "call" in values["difference"]
    assert "tb/vectors.dat" in values["edited"]
    done = penstock("csim", "project", "-q")
    assert done.status == 1 and "FAIL" in done.out


def test_the_stages_of_a_compile_are_told(penstock):
    from penstock.stages import STAGES

    done = penstock("compile", "model.safetensors", "-o", "out", "--pes", "2", "--verbose")
    told = [re.sub(r" [\d/]+$", "", line.split(" s  ")[1]) for line in done.err.splitlines()]
    assert told == [*STAGES, "writing the project"]


def test_the_commands_that_train_print_json_too(penstock, work):
    pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (40, 4, 3)).astype(np.float32)
    y = (x[:, :, 0].cumsum(axis=1) > 0).astype(np.int64)
    np.savez("d.npz", x_train=x[:30], y_train=y[:30], x_valid=x[30:], y_valid=y[30:])
    (work / "m.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)\n"
        "        self.head = torch.nn.Linear(4, 2)\n"
        "    def forward(self, x):\n        return self.head(self.lstm(x)[0])\n"
    )
    asked = {
        compress.compress_values: (
            "compress", "m.py:Net", "d.npz", "-o", "m.safetensors", "--pes", "2", "--density",
            "0.5", "--dense-epochs", "1", "--prune-epochs", "1", "--qat-epochs", "1",
        ),
        compress.sensitivity_values: (
            "sensitivity", "m.py:Net", "d.npz", "--pes", "2", "--densities", "0.5", "--bits", "4",
        ),
    }  # fmt: skip
    for describes, words in asked.items():
        done = penstock(*words, "--task", "labelling", "--json")
        assert done.status == 0, done.err
        described = {*re.findall(r"\w+", inspection.cleandoc(describes.__doc__))}
        values = json.loads(done.out)
        assert {*values} <= described and values["schema"] == 1
        if "scores" in values:
            assert {row["model"] for row in values["scores"]} >= {"dense", "trained quantized"}


@pytest.fixture
def verbose():
    set_talk(Talk.VERBOSE)
    yield
    set_talk(Talk.USUAL)


def test_a_long_stage_says_how_far_and_how_fast_it_is(verbose, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("penstock.cli.progress.time.monotonic", lambda: now[0])
    with told_progress("calls") as tell:
        for done in range(0, 101, 10):
            tell("C simulation", done, 100)
            now[0] += 1.0
        tell("lint", 0, 1)
    assert capsys.readouterr().err.splitlines() == [
        "     0.0 s  C simulation 0/100", "     5.0 s  C simulation 50/100 10 calls/s",
        "    10.0 s  C simulation 100/100 10 calls/s", "    11.0 s  lint",
    ]  # fmt: skip


def test_a_stage_that_tells_nothing_gets_its_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr("penstock.cli.progress.PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("penstock.cli.progress.sys.stderr.isatty", lambda: True, raising=False)
    bar = Bar("calls")
    bar("choosing hardware", 3, 9)
    bar._timer.join()
    assert bar._bar is not None and bar._bar.tasks[0].description == "choosing hardware"
    bar.close()
    monkeypatch.setattr("penstock.cli.progress.PATIENCE_SECONDS", 60)
    quick = Bar()
    quick.close()
    quick._open()
    assert quick._bar is None


def test_quiet_draws_no_bar(monkeypatch):
    monkeypatch.setattr("penstock.cli.progress.sys.stderr.isatty", lambda: True, raising=False)
    set_talk(Talk.QUIET)
    try:
        assert not Bar()._timer.is_alive()
    finally:
        set_talk(Talk.USUAL)


def test_a_dense_network_is_told_what_pruning_would_give(penstock, work):
    save_file(lstm_tensors(), "model.safetensors")
    done = penstock("compile", "model.safetensors", "-o", "out", "--pes", "2", "--json")
    values = json.loads(done.out)
    (note,) = [note for note in values["notes"] if "hardly pruned" in note]
    assert "some 12 words instead of 120" in note
