"""Emitted projects that the tests of this folder share, each in a folder where they may build."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from codegen.emitted import PROJECTS, Emitted

from penstock_runtime import csim

HERE = Path(__file__).parent
UNSHARED = "-fno-gnu-unique"
"""Else two kernels in one process have one table between them, if it has one name."""


@pytest.fixture(scope="session", params=PROJECTS)
def project(request, tmp_path_factory):
    return Emitted(request.param, tmp_path_factory.mktemp(request.param) / "project")


@pytest.fixture(scope="module")
def kernel_objects(project, cpp_flags):
    """The kernel and the bytes-to-beats call around it, compiled for a library or a program."""
    objects = []
    for source in (project.folder / "kernel/lstm_top.cpp", HERE / "fake_xrt/call_kernel.cpp"):
        objects.append(project.folder / f"{source.stem}.o")
        subprocess.run(
            [csim.compiler(), *cpp_flags, "-O1", "-fPIC", UNSHARED, f"-I{project.folder}/kernel",
             f"-I{HERE}/fake_xrt", "-c", source, "-o", objects[-1]],
            check=True,
        )  # fmt: skip
    return objects


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
    yield lambda **given: module.Penstock(library, **given)
    sys.modules.pop("pynq")
