"""A host that asks for more steps than the kernel has room for gets as many as it has."""

from __future__ import annotations

import batch
import numpy as np
import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.packing.vectors import Call, vector_file
from penstock_runtime import load_project
from penstock_runtime.csim import run_testbench

ROOM, ASKED = 5, 9
BOTH_WAYS = {"cells": (6,), "bidirectional": True, "head": 3, "at": "step"}
PROJECTS = {
    "gather": (BOTH_WAYS, {"pes": 4}),
    "gather, in turn": (BOTH_WAYS, {"pes": 4, "overlap": False, "weight_storage": "onchip"}),
    "broadcast": (BOTH_WAYS, {"pes": 4, "dataflow": "broadcast"}),
    "bank": (BOTH_WAYS, {"dataflow": "bank", "rows": 8, "banks": 2, "lanes": 2, "interleave": 2,
                         "weight_storage": "onchip"}),
    "a mean": ({"cells": (6,), "head": 3, "at": "mean"}, {"pes": 4}),
}  # fmt: skip


@pytest.fixture(scope="module")
def built(cpp_flags, tmp_path_factory):
    folders = {}
    for number, (name, (model, hardware)) in enumerate(PROJECTS.items()):
        folder = tmp_path_factory.mktemp("steps") / str(number)
        made = compile_model(random_model(**model), None, Hardware(max_steps=ROOM, **hardware))
        made.write(folder)
        bench, sizes = folder / "tb/lstm_tb.cpp", folder / "kernel/config.h"
        text = bench.read_text()
        assert "demand(steps <= MAX_STEPS" in text  # a host might not look
        bench.write_text(text.replace("demand(steps <= MAX_STEPS", "demand(steps > 0"))
        text = sizes.read_text()
        limit = f"MAX_STEPS = {made.manifest.interface.max_steps};"
        assert limit in text
        sizes.write_text(text.replace(limit, f"MAX_STEPS = {ROOM};"))
        folders[name] = load_project(folder)
    made = batch.build([project.folder for project in folders.values()],
                       tmp_path_factory.mktemp("built"))  # fmt: skip
    return {name: (project, made[project.folder]) for name, project in folders.items()}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_steps_beyond_are_not_taken(name, built, tmp_path):
    project, executable = built[name]
    lanes = project.ports.lanes
    x = np.random.default_rng(0).integers(-9000, 9000, (lanes, ASKED, project.inputs))
    results = []
    for steps in (ROOM, ASKED):
        call = Call(x[:, :steps], np.full(lanes, ROOM), start=0, reload=True)
        (tmp_path / "vectors").write_bytes(vector_file([call], project.ports))
        done = run_testbench(project.folder, executable, tmp_path / "vectors", tmp_path / "results")
        assert done.passed, done.output
        results.append((tmp_path / "results").read_bytes())
    frames = len(results[1]) - len(results[0])
    assert frames == 0 or frames % (ASKED - ROOM) == 0
    of_call = frames * ROOM // (ASKED - ROOM) if frames else len(results[0])
    assert results[0][:of_call] == results[1][:of_call]
    assert any(results[0][:of_call])
