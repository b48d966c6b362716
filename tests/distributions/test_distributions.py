"""What the two distributions hold, as far as that is known without a fresh environment.

``make wheel`` installs them.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import grimp
import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.version import __version__
from penstock_runtime import Interpreter

ROOT = Path(__file__).parents[2]
DECLARED = {
    name: tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    for name, folder in (("penstock", ROOT), ("penstock-runtime", ROOT / "runtime"))
}
FORBID = """
import sys
OWN = {"penstock", "penstock_runtime"}
THERE = OWN | {"msgspec", "numpy", "safetensors", *sys.stdlib_module_names}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in THERE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
"""As if nothing else was installed."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel of ``penstock-runtime``, as pip lays it out."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT / "runtime")).build(directory=str(folder))
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_the_runtime_holds_what_it_imports_and_no_more(unpacked):
    graph = grimp.build_graph("penstock", "penstock_runtime", cache_dir=None)
    wanted = graph.find_upstream_modules("penstock_runtime", as_package=True)
    wanted |= {name.rpartition(".")[0] for name in wanted} | {"penstock.version"}
    held = {
        ".".join(path.relative_to(unpacked).with_suffix("").parts).removesuffix(".__init__")
        for path in (unpacked / "penstock").rglob("*.py")
    }
    assert held == wanted
    compiled = [path for path in unpacked.rglob("*") if path.suffix == ".pyc"]
    assert not compiled


def alone(unpacked, program):
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    return subprocess.run(
        [sys.executable, "-c", FORBID + program], env=environment, capture_output=True, text=True
    )


def test_the_runtime_alone_gives_the_same_bits(unpacked, tmp_path):
    compiled = compile_model(random_model(cells=(6, 6), pes=2), None, Hardware(pes=2))
    folder = compiled.write(tmp_path / "project")
    x = np.random.default_rng(0).normal(0, 1, (2, 6, 5))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "raw.npy", Interpreter(folder).run(x).raw)
    program = ROOT / "tests/distributions/run_alone.py"
    done = alone(
        unpacked,
        f"sys.argv[1:] = [{str(tmp_path)!r}]\n"
        f"import importlib.util, runpy\n"
        f"importlib.util.find_spec = lambda name: None\n"
        f"runpy.run_path({str(program)!r})",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("numpy")


def test_the_runtime_says_in_a_line_that_it_compiles_nothing(unpacked):
    for name in ("compile", "frontend", "Hardware"):
        done = alone(unpacked, f"import penstock; penstock.{name}")
        assert done.stderr.splitlines()[-1] == (
            f"penstock.errors.PenstockError: penstock.{name} needs the compiler, which penstock-"
            "runtime does not have; hint: pip uninstall penstock-runtime, then pip install penstock"
        )
    done = alone(unpacked, "import penstock; penstock.nonsense")
    assert done.stderr.splitlines()[-1].startswith("AttributeError: module 'penstock' has no")


def test_both_distributions_say_the_same_of_themselves():
    compiler, runtime = DECLARED.values()
    for field in ("authors", "license", "requires-python"):
        assert compiler[field] == runtime[field]
    assert {*runtime["dependencies"]} < {*compiler["dependencies"]}
    assert runtime["optional-dependencies"]["csim"] == compiler["optional-dependencies"]["csim"]
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "runtime/LICENSE").read_bytes()


@pytest.mark.parametrize("name", DECLARED)
def test_every_python_that_is_tried_is_declared(name):
    supported = runpy.run_path(str(ROOT / "tests/distributions/distributions.py"))["SUPPORTED"]
    found = re.findall(r"Python :: (3\.\d+)", " ".join(DECLARED[name]["classifiers"]))
    assert found == [f"{major}.{minor}" for major, minor in supported]
    assert DECLARED[name]["requires-python"] == f">={found[0]}"


def test_the_citation_has_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
