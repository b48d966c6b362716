"""A small project, and a layer of ESE's size with next to no weights."""

from __future__ import annotations

import pytest
from support import random_model

from penstock.driver import compile_model
from penstock.reported import read_report
from penstock.settings import Hardware
from penstock_runtime import load_project


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "project"
    model = random_model(10, (16,), 8, peephole=True, pes=4)
    compile_model(model, None, Hardware(pes=4, lanes=2)).write(path)
    return path


@pytest.fixture(scope="session")
def project(folder):
    return load_project(folder)


@pytest.fixture(scope="session")
def report(folder):
    return read_report(folder)
