"""Projects as the compiler emits them, and how to run their build files without Vitis."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

import pytest
from support import random_model

from penstock.driver import compile_model
from penstock.settings import Hardware

PROJECTS = {
    "projection": (  # a result for every step; two groups of PEs, narrow ports
        {"inputs": 5, "cells": (16,), "outputs": 8, "peephole": True, "pes": 8, "density": 0.5},
        {"pes": 8, "port_bits": 128},
    ),
    "classifier": (  # one result a sequence; frames, lanes, empty positions, rows moved
        {"cells": (9, 6), "bidirectional": [True, False], "head": 3, "activation": "argmax"},
        {"pes": 4, "lanes": 2, "max_steps": 12, "assign": "balance"},
    ),
}


STREAMED = {
    "kv260": (  # a result for every step, on lanes
        PROJECTS["projection"][0],
        {"pes": 8, "lanes": 2, "port_bits": 128, "board": "kv260", "io": "stream"},
    ),
    "pynq-z2": (  # one result a sequence; frames are buffered
        {"cells": (9, 6), "bidirectional": [True, False], "head": 3, "activation": "argmax"},
        {"pes": 4, "port_bits": 64, "max_steps": 12, "board": "pynq-z2", "io": "stream"},
    ),
}
"""Projects whose frames and results are AXI streams, on boards."""


class Emitted:
    """One of PROJECTS or STREAMED. texts: path -> content of its text files."""

    def __init__(self, name, folder):
        model, hardware = (PROJECTS | STREAMED)[name]
        self.name, self.folder = name, folder
        self.compiled = compile_model(random_model(**model), None, Hardware(**hardware))
        self.files = self.compiled.files
        self.texts = {
            path: content.decode()
            for path, content in self.files.items()
            if not path.endswith((".bin", ".dat", ".safetensors"))
        }
        self.compiled.write(folder)


def make(folder, *arguments, path=None):
    """Run make; ``path`` replaces PATH but for the folders of the system's own tools."""
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("MAKEFLAGS", None)
    if path is not None:
        environment["PATH"] = f"{path}:/usr/bin:/bin"
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
    )


def install(folder, name, text):
    """A program of our own on a PATH of our own."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IEXEC)


needs_tcl = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")

TCL_STUBS = """
foreach name {{set_top add_files open_solution set_part create_clock set_clock_uncertainty
    csim_design csynth_design cosim_design export_design {opens}}} {{
  proc $name args "puts \\[list $name {{*}}\\$args\\]"
}}
source run_hls.tcl
"""


def run_tcl(folder, opens):
    """run_hls.tcl with every command of Vitis printed; ``opens``: those that open a project."""
    script = folder.parent / "stubs.tcl"
    script.write_text(TCL_STUBS.format(opens=opens))
    return subprocess.run(["tclsh", script], cwd=folder, text=True, capture_output=True)


def commands(output):
    return [line.split()[0] for line in output.splitlines()]
