"""The files around the kernel: what can be shown of them without Vitis, a card or a board."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penstock.driver import compile_model
from penstock.ir.evaluate import evaluate
from penstock.settings import Hardware
from penstock_runtime import csim
from support import random_model

HERE = Path(__file__).parent
HOST_FLAGS = ("-O1", "-std=c++17", "-Wall", "-Wextra", "-Werror")
PROJECTS = {
    "projection": (  # a result for every step; two groups of PEs, narrow ports
        {"inputs": 5, "cells": (16,), "outputs": 8, "peephole": True, "pes": 8, "density": 0.5},
        {"pes": 8, "port_bits": 128},
    ),
    "classifier": (  # one result a sequence; buffered frames, lanes, empty positions
        {"inputs": 5, "cells": (9, 6), "bidirectional": [True, False], "head": 3, "activation": "argmax"},
        {"pes": 4, "lanes": 2, "max_steps": 12},
    ),
}  # fmt: skip


class Built:
    """A project as it was emitted, and a copy of it in which tests may build."""

    def __init__(self, name, folder):
        model, hardware = PROJECTS[name]
        self.compiled = compile_model(random_model(**model), None, Hardware(**hardware))
        self.folder = folder
        self.files = self.compiled.files
        self.texts = {
            path: content.decode()
            for path, content in self.files.items()
            if not path.endswith((".bin", ".dat", ".safetensors"))
        }
        self.compiled.write(folder)


@pytest.fixture(scope="module", params=PROJECTS)
def project(request, tmp_path_factory):
    return Built(request.param, tmp_path_factory.mktemp(request.param) / "project")


@pytest.fixture(scope="module")
def kernel_objects(project, cpp_flags):
    """The kernel and the bytes-to-beats call around it, compiled for a library or a program."""
    objects = []
    for source in (project.folder / "kernel/lstm_top.cpp", HERE / "fake_xrt/call_kernel.cpp"):
        objects.append(project.folder / f"{source.stem}.o")
        subprocess.run(
            [csim.compiler(), *cpp_flags, "-O1", "-fPIC", f"-I{project.folder}/kernel",
             f"-I{HERE}/fake_xrt", "-c", source, "-o", objects[-1]],
            check=True,
        )  # fmt: skip
    return objects


def make(folder, *arguments, path=None):
    """Run make; ``path`` replaces PATH but for the folders of the system's own tools."""
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("MAKEFLAGS", None)
    if path is not None:
        environment["PATH"] = f"{path}:/usr/bin:/bin"
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, text=True, capture_output=True
    )


def install(folder, name, text):
    """A program of our own on a PATH of our own."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IEXEC)


def pointer_ports(texts):
    return re.findall(r"m_axi port=(\w+)", texts["kernel/lstm_top.cpp"])


def test_same_input_gives_the_same_text_without_traces_of_the_machine(project):
    again = Built("classifier" if "MAX_STEPS" in project.texts["kernel/config.h"] else "projection",
                  project.folder.parent / "again")  # fmt: skip
    assert again.files == project.files
    text = "\n".join(project.texts.values())
    for trace in (str(Path.home()), str(project.folder), os.path.realpath(sys.prefix), "20 Nov"):
        assert trace not in text


# Build files


def test_every_file_that_the_build_files_name_is_in_the_project(project):
    config = re.findall(r"^(?:syn|tb)\.file=(.+)$", project.texts["hls_config.cfg"], re.M)
    tcl = re.findall(r"^add_files (?:-tb )?(\S+)", project.texts["run_hls.tcl"], re.M)
    assert config == tcl
    assert set(config) <= set(project.files)
    loaded = {path for path in project.files if path.endswith((".bin", ".dat"))}
    assert loaded <= set(config)  # the test bench finds them by their base names
    assert len({Path(name).name for name in config}) == len(config)


def test_config_holds_part_then_one_section_with_known_keys(project):
    lines = [line for line in project.texts["hls_config.cfg"].splitlines() if line[0:1] not in "#"]
    assert lines[:2] == ["part=xcu55c-fsvh2892-2L-e", "[hls]"]
    assert dict(line.split("=", 1) for line in lines[2:] if ".file=" not in line) == {
        "flow_target": "vitis", "clock": "5ns", "clock_uncertainty": "15%", "syn.top": "lstm_top",
        "syn.cflags": "-std=c++14 -Ikernel", "tb.cflags": "-std=c++14 -Ikernel",
        "csim.argv": "vectors.dat", "cosim.trace_level": "none", "cosim.enable_fifo_sizing": "1",
        "package.output.format": "xo",
    }  # fmt: skip
    assert "package.output.file=lstm_top.xo" in lines


def test_links_every_memory_port_of_the_kernel_to_a_bank(project):
    link = project.texts["link.cfg"]
    connected = re.findall(r"^sp=lstm_top_1\.(\w+):HBM\[(\d+)\]$", link, re.M)
    assert [port for port, _ in connected] == pointer_ports(project.texts)
    banks = [int(bank) for port, bank in connected if port.startswith("weights_")]
    assert banks == list(range(1, len(banks) + 1))
    assert "slr=lstm_top_1:SLR0\n" in link
    assert "freqHz=200000000:lstm_top_1\n" in link


@pytest.mark.parametrize(
    ("part", "target", "package", "bank"),
    [
        ("xcu250-figd2104-2L-e", "vitis", "xo", "DDR[1]"),
        ("xck26-sfvc784-2LV-c", "vivado", "ip_catalog", "DDR[0]"),
        ("xc7z020clg400-1", "vivado", "ip_catalog", "DDR[0]"),
    ],
)
def test_packages_cards_for_the_linker_and_embedded_parts_for_vivado(part, target, package, bank):
    hardware = Hardware(pes=4, part=part, clock_mhz=300)
    files = compile_model(random_model(), None, hardware).files
    config = files["hls_config.cfg"].decode()
    assert f"part={part}\n" in config
    assert f"flow_target={target}\nclock=3.33333ns\n" in config
    assert f"package.output.format={package}\n" in config
    assert f"-flow_target {target}\n" in files["run_hls.tcl"].decode()
    assert f"weights_0:{bank}\n" in files["link.cfg"].decode()
    assert ("slr=" in files["link.cfg"].decode()) == (package == "xo")


def test_says_so_when_a_platform_has_too_few_memory_ports():
    model = random_model(inputs=4, cells=(512,), density=0.02)
    link = compile_model(model, None, Hardware(pes=512)).files["link.cfg"].decode()
    ports = link.count("\nsp=")
    assert ports > 32
    assert f"# {ports} memory ports; a platform has 32: use fewer PEs.\n" in link
    assert "weights_31:HBM[0]\n" in link


TCL_STUBS = """
foreach name {{set_top add_files open_solution set_part create_clock set_clock_uncertainty csim_design
    csynth_design cosim_design export_design {opens}}} {{
  proc $name args "puts \\[list $name {{*}}\\$args\\]"
}}
source run_hls.tcl
"""


def run_tcl(folder, opens):
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed")
    return subprocess.run(
        ["tclsh"], input=TCL_STUBS.format(opens=opens), cwd=folder, text=True, capture_output=True
    )


def commands(output):
    return [line.split()[0] for line in output.splitlines()]


def test_tcl_runs_as_a_project_or_as_a_component(project):
    classic = run_tcl(project.folder, "open_project").stdout
    opening, top, *_ = classic.splitlines()
    assert (opening, top) == ("open_project -reset vitis_project", "set_top lstm_top")
    assert "open_solution -reset solution -flow_target vitis" in classic
    assert classic.splitlines()[-1] == "csim_design -argv vectors.dat"
    component = run_tcl(project.folder, "open_project open_component").stdout
    assert component.splitlines()[0] == "open_component -reset vitis_component -flow_target vitis"
    assert commands(component)[1:] == [
        name for name in commands(classic)[1:] if name != "open_solution"
    ]


def test_tcl_takes_its_steps_from_a_file(project):
    steps = project.folder / "vitis/steps.tcl"
    steps.parent.mkdir(exist_ok=True)
    try:
        steps.write_text("set steps {csynth cosim package}\n")
        done = commands(run_tcl(project.folder, "open_project").stdout)
        assert done[-3:] == ["csynth_design", "cosim_design", "export_design"]
        steps.write_text("set steps {synth}\n")
        assert "unknown step synth in vitis/steps.tcl" in run_tcl(project.folder, "x").stderr
    finally:
        steps.unlink()


# The Makefile


def test_make_csim_compiles_without_warnings_and_passes(project, cpp_flags):
    flags = " ".join(csim.include_flags())
    done = make(project.folder, "csim", f"AP_INCLUDE={flags}")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert re.search(r"^PASS: 2 calls, \d+ beats compared, 0 different$", done.stdout, re.M)
    assert (project.folder / "csim/lstm_tb").is_file()


def test_make_csim_says_what_is_missing(project):
    folder = project.folder.parent / "without_headers"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("csim"))
    done = make(folder, "csim", "PYTHON=false")
    assert done.returncode == 2
    assert "AMD's ap_int.h is not found: pip install 'penstock[csim]'" in done.stderr


def test_make_clean_removes_what_it_made_and_nothing_else(project, tmp_path):
    folder = tmp_path / "project"
    project.compiled.write(folder)
    before = sorted(folder.rglob("*"))
    for made in (
        "csim/lstm_tb",
        "vitis/csynth.done",
        "lstm_top.xo",
        "lstm_top.xclbin",
        "host/host",
    ):
        (folder / made).parent.mkdir(exist_ok=True)
        (folder / made).touch()
    assert make(folder, "clean").returncode == 0
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("target", ["vitis-csim", "csynth", "cosim", "package"])
def test_without_vitis_a_target_says_what_to_do(project, tmp_path, target):
    done = make(project.folder, target, path=tmp_path)
    assert done.returncode == 2
    assert "Vitis is not on PATH: neither vitis-run (2023.1 and later) nor vitis_hls" in done.stderr


def test_with_the_unified_tools_each_target_runs_its_command(project, tmp_path):
    for tool in ("vitis-run", "v++", "vitis_hls"):
        install(tmp_path / "bin", tool, f'#!/bin/sh\necho "{tool} $*" >> {tmp_path}/log\n')
    folder = tmp_path / "project"
    project.compiled.write(folder)
    targets = ("vitis-csim", "csynth", "cosim", "package")
    assert [make(folder, name, path=tmp_path / "bin").returncode for name in targets] == [0] * 4
    common = "--config hls_config.cfg --work_dir vitis"
    assert (tmp_path / "log").read_text().splitlines() == [
        f"vitis-run --mode hls --csim {common}", f"v++ -c --mode hls {common}",
        f"vitis-run --mode hls --cosim {common}", f"vitis-run --mode hls --package {common}",
    ]  # fmt: skip


def test_with_the_classic_tool_each_target_runs_its_steps(project, tmp_path):
    if shutil.which("tclsh") is None:
        pytest.skip("tclsh is not installed")
    stubs = TCL_STUBS.format(opens="open_project")
    install(tmp_path / "bin", "vitis_hls", f"#!/bin/sh\ntclsh <<'END'\n{stubs}\nEND\n")
    folder = tmp_path / "project"
    project.compiled.write(folder)
    expected = {
        "vitis-csim": ["csim_design"], "csynth": ["csynth_design"],
        "cosim": ["csynth_design", "cosim_design"], "package": ["csynth_design", "export_design"],
    }  # fmt: skip
    for target, steps in expected.items():
        done = make(folder, target, path=tmp_path / "bin")
        assert done.returncode == 0
        assert [name for name in commands(done.stdout) if name.endswith("_design")] == steps
        assert not (folder / "vitis/steps.tcl").exists()


def test_link_asks_for_a_platform_the_tool_and_a_kernel(project, tmp_path):
    folder = tmp_path / "project"
    project.compiled.write(folder)
    assert "which platform?" in make(folder, "link", path=tmp_path).stderr
    assert "v++ is not on PATH" in make(folder, "link", "PLATFORM=p", path=tmp_path).stderr
    install(tmp_path, "v++", '#!/bin/sh\necho "v++ $*"\n')
    assert "make package first" in make(folder, "link", "PLATFORM=p", path=tmp_path).stderr
    (folder / "lstm_top.xo").touch()
    assert (
        "v++ -l -t hw --platform p --config link.cfg lstm_top.xo -o lstm_top.xclbin"
        in make(folder, "link", "PLATFORM=p", path=tmp_path).stdout
    )


# The hosts


@pytest.fixture(scope="module")
def host(project, kernel_objects):
    """The emitted host on a fake XRT, whose card is the emitted kernel."""
    program = project.folder / "host/host"
    subprocess.run(
        [csim.compiler(), *HOST_FLAGS, f"-I{HERE}/fake_xrt", project.folder / "host/host.cpp",
         *kernel_objects, "-o", program],
        check=True,
    )  # fmt: skip
    (project.folder / "lstm_top.xclbin").touch()

    def run(*arguments):
        return subprocess.run(
            ["./host", *arguments], cwd=program.parent, text=True, capture_output=True
        )

    return run


def test_host_passes_on_the_kernel_itself(host):
    done = host("../lstm_top.xclbin")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"PASS: 2 calls, \d+ beats compared, 0 different\n", done.stdout)


def test_host_fails_on_a_wrong_result(host, project, tmp_path):
    for part in ("tb", "weights"):
        shutil.copytree(project.folder / part, tmp_path / part)
    vectors = bytearray((tmp_path / "tb/vectors.dat").read_bytes())
    vectors[-project.compiled.manifest.port_bits // 8] ^= 1  # the last beat of the last state
    (tmp_path / "tb/vectors.dat").write_bytes(vectors)
    done = host("../lstm_top.xclbin", str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"^ERROR: call 1, state, beat \d+ differs$", done.stdout, re.M)
    assert re.search(r"^FAIL: 2 calls, \d+ beats compared, 1 different$", done.stdout, re.M)


@pytest.mark.parametrize("bytes_left", [0, 7, 100])
def test_host_refuses_a_damaged_vector_file(host, project, tmp_path, bytes_left):
    (tmp_path / "tb").mkdir()
    content = (project.folder / "tb/vectors.dat").read_bytes()[:bytes_left]
    (tmp_path / "tb/vectors.dat").write_bytes(content)
    done = host("../lstm_top.xclbin", str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "ERROR: the vector file is cut short\n")


def test_host_says_what_it_could_not_open(host):
    assert host().returncode == 2
    assert "nothing.xclbin is no xclbin" in host("nothing.xclbin").stderr
    assert "nowhere/tb/vectors.dat can't be opened" in host("../lstm_top.xclbin", "nowhere").stderr
    assert "no such device" in host("../lstm_top.xclbin", "..", "1").stderr


def test_host_makefile_links_xrt(project):
    done = make(project.folder / "host", "-n", "-B", "host", "XILINX_XRT=/xrt", "CXX=g++")
    assert " ".join(done.stdout.replace("\\\n", " ").split()) == (
        "g++ -std=c++17 -O2 -Wall -Wextra -I/xrt/include host.cpp -o host "
        "-L/xrt/lib -lxrt_coreutil -luuid -pthread"
    )


@pytest.fixture
def driver(project, kernel_objects, monkeypatch):
    """The emitted PYNQ driver on a fake PYNQ; gives a new accelerator for each call."""
    library = project.folder / "kernel.so"
    if not library.exists():
        subprocess.run([csim.compiler(), "-shared", *kernel_objects, "-o", library], check=True)
    monkeypatch.syspath_prepend(str(HERE / "fake_pynq"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = project.folder / "pynq/penstock_driver.py"
    spec = importlib.util.spec_from_file_location("penstock_driver", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield lambda: module.Penstock(library)
    sys.modules.pop("pynq")


def frames(project, steps, seed):
    (source,) = project.compiled.graph.of_kind("input")
    kind, lanes = source.tensor.type, project.compiled.manifest.extra["lanes"]
    shape = (lanes, steps, source.tensor.length)
    return np.random.default_rng(seed).integers(kind.raw_min, kind.raw_max, shape, endpoint=True)


@pytest.mark.parametrize("is_split", [True, False], ids=["hwh", "xclbin"])
def test_driver_gives_the_interpreters_bits(project, driver, monkeypatch, is_split):
    monkeypatch.setattr(sys.modules["pynq"].Overlay, "is_split", is_split)
    accelerator, graph = driver(), project.compiled.graph
    x = frames(project, 5, seed=1)
    lengths = 5 - np.arange(len(x))
    first = evaluate(graph, x, lengths)
    assert_equal(accelerator.run(x, lengths), accelerator.state, first)
    more = frames(project, 8, seed=2)  # needs larger buffers
    full = np.full(len(x), 8)
    second = evaluate(graph, more, full, first.state)
    assert_equal(accelerator.run(more, start="carried"), accelerator.state, second)
    given = accelerator.run(more, start="given", state=first.state)
    assert_equal(given, accelerator.state, second)
    short = frames(project, 2, seed=3)
    third = evaluate(graph, short, np.full(len(x), 2))
    assert_equal(accelerator.run(short), accelerator.state, third)


def assert_equal(y, state, expected):
    assert np.array_equal(y, expected.y)
    assert list(state) == list(expected.state)
    assert all(np.array_equal(state[name], expected.state[name]) for name in state)


def test_driver_refuses_what_the_kernel_cannot_take(project, driver):
    accelerator, x = driver(), frames(project, 3, seed=4)
    refused = {
        "give integers": {"x": x.astype(float)},
        "give integers (": {"x": x[:, :, 1:]},
        "x leaves": {"x": x * 0 + 2**20},
        "lengths [": {"x": x, "lengths": [4] * len(x)},
        'start is "zero"': {"x": x, "start": "given"},
    }
    if accelerator.most_steps is not None:
        refused["13 steps; the kernel was built for 12"] = {"x": frames(project, 13, seed=5)}
    for message, arguments in refused.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            accelerator.run(**arguments)


# The README


def test_readme_states_the_layouts_that_the_compiler_uses(project):
    readme, ports = project.texts["README.md"], project.compiled.manifest
    assert f"Pointers are to beats of {ports.port_bits // 8} bytes" in readme
    for path, content in project.files.items():
        if path.endswith(".bin"):
            assert re.search(rf"\| in \| {len(content)} \| `{path}` as it is \|", readme)
    arguments = re.findall(r"^\| `(\w+)` \| in", readme, re.M)
    assert [name for name in arguments if name != "y"] == [
        name
        for name in re.findall(r"s_axilite port=(\w+)", project.texts["kernel/lstm_top.cpp"])
        if name not in ("y", "return")
    ]
    assert "No Vitis tool and no card has seen this project." in readme


def test_readme_states_the_cycles_of_the_schedule(project):
    plan, graph = project.compiled.plan, project.compiled.graph
    readme = project.texts["README.md"]
    cycles = plan.step_cycles(graph)
    assert f"**{cycles} cycles a step** ({cycles / 200:.2f} us at 200 MHz)" in readme
    assert f"the bound is {plan.bound_cycles(graph)}.\n" in readme
    for phase in plan.phases:
        assert re.search(rf"^\| {phase.code.name} \|.*\| {phase.code.words} \|", readme, re.M)
