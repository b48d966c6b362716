"""One project with every kind of table, built once, and its forgeries."""

from __future__ import annotations

import json
import shutil

import pytest
from support import random_model

from penstock import Hardware, Precision
from penstock.driver import compile_model
from penstock.marker import MARKER, Marker, read_marker
from penstock_runtime.csim import build

MODEL = {
    "cells": (5, 4), "inputs": 3, "head": 3, "at": "step", "bidirectional": [True, False],
    "peephole": True, "pes": 2, "seed": 3,
}  # fmt: skip
HARDWARE = Hardware(pes=2, lanes=2, max_steps=9)
PRECISION = Precision(
    weights=5, inputs=8, outputs=8, row_scales=True, table_entries=64, interpolate_bits=3
)


@pytest.fixture(scope="session")
def built_folder(cpp_flags, tmp_path_factory):
    """Lanes, alignment, row scales, interpolation, empty positions, reordered outputs, two sweeps:
    a project with all of them, and its test bench."""
    folder = tmp_path_factory.mktemp("tables") / "project"
    compile_model(random_model(**MODEL), None, HARDWARE, PRECISION).write(folder)
    build(folder)
    return folder


@pytest.fixture
def folder(built_folder, tmp_path):
    """A copy of it, to be spoiled; the test bench is not built again unless its sources change."""
    return shutil.copytree(built_folder, tmp_path / "project")


@pytest.fixture
def forge(folder):
    """Change the fields of a JSON file, and the digests in penstock.json with it."""

    def change(name, edit):
        fields = json.loads((folder / name).read_text())
        edit(fields)
        content = json.dumps(fields).encode()
        (folder / name).write_bytes(content)
        files = read_marker(folder).files | Marker.of({name: content}).files
        (folder / MARKER).write_text(Marker(files).text())

    return change
