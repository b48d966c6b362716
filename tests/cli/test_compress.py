"""penstock compress, and compile of what it saved."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cli.given import tree
from safetensors import safe_open
from safetensors.numpy import save_file

from penstock.cli import main

pytest.importorskip("torch")
FACTORY = """
import torch

class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])
"""
OPTIONS = ["--task", "labelling", "--pes", "4", "--density", "0.5", "--weight-bits", "5",
           "--dense-epochs", "2", "--prune-epochs", "2", "--qat-epochs", "1"]  # fmt: skip


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A factory and a data set: is the running sum of the first input positive?"""
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (80, 6, 3)).astype(np.float32)
    y = (x[:, :, 0].cumsum(axis=1) > 0).astype(np.int64)
    np.savez(tmp_path / "data.npz", x_train=x[:60], y_train=y[:60], x_valid=x[60:], y_valid=y[60:])
    (tmp_path / "model.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def penstock(monkeypatch, *arguments):
    """Run the command line; its exit status."""
    monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
    try:
        main()
    except SystemExit as status:
        return status.code
    return 0


def test_an_interrupt_says_that_the_run_can_go_on(workplace, monkeypatch, capsys):
    from penstock.compress.training import Loop

    def interrupt(*_):
        raise KeyboardInterrupt

    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    monkeypatch.setattr(Loop, "_epoch", interrupt)
    advice = "^run the same command again to resume from the last complete epoch$"
    with pytest.raises(KeyboardInterrupt, match=advice):
        penstock(monkeypatch, *made)
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    assert penstock(monkeypatch, *made) == 0


def test_compress_then_compile_needs_no_further_options(workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made) == 0
    shown = capsys.readouterr().out
    assert "trained quantized" in shown
    assert "; now: penstock compile small.safetensors -o DIR\n" in shown
    assert penstock(monkeypatch, "compile", "small.safetensors", "-o", "out") == 0
    assert "out: 4 PEs" in (said := capsys.readouterr().out) and "no calibration data" not in said
    graph = (workplace / "out/graph.json").read_text()
    assert '"type": "s5.' in graph and '"type": "s12.' not in graph
    assert not list(workplace.glob(".*")), "temporary files are left"
    assert penstock(monkeypatch, "compile", "--config", "out/penstock.toml", "-o", "again") == 0
    assert tree(workplace / "again") == tree(workplace / "out")


@pytest.mark.parametrize("given", [("--weight-bits", "3"), ("--weight-bits", "12")])
def test_formats_that_were_trained_are_not_overridden(workplace, monkeypatch, capsys, given):
    """Not even by what is the default elsewhere."""
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made) == 0
    compile_it = ["compile", "small.safetensors", "-o", "out", "--pes", "4"]
    assert penstock(monkeypatch, *compile_it, *given) == 2
    assert capsys.readouterr().err == (
        "error: the checkpoint carries the number formats it was trained for (small.safetensors); "
        "hint: leave out --calibration and the options for bits and tables\n"
    )


@pytest.mark.parametrize(
    "change, message",
    [
        (("model.py:Tagger", "model.py:Missing"), "model.py has no function Missing"),
        (("model.py:Tagger", "nothing.py:Tagger"), "there is no such file"),
        (("model.py:Tagger", "Tagger"), "does not name a factory"),
        (("data.npz", "none.npz"), "the file can't be read"),
        (("data.npz", "model.py"), "not a complete NumPy file of numbers"),
        (("small.safetensors", "small.pt"), "a compressed checkpoint must be a .safetensors file"),
        (("labelling", "translation"), "there is no task 'translation'"),
        (("0.5", "1.5"), "density"),
        (("5", "40"), "weights of 40 bits can't be built"),
        (("--pes", "--bank"), "pe_balanced"),
    ],
)
def test_what_can_not_be_compressed_is_refused_in_one_line(
    change, message, workplace, monkeypatch, capsys
):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    if change[0] == "--pes":
        made += ["--pattern", "bank_balanced"]
        message = "bank"
    else:
        made = [change[1] if part == change[0] else part for part in made]
    assert penstock(monkeypatch, *made) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert not (workplace / "small.safetensors").exists()


@pytest.mark.parametrize(
    "added, message",
    [
        (("--bank", "4"), "the pattern pe_balanced has no banks"),
        (("--banks", "4"), "the pattern pe_balanced has no banks"),
        (("--loss", "mape"), "there is no loss 'mape'"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(added, message, workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made, *added) == 2
    assert message in capsys.readouterr().err
    assert not (workplace / "small.safetensors.progress").exists()


def test_what_is_pruned_for_banks_is_compiled_for_them(workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    made[made.index("0.5")] = "0.4"
    made[made.index("--weight-bits") + 1] = "12"
    assert penstock(monkeypatch, *made, "--pattern", "bank_balanced", "--banks", "2") == 0
    shown = capsys.readouterr().out
    both = "lstm.weight_ih_l0 and lstm.weight_hh_l0"
    assert f"{both}: 2 weights of a row in each bank, density 36.4%\n" in shown
    assert "; now: penstock compile small.safetensors -o DIR --dataflow bank\n" in shown
    assert penstock(monkeypatch, "inspect", "small.safetensors") == 0
    said = capsys.readouterr().out
    assert "balanced for 2 banks of --dataflow bank\n" in said
    assert "next: penstock compile small.safetensors -o project --dataflow bank\n" in said
    choice = ["--dataflow", "bank", "--pes", "8"]
    assert penstock(monkeypatch, "compile", "small.safetensors", "-o", "out", *choice) == 0
    assert "the masks are balanced for 2 banks" in capsys.readouterr().out
    hardware = json.loads((workplace / "out/report.json").read_text())["hardware"]
    assert (hardware["dataflow"], hardware["pes"], hardware["rows"]) == ("bank", 8, 4)
    assert penstock(monkeypatch, "inspect", "out") == 0
    assert "balanced for 2 banks of --dataflow bank\n" in capsys.readouterr().out


def sensitivity(monkeypatch, *options):
    return penstock(monkeypatch, "sensitivity", "model.py:Tagger", "data.npz", "--task",
                    "labelling", "--pes", "4", *options)  # fmt: skip


def test_sensitivity_leads_to_densities_that_compress_takes(workplace, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    options = ["--density", "0.4", "-o", "found.json", "--plot", "found.svg"]
    assert sensitivity(monkeypatch, *options, "--densities", "0.5,0.25") == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("lstm.weight_ih_l0", "25%", "3 bits", "chosen"))
    assert "note: where there is a dash, head.weight stays dense: 4 PEs are more" in shown
    assert (workplace / "found.svg").read_text().count("lstm.weight_hh_l0") >= 1
    found = json.loads((workplace / "found.json").read_text())
    sizes = found["sizes"]
    total = sum(found["densities"][name] * size for name, size in sizes.items())
    assert total == pytest.approx(0.4 * sum(sizes.values()))
    assert len(found["rows"]) == len(sizes) * (2 + 5) - 2
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    assert penstock(monkeypatch, *made, "--densities", "found.json") == 0
    capsys.readouterr()
    wanted = found["densities"]["lstm.weight_hh_l0"]
    with safe_open(workplace / "small.safetensors", "numpy") as file:
        left = np.count_nonzero(file.get_tensor("lstm.weight_hh_l0")) / sizes["lstm.weight_hh_l0"]
    assert left <= wanted + 0.05  # quantization may make some more zero


def test_a_regression_is_measured_by_what_it_explains(workplace, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    with np.load("data.npz") as data:
        arrays = {name: data[name] for name in ("x_train", "x_valid")}
    targets = {f"y_{part}": arrays[f"x_{part}"][:, :, :2].cumsum(1) for part in ("train", "valid")}
    np.savez("data.npz", **arrays, **targets)
    words = ["sensitivity", "model.py:Tagger", "data.npz", "--task", "regression", "--pes", "4"]
    words += ["--densities", "0.5", "--bits", "4", "-o", "found.json", "--plot", "found.svg"]
    assert penstock(monkeypatch, *words) == 0
    shown = capsys.readouterr().out
    assert "R2 on the validation set, of " in shown and "%" not in shown.replace("50%", "")
    found = json.loads((workplace / "found.json").read_text())
    assert found["score"] == "R2" and found["trained"]["accuracy"] < 0.5
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    made[made.index("labelling")] = "regression"
    assert penstock(monkeypatch, *made) == 0
    shown = capsys.readouterr().out
    assert " R2 " in shown and "accuracy" not in shown
    assert penstock(monkeypatch, "compile", "small.safetensors", "-o", "out") == 0
    assert "decisions" not in capsys.readouterr().out


def test_rows_and_ranges_that_were_trained_are_what_is_compiled(workplace, monkeypatch, capsys):
    uneven = "".join(
        f"        self.lstm.weight_{kind}_l0.data[:3] /= 16\n" for kind in ("ih", "hh")
    )
    before, line, after = FACTORY.partition("        self.head")
    (workplace / "uneven.py").write_text(before + uneven + line + after)
    made = ["compress", "uneven.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    made += ["--row-scales", "--learn-ranges"]
    assert penstock(monkeypatch, *made) == 0
    assert penstock(monkeypatch, "compile", "small.safetensors", "-o", "out", "--pes", "4") == 0
    assert '"op": "scale"' in (workplace / "out/graph.json").read_text()
    assert penstock(monkeypatch, "check", "out") == 0
    assert "agree to the last bit" in capsys.readouterr().out


def test_rows_left_empty_are_told_on_a_line_each(workplace):
    """Without the program text that Python shows beside a warning."""
    made = ["compress", "model.py:Tagger", "data.npz", "-o", "small.safetensors", *OPTIONS]
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *made, "--density", "0.1"], capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert lines and all(line.startswith("warning: lstm.weight_") for line in lines)


def test_training_starts_from_given_weights(workplace, monkeypatch, capsys):
    made = ["compress", "model.py:Tagger", "data.npz", *OPTIONS]
    assert penstock(monkeypatch, *made, "-o", "first.safetensors") == 0
    capsys.readouterr()
    options = ["--weights", "first.safetensors", "--dense-epochs", "0", "-o", "second.safetensors"]
    assert penstock(monkeypatch, *made, *options) == 0
    shown = capsys.readouterr().out
    assert "dense 1/" not in shown and "pruned 1/" in shown


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["compress", "--densities", "none.json"],
         "the densities can't be read: No such file or directory (none.json)"),
        (["compress", "--densities", "model.py"], "the file holds no densities (model.py)"),
        (["compress", "--weights", "other.safetensors"], "the weights belong to another model"),
        (["sensitivity", "--weights", "other.safetensors"], "the weights belong to another model"),
        (["sensitivity", "--plot", "picture.txt"],
         "plots can't be saved as .txt (picture.txt); hint: name it .png, .svg, .pdf"),
        (["sensitivity", "--bits", "8;4"], "'8;4' is not a list of numbers (--bits)"),
        (["sensitivity", "--bits", "1"], "weights of 1 bits can't be measured (sensitivity)"),
        (["sensitivity", "--densities", "0.5,1.5"], "density 1.5 is outside (0, 1]"),
        (["sensitivity", "--density", "0.01"],
         "an overall density of 0.01 is below all that were measured"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_and_writes_nothing(workplace, monkeypatch, capsys, command, line):
    save_file({"lstm.weight_ih_l0": np.zeros((4, 4), np.float32)}, "other.safetensors")
    before = sorted(workplace.iterdir())
    options = ["-o", "out.safetensors"] if command[0] == "compress" else ["-o", "out.json"]
    task = ["--task", "labelling", "--pes", "4"]
    given = [command[0], "model.py:Tagger", "data.npz", *task, *options, *command[1:]]
    assert penstock(monkeypatch, *given) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {line}") and shown.count("\n") == 1
    left = [path for path in workplace.iterdir() if path not in before]
    assert [path.name for path in left if path.suffix != ".progress"] in ([], ["__pycache__"])
