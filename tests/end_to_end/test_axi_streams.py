"""Frames and results as AXI streams: bit-true, counted, and each wrong beat found and named."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import batch
import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.errors import PenstockError
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import run_testbench

MODEL = {"inputs": 7, "cells": (6,), "head": 5, "at": "step"}
HARDWARE = Hardware(pes=2, lanes=2, port_bits=64, io="stream")
LAST = "out.last = k == CHUNKS - 1 && n + 1 == steps;"
WRITE, PORTS, TOP = "        y.write(out);", "kernel/ports.h", "kernel/lstm_top.cpp"
ELSEWHERE = "has TLAST elsewhere than at the end of y"
FAULTS = [
    (PORTS, LAST, LAST.replace(" && n + 1 == steps", ""), ELSEWHERE),
    (PORTS, LAST, LAST.replace("n + 1", "n"), ELSEWHERE),
    (PORTS, LAST, LAST.replace("k == CHUNKS - 1", "k == 1"), ELSEWHERE),
    (PORTS, LAST, "out.last = 0;", ELSEWHERE),
    (PORTS, "out.keep = -1;", "out.keep = 1;", "leaves out bytes of y"),
    (PORTS, "out.strb = -1;", "out.strb = 127;", "leaves out bytes of y"),
    (PORTS, WRITE, f"{WRITE} if (out.last != 0) y.write(out);", "gives too many beats of y"),
    (PORTS, WRITE, "        if (out.last == 0) y.write(out);", "gives too few beats of y"),
    (PORTS, "IO_CHUNK < INPUTS) beat", "IO_CHUNK + 1 < INPUTS) beat", "leaves frames behind"),
    (TOP, "unpack_frames(x, frames, steps)", "unpack_frames(x, frames, steps + 1)",
     "a process waits for a read of the empty port x"),
]  # fmt: skip
"""File, text, what stands in its place, and what the test bench says."""


STARVED = [
    (PORTS, WRITE, f'{WRITE} std::fprintf(stderr, "result of step %u\\n", n);'),
    ("tb/lstm_tb.cpp", "    send(x, ", "    x.resize(X_BEATS);\n    send(x, "),
]
"""The test bench sends the first frame alone, and the kernel tells of each beat that it gives."""


def edited(folder, *changes):
    """The folder, after texts of its files were changed."""
    for name, old, new in changes:
        text = (folder / name).read_text()
        assert text.count(old) == 1, old
        (folder / name).write_text(text.replace(old, new))
    return folder


@pytest.fixture(scope="module")
def projects(cpp_flags, tmp_path_factory):
    """A sound project, one for each fault, and two that starve, built as one program: folder ->
    test bench."""
    scratch = tmp_path_factory.mktemp("streams")
    model = random_model(**MODEL, pes=2)
    sound = compile_model(model, None, HARDWARE).write(scratch / "sound")
    folders = [sound]
    for number, fault in enumerate(FAULTS):
        folders.append(edited(shutil.copytree(sound, scratch / str(number)), fault[:3]))
    for name, overlap in (("in turn", False), ("overlapped", True)):
        starved = compile_model(model, None, replace(HARDWARE, overlap=overlap))
        folders.append(edited(starved.write(scratch / name), *STARVED))
    return batch.build(folders, scratch)


@pytest.fixture(scope="module")
def sound(projects):
    """The folder of the sound project, and its test bench."""
    return next(iter(projects.items()))


def test_interpreter_and_c_simulation_agree_and_every_loop_is_counted(sound):
    folder, executable = sound
    project = load_project(folder)
    result = check(project, executable=executable)
    assert result.passed and result.calls == 14 and result.values["outputs"] > 0
    loops = {loop.name for loop in project.manifest.loops}
    assert result.loops == len(loops)
    assert {"chunks_of_frame", "chunks_of_result"} <= loops
    assert not loops & {"frame_beats", "result_beats"}
    done = run_testbench(folder, executable)
    assert done.passed and "0 different" in done.output


def test_a_wrong_beat_is_found_and_named(projects):
    faulty = list(projects.items())[1 : 1 + len(FAULTS)]
    for (folder, executable), (_, _, new, said) in zip(faulty, FAULTS, strict=True):
        assert isinstance(executable, Path), executable
        done = run_testbench(folder, executable)
        assert not done.passed and said in done.output, (new, done.output)
        with pytest.raises(PenstockError, match="the test bench aborted"):
            check(load_project(folder), steps=2, executable=executable)


def test_a_step_needs_the_next_frame_exactly_if_the_readme_says_so(projects):
    *_, in_turn, overlapped = projects.items()
    for (folder, executable), waits in ((in_turn, False), (overlapped, True)):
        done = run_testbench(folder, executable)
        assert "a process waits for a read of the empty port x" in done.output
        assert ("result of step 0" in done.output) is not waits
        assert "result of step 1" not in done.output
        readme = (folder / "README.md").read_text()
        assert ("A step takes the next frame before it gives its own result." in readme) is waits
        assert ("A step gives its result without the next frame." in readme) is not waits


def test_the_kernel_is_held_to_what_the_manifest_says_of_its_ports(sound, tmp_path):
    """Interface and kernel can't be exchanged for those of the same network on memory ports."""
    folder, executable = sound
    project = load_project(folder)
    claimed = json.loads(project.manifest.to_json())
    assert claimed["interface"]["io"] == "stream"
    claimed["interface"]["io"] = "memory"
    manifest = type(project.manifest).from_json(json.dumps(claimed))
    result = check(type(project)(folder, project.graph, manifest), executable=executable)
    assert str(result.difference) == "axis_t: nothing by graph and manifest, the kernel has 64"
    claimed["interface"]["io"] = "wire"
    with pytest.raises(ValueError, match=r"Invalid enum value 'wire' - at `\$.interface.io`"):
        type(project.manifest).from_json(json.dumps(claimed))


def test_side_channels_that_our_header_lacks_do_not_compile(run_cpp):
    with pytest.raises(subprocess.CalledProcessError):
        run_cpp("#include <ap_axi_sdata.h>\nap_axiu<64, 1, 0, 0> beat;\nint main() {}")


def test_a_port_that_is_read_outside_of_the_kernel_ends_the_program(run_cpp):
    text = """
        #include <ap_axi_sdata.h>
        int main() {
          hls::stream<ap_axiu<64, 0, 0, 0> > port("x");
          port.read();
        }
    """
    assert "read of the empty port x, outside a dataflow region" in run_cpp(text, status=3)
