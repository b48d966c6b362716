"""The command line in-process, with every promise about bad input checked on each refusal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli.given import CELLS, INPUTS, assert_refusal, lstm_tensors, tree
from safetensors.numpy import save_file
from support import Done, random_model

from penstock import Hardware
from penstock.driver import compile_model


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in, with a good checkpoint beside good frames."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save_file(lstm_tensors(), folder / "model.safetensors")
    np.save(folder / "x.npy", np.random.default_rng(2).normal(size=(2, 5, INPUTS)))
    return folder


@pytest.fixture
def penstock(work, run_penstock):
    """Run the command line in this process, in the folder ``work``."""
    return run_penstock


@pytest.fixture
def refused(penstock, work):
    """Run what must be refused; nothing may change. -> the line after ``error: ``."""

    def run(*words):
        before = tree(work.parent)
        done = penstock(*words)
        assert_refusal(done)
        assert done.out == ""
        assert tree(work.parent) == before
        return done.err.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture
def refused_by_program(work):
    """The same, of the program in a process of its own."""

    def run(*words):
        before = tree(work.parent)
        done = subprocess.run(
            [sys.executable, "-m", "penstock", *map(str, words)], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
        )  # fmt: skip
        assert_refusal(Done(done.returncode, done.stdout, done.stderr))
        assert done.stdout == ""
        assert tree(work.parent) == before
        return done.stderr.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture(scope="session")
def compiled_projects(tmp_path_factory):
    """Small projects, compiled once: name -> folder."""
    cases = {
        "one": ({"cells": (CELLS,), "inputs": INPUTS}, {"pes": 2, "weight_storage": "stream"}),
        "both": (
            {"cells": (CELLS,), "inputs": INPUTS, "bidirectional": True},
            {"pes": 2, "max_steps": 9},
        ),
        "unequal": ({"cells": (CELLS, 4), "inputs": INPUTS}, {"pes": 2}),
    }
    folder = tmp_path_factory.mktemp("compiled")
    for name, (model, hardware) in cases.items():
        network = random_model(**model, pes=hardware["pes"])
        compile_model(network, None, Hardware(**hardware)).write(folder / name)
    return folder


@pytest.fixture
def project(work, compiled_projects):
    """A project of one layer, to be spoiled."""
    return shutil.copytree(compiled_projects / "one", work / "project")
