"""C simulation and engine where they are built otherwise: threads for ucontext, clang++ for g++."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock_runtime import Interpreter, csim

pytestmark = pytest.mark.long

THREADS = ("-DPENSTOCK_THREADS",)
CXX = "clang++"

NESTED = """
    #include <hls_stream.h>
    typedef hls::stream<int, 2> ints;
    static void count(ints &to, int many) { for (int k = 0; k < many; ++k) to.write(k); }
    static void move(ints &from, ints &to, int many) {
      for (int k = 0; k < many; ++k) to.write(from.read());
    }
    static void move_by_a_region(ints &from, ints &to, int many) {
      ints within("within");
      DATAFLOW_BEGIN
      PROCESS(move(from, within, many);)
      PROCESS(move(within, to, many);)
      DATAFLOW_END
    }
    static void print(ints &from, int many) {
      for (int k = 0; k < many; ++k) std::printf("%d ", from.read());
    }
    int main() {
      for (int call = 0; call < 2; ++call) {
        ints a("a"), b("b");
        DATAFLOW_BEGIN
        PROCESS(count(a, 5);)
        PROCESS(move_by_a_region(a, b, 2); move_by_a_region(a, b, 3);)
        PROCESS(print(b, MANY);)
        DATAFLOW_END
      }
    }
    """
"""A region within a process comes and goes twice in each of two calls."""


@pytest.fixture(scope="module")
def clang():
    if shutil.which(CXX) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{CXX} is not installed")
        pytest.skip(f"{CXX} is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A region within a process, and two lanes: all that the shim is asked for."""
    model = random_model(cells=(6,), head=3, at="step", pes=2)
    compiled = compile_model(model, None, Hardware(pes=2, lanes=2, dataflow="broadcast"))
    return compiled.write(tmp_path_factory.mktemp("platforms") / "project")


@pytest.fixture(scope="module")
def simulated(folder, cpp_flags):
    return trace(folder, csim.build(folder))


def trace(folder, executable):
    """Every value that the kernel traces on the golden vectors, once these have passed."""
    written = folder.parent / "trace.txt"
    done = csim.run_testbench(folder, executable, "tb/vectors.dat", os.devnull, written)
    assert done.passed and " 0 different" in done.output, done.output
    return written.read_bytes()


def test_threads_in_place_of_contexts_trace_the_same_values(folder, simulated):
    assert len(simulated) > 1000
    assert trace(folder, csim.build(folder, THREADS)) == simulated


@pytest.mark.parametrize("fibers", [(), THREADS], ids=["contexts", "threads"])
def test_a_region_within_a_process_is_run_and_a_deadlock_is_named(run_cpp, fibers):
    assert run_cpp(NESTED, "-DMANY=5", *fibers) == "0 1 2 3 4 " * 2
    said = run_cpp(NESTED, "-DMANY=6", *fibers, status=3)
    assert said == (
        "0 1 2 3 4 ERROR: deadlock in the dataflow region:\n"
        "  a process waits for a read of the empty stream b\n"
    )


def test_threads_are_taken_only_where_they_are_asked_for(run_cpp):
    program = """
        #include <hls_stream.h>
        #ifdef PENSTOCK_FIBER_THREAD_H
        int main() { return 7; }
        #else
        int main() { return 0; }
        #endif
        """
    run_cpp(program, *THREADS, status=7)
    run_cpp(program, status=0)


def test_clang_compiles_without_a_warning_and_simulates_the_same_values(
    folder, simulated, clang, monkeypatch
):
    monkeypatch.setenv("CXX", CXX)
    executable = csim.build(folder)
    assert (folder / "csim/build.log").read_text() == ""
    assert trace(folder, executable) == simulated


def test_the_engine_that_clang_builds_gives_the_same_bits(folder, clang, tmp_path):
    x = np.random.default_rng(0).normal(0, 1, (3, 7, 5))
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, numpy as np; from penstock_runtime import Interpreter\n"
        "interpreter = Interpreter(sys.argv[1], engine='native')\n"
        "np.save(sys.argv[3], interpreter.run(np.load(sys.argv[2])).raw)"
    )
    words = [str(folder), str(tmp_path / "x.npy"), str(tmp_path / "raw.npy")]
    environment = {**os.environ, "CXX": CXX, "PENSTOCK_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    reference = Interpreter(folder, engine="numpy").run(x).raw
    assert np.array_equal(np.load(tmp_path / "raw.npy"), reference)
