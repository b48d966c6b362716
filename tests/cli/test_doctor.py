"""``penstock doctor``: what is missing is told, with what it costs and how to get it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from penstock.cli import environment
from penstock.cli.environment import Item, libraries, tools, vendor
from penstock.cli.environment.item import BROKEN, MISSING, OK, OLD, tried
from penstock.errors import PenstockError


@pytest.fixture
def doctor(run_penstock, monkeypatch):
    """-> (exit status, item by name, the whole); nothing is compiled."""
    monkeypatch.setattr(tools, "trial", lambda needed: Item("C simulation", OK, needed_by=needed))

    def run():
        done = run_penstock("doctor", "--json")
        values = json.loads(done.out)
        assert done.err == "" and values["schema"] == 1
        assert values["ready"] == (done.status == 0) == all(values["works"].values())
        return done.status, {item["name"]: item for item in values["items"]}, values

    return run


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH of one folder, to which programs can be added."""
    folder = tmp_path / "2024.1" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)

    def add(*names):
        for name in names:
            (folder / name).write_text("#!/bin/sh\necho version 1\n")
            (folder / name).chmod(0o755)
        return folder

    return add


def test_here_the_basics_work(run_penstock, cpp_flags):
    done = run_penstock("doctor")
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("PASS: compile, run, csim work here\n")
    assert "ok       C simulation: a program with AMD's headers compiles and runs\n" in done.out
    for line in done.out.splitlines()[1:-1]:
        assert line.startswith(("ok ", "missing ", "too old ", "broken ", "         "))


def test_every_missing_item_says_what_it_costs_and_how_to_get_it(doctor):
    _, items, _ = doctor()
    for item in items.values():
        assert (item["state"] == OK) == (item["costs"] == "") == (item["remedy"] == ""), item


def test_all_libraries_of_the_metadata_are_looked_for(doctor):
    required, least = libraries.requirements()
    _, items, _ = doctor()
    assert {"numpy", "msgspec", "safetensors", "typer"} <= {*required}
    for name in required:
        assert items[name]["found"] == metadata.version(name)
        assert items[name]["needed_by"] == ["compile", "run", "csim"]
    assert {*libraries.COSTS} <= {*items}
    assert all(name in least for name, (extra, _) in libraries.COSTS.items() if extra)


def test_without_metadata_the_checkout_says_what_is_required(monkeypatch):
    expected = libraries.requirements()

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", missing)
    found = libraries.requirements()
    assert (sorted(found[0]), found[1]) == (sorted(expected[0]), expected[1])


def test_without_a_compiler_csim_can_not_work(doctor, path):
    path()
    status, items, values = doctor()
    assert (status, values["works"]) == (1, {"compile": True, "run": True, "csim": False})
    assert items["C++ compiler"]["state"] == MISSING
    assert items["C++ compiler"]["remedy"] == "install g++ or set CXX"
    assert items["make"]["state"] == items["Vitis HLS"]["state"] == MISSING


def test_clang_could_take_its_place(doctor, path):
    folder = path("clang++")
    _, items, _ = doctor()
    assert items["C++ compiler"]["remedy"] == "export CXX=clang++, or install g++ or set CXX"
    path("g++")
    _, items, _ = doctor()
    assert items["C++ compiler"]["found"] == (
        f"version 1 ({folder}/g++); {folder}/clang++ is there, too (CXX=clang++)"
    )


def test_without_headers_csim_can_not_work(doctor, monkeypatch):
    monkeypatch.setattr("penstock_runtime.csim.importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("PENSTOCK_AP_INCLUDE", raising=False)
    status, items, values = doctor()
    assert (status, values["works"]["csim"]) == (1, False)
    item = items["AMD's headers"]
    assert item["found"] == "AMD's ap_int.h is not installed"
    assert item["remedy"] == "pip install 'penstock[csim]', or set PENSTOCK_AP_INCLUDE"


@pytest.mark.parametrize(
    ("names", "flow"),
    [
        (("vitis-run", "v++"), "unified flow: 2024.1 (*/vitis-run)"),
        (("vitis_hls",), "classic flow: 2024.1 (*/vitis_hls)"),
        (("vitis-run", "vitis_hls", "v++"), "unified flow: 2024.1 (*/vitis-run)"),
    ],
    ids=["unified", "classic", "both"],
)
def test_the_flow_of_vitis_and_csim_without_a_compiler(names, flow, doctor, path):
    folder = path(*names)
    status, items, values = doctor()
    assert (status, values["works"]["csim"]) == (0, True), "csim runs in Vitis"
    assert items["Vitis HLS"]["found"] == flow.replace("*", str(folder))
    assert items["v++"]["state"] == (OK if "v++" in names else MISSING)
    assert items["C++ compiler"]["state"] == MISSING


def test_the_unified_flow_needs_v_plus_plus(doctor, path):
    path("vitis-run")
    assert "make csynth" in doctor()[1]["v++"]["costs"]


def test_xrt_is_where_its_headers_are(doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("XILINX_XRT", str(tmp_path))
    assert doctor()[1]["XRT"]["found"] == f"there is no {tmp_path}/include/xrt"
    (tmp_path / "include/xrt").mkdir(parents=True)
    assert doctor()[1]["XRT"] == doctor()[1]["XRT"] | {"state": OK, "found": str(tmp_path)}


def fake_torch(cuda, is_available):
    return SimpleNamespace(
        __version__="2.9.0", version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(is_available=lambda: is_available, get_device_name=lambda n: "A card"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("torch", "state", "found"),
    [
        (fake_torch("12.8", True), OK, "12.8, A card"),
        (fake_torch("12.8", False), MISSING, "torch finds no device"),
        (fake_torch(None, False), MISSING, "torch 2.9.0 is built without it"),
        (None, MISSING, "only torch could find it"),
    ],
    ids=["device", "no device", "no build", "no torch"],
)
def test_cuda_is_what_torch_finds(torch, state, found, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch)  # None: importing it fails
    item = vendor.cuda()
    assert (item.state, item.found) == (state, found)


def test_a_cache_that_can_not_be_written_costs_time_alone(doctor, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CACHE", "")
    status, items, _ = doctor()
    assert items["cache folder"]["state"] == MISSING and status == 0
    monkeypatch.setenv("PENSTOCK_CACHE", "/proc/nowhere")
    assert doctor()[1]["cache folder"]["state"] == MISSING


def test_a_library_that_is_too_old_is_told(monkeypatch):
    item = libraries.optional("torch", {"torch": "1000.0"})
    assert item.state == OLD and item.found.endswith(", not 1000.0")
    assert item.remedy == "pip install 'penstock[torch]'"
    assert libraries.python({"python": "99.0"}).state == OLD


@pytest.mark.parametrize(
    ("version", "least", "older"),
    [
        ("1.26", "1.26.0", False), ("1.9", "1.26", True), ("2.13.0+cpu", "2.2", False),
        ("2.0.0rc1", "2.0.1", True), ("10.0", "9.9.9", False), ("1.0", "", False),
    ],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(version, least, older):
    assert libraries.is_older(version, least) == older


def test_a_library_that_can_not_be_loaded_is_broken(doctor, monkeypatch):
    """Such as one built for another NumPy."""
    load = libraries.import_module

    def broken(name):
        if name == "onnx":
            raise AttributeError("_ARRAY_API not found\nmore")
        return load(name)

    monkeypatch.setattr(libraries, "import_module", broken)
    status, items, _ = doctor()
    assert (status, items["onnx"]["state"]) == (0, BROKEN)
    assert items["onnx"]["found"].endswith(": _ARRAY_API not found")
    monkeypatch.setattr(libraries, "MODULES", {"numpy": "onnx"})
    status, items, values = doctor()
    assert (status, items["numpy"]["state"]) == (1, BROKEN) and not any(values["works"].values())


def test_a_trial_that_fails_says_why(monkeypatch, cpp_flags):
    monkeypatch.setattr(tools, "TRIAL", "int main() { return x; }")
    item = tools.trial(("csim",))
    assert item.state == BROKEN and "x" in item.found and item.needed_by == ("csim",)
    monkeypatch.setattr(tools, "TRIAL", "int main() { return 1; }")
    assert tools.trial(()).found == "a program with AMD's headers gives a wrong result"


def test_what_a_look_raises_is_what_is_wrong():
    def fails(error):
        def find():
            raise error

        return tried("it", find, "costs", "remedy", ())

    assert fails(PenstockError("no", "here", "do")) == Item("it", MISSING, "no", "costs", "do")
    assert fails(OSError("no\nmore")) == Item("it", BROKEN, "no", "costs", "remedy")
    assert fails(subprocess.TimeoutExpired("g++", 60)).state == BROKEN
    with pytest.raises(ZeroDivisionError):
        fails(ZeroDivisionError())


@pytest.mark.parametrize("name", ["numpy", "msgspec", "rich"])
def test_it_runs_without_the_libraries_that_it_looks_for(name):
    program = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from penstock.cli.environment import tools, Item, libraries, vendor\n"
        "tools.trial = lambda needed: Item('C simulation', 'ok')\n"
        "libraries.COSTS, vendor.cuda = {}, lambda: Item('CUDA', 'ok')  # nothing large\n"
        "sys.argv[1:] = ['doctor', '--json']\n"
        "from penstock.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    items = {item["name"]: item for item in json.loads(done.stdout)["items"]}
    assert items[name]["state"] == BROKEN and items[name]["remedy"].startswith("pip install")


def test_the_basics_are_commands():
    from penstock.cli.main import COMMANDS

    assert {*environment.BASICS} <= {*COMMANDS}
