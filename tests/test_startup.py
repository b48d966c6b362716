"""What a start loads: counted in modules, for seconds depend on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from inspect import cleandoc, unwrap

import numpy as np
import pytest
from support import random_model

import penstock
from penstock import Hardware
from penstock.cli.main import COMMANDS, command_of
from penstock.driver import compile_model

COMPILER = {
    "calibration", "codegen", "compress", "driver", "entry", "fidelity", "folding", "frontend",
    "golden", "layers", "lowering", "machine", "model", "nn", "report", "schedule", "settings",
}  # fmt: skip
"""The parts of ``penstock`` that a project is run without."""
HEAVY = {"jinja2", "networkx", "onnx", "onnxruntime", "torch"}
TO_DRAW = {"markdown_it", "pygments", "rich"}
LAUNCH = "import sys; from penstock.cli import main; sys.argv[1:] = {}; main()"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    compile_model(random_model(pes=2), None, Hardware(pes=2)).write(folder / "project")
    np.save(folder / "x.npy", np.zeros((3, 5)))
    return folder


def loaded(program):
    """The packages that ``program`` loads in an interpreter of its own, those of Penstock by part:
    ``torch``, ``penstock.ir``, ``penstock_runtime``.
    """
    show = "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    done = subprocess.run([sys.executable, "-c", show + program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [name.split(".") for name in done.stderr.split()]
    return {".".join(parts[: 2 if parts[0] == "penstock" else 1]) for parts in names}


def parts(names):
    return {f"penstock.{name}" for name in names}


def test_a_project_is_run_without_the_compiler(project):
    found = loaded(
        "import numpy as np\nfrom penstock_runtime import Interpreter, Session\n"
        f"Interpreter({str(project / 'project')!r}).run(np.zeros((3, 5)))\n"
        f"Session({str(project / 'project')!r}).step(np.zeros(5))"
    )
    assert {"numpy", "penstock.ir", "penstock_runtime"} <= found
    assert not found & (parts(COMPILER | {"cli"}) | HEAVY | TO_DRAW | {"typer"})


def test_reading_a_project_needs_nothing_that_only_writing_one_does():
    assert not loaded("import penstock_runtime") & {"concurrent", "shutil", "zipfile"}


def test_penstock_itself_is_names_alone():
    found = loaded("import penstock")
    assert not found & {"numpy", "penstock_runtime", "typer"} | HEAVY & found
    ours = {name for name in found if name.startswith("penstock.")}
    assert ours == parts({"errors", "version"})


@pytest.mark.parametrize("words", [["--version"], ["--help"], []])
def test_the_list_of_commands_loads_none_of_them(words):
    found = loaded(LAUNCH.format(words))
    assert not found & ({"msgspec", "numpy", "penstock_runtime"} | HEAVY)
    ours = {name for name in found if name.startswith("penstock.")}
    assert ours == parts({"cli", "errors", "version"})


def test_the_version_is_printed_without_what_draws_tables():
    assert not loaded(LAUNCH.format(["--version"])) & TO_DRAW


def test_run_loads_the_runtime_and_no_tables(project):
    words = ["run", "project", "-i", "x.npy", "-o", "y.npy"]
    words = [str(project / word) if "." in word or word == "project" else word for word in words]
    found = loaded(LAUNCH.format(words))
    assert "penstock_runtime" in found and (project / "y.npy").exists()
    assert not found & (parts(COMPILER) | HEAVY | TO_DRAW)


@pytest.mark.parametrize("command", ["compress", "sensitivity", "compile", "inspect", "doctor"])
def test_the_help_of_a_command_loads_no_more_than_its_options(command):
    found = loaded(LAUNCH.format([command, "--help"]))
    assert not found & (parts(COMPILER - {"settings"}) | {"penstock_runtime"} | HEAVY)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name):
    function = unwrap(command_of(name))
    assert COMMANDS[name][1] == " ".join(cleandoc(function.__doc__).split("\n\n")[0].split())


def test_every_name_of_penstock_is_there_and_is_what_it_says():
    for name in penstock.__all__:
        assert getattr(penstock, name) is not None
    assert penstock.Hardware is Hardware
    assert {*penstock.__all__, "compress", "frontend"} <= {*dir(penstock)}
    with pytest.raises(AttributeError, match="module 'penstock' has no attribute 'compiler'"):
        _ = penstock.compiler


def test_parts_of_penstock_are_there_without_an_import_of_their_own():
    found = loaded(
        "import penstock\n"
        "assert penstock.frontend.HeadOptions is penstock.HeadOptions\n"
        "assert penstock.compress.Cubic and penstock.driver.compile_graph and penstock.ir.Graph"
    )
    assert parts({"compress", "driver", "frontend", "ir"}) <= found


@pytest.mark.parametrize("command", COMMANDS)
def test_blas_has_one_thread_for_small_products_unless_the_user_says_otherwise(
    command, monkeypatch
):
    program = import_module("penstock.cli.main")
    monkeypatch.setattr(program, "command_of", lambda name: lambda: None)
    for before, after in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")):
        monkeypatch.setattr(os, "environ", environment := dict(before))
        program._loaded(command)
        trains = command in ("compress", "sensitivity")
        assert environment == (before if trains else {"OPENBLAS_NUM_THREADS": after})
