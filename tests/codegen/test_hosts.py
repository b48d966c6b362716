"""The XRT host and the PYNQ driver, on fakes whose card is the emitted kernel itself."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from codegen.emitted import make

from penstock.ir.evaluate import evaluate
from penstock_runtime import csim

HERE = Path(__file__).parent
HOST_FLAGS = ("-O1", "-std=c++17", "-Wall", "-Wextra", "-Werror")


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
    assert re.fullmatch(r"PASS: 3 calls, \d+ beats compared, 0 different\n", done.stdout)


def test_host_fails_on_a_wrong_result(host, project, tmp_path):
    for part in ("tb", "weights"):
        shutil.copytree(project.folder / part, tmp_path / part)
    vectors = bytearray((tmp_path / "tb/vectors.dat").read_bytes())
    vectors[-project.compiled.manifest.port_bits // 8] ^= 1  # the last beat of the last state
    (tmp_path / "tb/vectors.dat").write_bytes(vectors)
    done = host("../lstm_top.xclbin", str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"^ERROR: call 2, state, beat \d+ differs$", done.stdout, re.M)
    assert re.search(r"^FAIL: 3 calls, \d+ beats compared, 1 different$", done.stdout, re.M)


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
    kind, lanes = source.tensor.type, project.compiled.manifest.interface.lanes
    shape = (lanes, steps, source.tensor.length)
    return np.random.default_rng(seed).integers(kind.raw_min, kind.raw_max, shape, endpoint=True)


@pytest.mark.parametrize("is_split", [True, False], ids=["hwh", "xclbin"])
def test_driver_gives_the_interpreters_bits(project, driver, monkeypatch, is_split):
    monkeypatch.setattr(sys.modules["pynq"].Overlay, "is_split", is_split)
    accelerator, graph = driver(), project.compiled.graph
    x = frames(project, 5, seed=1)
    lengths = np.maximum(5 - np.arange(len(x)), 0)
    first = evaluate(graph, x, lengths)
    assert_equal(accelerator.run(x, lengths), accelerator.state, first)
    parameters = accelerator._buffers["parameters"]  # they are in the kernel now
    sys.modules["pynq"].CARD[parameters.device_address][:] = 0
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
    if accelerator.max_steps is not None:
        refused["13 steps; the kernel was built for 12"] = {"x": frames(project, 13, seed=5)}
    for message, arguments in refused.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            accelerator.run(**arguments)
