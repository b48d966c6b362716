"""The broadcast dataflow: bit-true in C simulation, with queues that are bounded."""

from __future__ import annotations

import shutil
from dataclasses import replace

import batch
import numpy as np
import pytest
from support import random_model

from penstock import Hardware, Precision
from penstock.driver import compile_model
from penstock.formats import Entries
from penstock.packing.manifest import unpack_phase
from penstock.packing.validate import validate
from penstock.packing.words import pack_words
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import build, run_testbench
from penstock_runtime.lint import lint

MATRIX = {
    "one cell, one PE, one input": ({"inputs": 1, "cells": (1,), "density": 1}, {"pes": 1}, {}),
    "a plain layer, 1 lane, short queues": ({"cells": (10,)}, {"pes": 4, "queue_depth": 1}, {}),
    "projection and peepholes, 4 lanes": (
        {"cells": (13,), "outputs": 6, "peephole": True}, {"pes": 4, "lanes": 4}, {},
    ),
    "two layers, a head at every step, 2 lanes, short queues": (
        {"cells": (9, 6), "head": 11, "at": "step", "activation": "argmax"},
        {"pes": 3, "lanes": 2, "queue_depth": 1}, {},
    ),
    "bidirectional, on chip, 4 lanes": (
        {"cells": (6, 8), "bidirectional": [True, False], "head": 5},
        {"pes": 4, "lanes": 4, "weight_storage": "onchip", "queue_depth": 2}, {},
    ),
    "three groups with ports of their own, many banks": (
        {"cells": (30,), "density": 0.2},
        {"pes": 12, "elements_per_cycle": 3, "accumulator_banks": 16, "port_bits": 128,
         "index_bits": 2}, {"weights": 18, "inputs": 18, "cell_state": 20},
    ),
    "scarce slots and a long hazard distance need bubbles": (
        {"cells": (5,), "outputs": 5, "density": 0.8},
        {"pes": 5, "hazard_distance": 9, "accumulator_banks": 4, "elements_per_cycle": 5}, {},
    ),
    "every row has a scale of its own, wide indices": (
        {"cells": (12, 6), "outputs": 5, "peephole": True, "head": 3, "at": "step"},
        {"pes": 4, "lanes": 2, "index_bits": 8},
        {"weights": 4, "inputs": 8, "outputs": 8, "row_scales": True},
    ),
    "32 lanes, on chip": (
        {"cells": (9,), "outputs": 6, "head": 3},
        {"pes": 4, "lanes": 32, "weight_storage": "onchip"}, {},
    ),
    "frames and results as AXI streams, 4 lanes": (
        {"inputs": 7, "cells": (8,), "head": 3, "at": "step"},
        {"pes": 4, "lanes": 4, "io": "stream", "port_bits": 64}, {},
    ),
    "no weight at all": ({"cells": (4,), "outputs": 3, "density": 0}, {"pes": 2}, {}),
}  # fmt: skip


def compiled(folder, model, hardware, precision, seed=3):
    network = random_model(**model, pes=hardware["pes"], seed=seed)
    settings = Hardware(**hardware, dataflow="broadcast")
    compile_model(network, None, settings, Precision(**precision)).write(folder)
    return load_project(folder)


def files_of(project):
    return [(project.folder / name).read_bytes() for name in project.manifest.file_bytes()]


def test_interpreter_equals_c_simulation(cpp_flags, tmp_path):
    """Built as one program, in which a warning is an error; loops are counted by check."""
    projects = {
        name: compiled(tmp_path / str(number), *case)
        for number, (name, case) in enumerate(MATRIX.items())
    }
    done = list(batch.checked(projects, tmp_path))
    assert [result.calls for _, _, result in done] == [14] * len(MATRIX)


SANITIZERS = ("-g", "-O0", "-fsanitize=address,bounds", "-fno-sanitize-recover=all")


@pytest.mark.long
def test_no_index_leaves_its_array(cpp_flags, tmp_path):
    """C simulation may hide an index out of range; the sanitizers do not."""
    case = MATRIX["three groups with ports of their own, many banks"]
    project = compiled(tmp_path / "project", *case)
    done = run_testbench(project.folder, build(project.folder, SANITIZERS))
    assert done.passed and "0 different" in done.output, done.output


@pytest.mark.parametrize("case", [
    "projection and peepholes, 4 lanes", "bidirectional, on chip, 4 lanes",
    "three groups with ports of their own, many banks",
])  # fmt: skip
def test_the_kernel_breaks_no_rule(case, tmp_path):
    project = compiled(tmp_path / "project", *MATRIX[case])
    report = lint(project.folder)
    assert [str(finding) for finding in report.findings] == []
    pes = [row for row in report.table if row.function == "spmv_pe" and row.array == "acc"]
    assert pes and all((row.reads, row.writes) == (1, 1) for row in pes)


BROKEN = {
    "two PEs at one queue": (
        ("queues[0][1], acc", "queues[0][0], acc"), "queues[0][0] has 2 consumers",
    ),
    "two PEs with the sums of one": (
        ("acc[0][1]);", "acc[0][0]);"), "acc[0][0] is used by spmv_pe and spmv_pe",
    ),
    "queues without a depth": (
        ("#pragma HLS STREAM variable=queues depth=8\n", ""), "queues has no STREAM pragma",
    ),
    "nobody deals": (
        ("  PROCESS(deal(phase, words[0], feeds[0]);)\n", ""), "feeds[0][0] has 0 producers",
    ),
}  # fmt: skip


def test_rules_hold_within_the_region_of_a_phase(tmp_path):
    case = MATRIX["projection and peepholes, 4 lanes"]
    project = compiled(tmp_path / "project", *case)
    for name, (change, said) in BROKEN.items():
        report = lint(planted(project, tmp_path / name, change))
        assert any(said in finding.line() for finding in report.findings), name


FAULTS = {
    "a negative weight without a row of its own": ("next + (weight != 0);", "next + (weight > 0);"),
    "an activation that is held too long": (
        "if (begins) held = queue.read();",
        "if (begins) { const queued_t read = queue.read(); if (n > 0) held = read; }",
    ),
    "a column that begins where the last ended": ("(begins ? 0u : place.to_uint())",
                                                  "place.to_uint()"),
    "the scale of another vector": ("queued.operand = operand;", "queued.operand = 0;"),
    "the activations of another place": ("+ column];", "+ (column ^ 1)];"),
    "the accumulators of another PE": ("queues[0][1], acc[0][1]", "queues[0][1], acc[0][0]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound_project(cpp_flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "sound"
    model = {"cells": (24,), "inputs": 9, "peephole": True, "density": 0.2}
    # one bit of an index, so that there is padding; x and y of different scales
    return compiled(folder, model, {"pes": 2, "index_bits": 1}, {"inputs": 12})


def planted(project, folder, *changes, name="kernel/pe_array.h"):
    shutil.copytree(project.folder, folder)
    path = folder / name
    text = path.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)
    return folder


def test_a_planted_fault_is_found(sound_project, tmp_path):
    folders = [planted(sound_project, tmp_path / str(n), fault)
               for n, fault in enumerate(FAULTS.values())]  # fmt: skip
    made = batch.build(folders, tmp_path)
    for folder, fault in zip(folders, FAULTS, strict=True):
        result = check(load_project(folder), steps=2, executable=made[folder])
        assert not result.passed, fault
        difference = result.difference
        assert difference is not None and difference.interpreter != difference.csim, fault


def test_queues_more_shallow_than_the_words_were_made_for_end_in_a_deadlock(cpp_flags, tmp_path):
    """The words of deep queues let PEs go far apart: bounded streams show that they can't."""
    model = {"cells": (24,), "inputs": 30, "density": 0.15}
    project = compiled(tmp_path / "deep", model, {"pes": 4, "queue_depth": 64, "index_bits": 8}, {})
    shallow = planted(
        project, tmp_path / "shallow", ("QUEUE_DEPTH = 64", "QUEUE_DEPTH = 1"),
        ("FEED_DEPTH = 16", "FEED_DEPTH = 1"), name="kernel/config.h",
    )  # fmt: skip
    made = batch.build([project.folder, shallow], tmp_path)
    assert run_testbench(project.folder, made[project.folder]).passed
    done = run_testbench(shallow, made[shallow])
    assert not done.passed and "deadlock in the dataflow region" in done.output
    assert "a process waits for its own processes" in done.output
    assert "a write to the full stream" in done.output
    assert "a read of the empty stream" in done.output


def test_words_that_need_deeper_queues_are_refused(tmp_path):
    model = {"cells": (24,), "inputs": 30, "density": 0.15}
    project = compiled(tmp_path / "deep", model, {"pes": 4, "queue_depth": 64, "index_bits": 8}, {})
    manifest = project.manifest
    validate(project.graph, manifest, files_of(project), 4)
    phases = tuple(
        replace(phase, format=type(phase.format)(phase.format.index_bits, 1))
        for phase in manifest.phases
    )
    with pytest.raises(AssertionError, match="a PE is too far ahead of another's queue"):
        validate(project.graph, replace(manifest, phases=phases), files_of(project), 4)


def test_a_column_that_ends_too_early_is_refused(tmp_path):
    project = compiled(tmp_path / "project", *MATRIX["a plain layer, 1 lane, short queues"])
    manifest = project.manifest
    entries = unpack_phase(manifest, files_of(project), 0)
    last = entries["last"].copy()
    last[np.flatnonzero(last[:, 0] == 0)[0], 0] = 1
    damaged = Entries({**entries.fields, "last": last})
    content = pack_words(damaged, manifest.phases[0].fields, manifest.port_bits)
    with pytest.raises(ValueError, match="a PE does not end its columns with the words"):
        validate(project.graph, manifest, [content], 4)


def test_one_copy_of_the_activations_serves_all_pes(tmp_path):
    case = MATRIX["projection and peepholes, 4 lanes"]
    network = random_model(**case[0], pes=4, seed=3)
    copies = {}
    for dataflow in ("gather", "broadcast"):
        machine = compile_model(network, None, Hardware(**case[1], dataflow=dataflow)).machine
        copies[dataflow] = machine.memory("activations").count // machine.hardware.cell_units
    assert copies == {"gather": 4, "broadcast": 1}
