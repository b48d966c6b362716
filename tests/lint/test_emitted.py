"""What lint finds in projects as the compiler emits them."""

from __future__ import annotations

import re

import pytest
from codegen.emitted import PROJECTS
from support import random_model

from penstock.driver import compile_model
from penstock.machine.order import Work
from penstock.settings import Hardware
from penstock_runtime.lint import lint
from penstock_runtime.lint.effects import calls_of, shared_arrays
from penstock_runtime.lint.reader import Kernel

pytestmark = pytest.mark.long

WORKS = re.compile(r"^spmv$|_drain$|_cells$|^load_(?!parameter)")
"""The functions that compute calls in a step."""
PROJECTION = PROJECTS["projection"]
CASES = {
    **PROJECTS,
    "one after the other, weights on chip": (
        PROJECTION[0], {**PROJECTION[1], "overlap": False, "weight_storage": "onchip"},
    ),
    "frames and results as AXI streams": (
        PROJECTS["classifier"][0], {**PROJECTS["classifier"][1], "io": "stream"},
    ),
    "groups with a part of the cell unit each": (
        {"inputs": 39, "cells": (96,), "outputs": 48, "peephole": True, "pes": 16},
        {"pes": 16, "port_bits": 128},
    ),
    "rows that all PEs share": (
        {"inputs": 12, "cells": (32,), "head": 2, "at": "step", "density": 0.1, "full_cell": 3},
        {"pes": 4, "lanes": 2, "overlap": True},
    ),
    "activations in two kinds of memory, streams in LUTs": (
        {"inputs": 70, "cells": (48,), "density": 0.2},
        {"pes": 12, "elements_per_cycle": 1, "port_bits": 64, "part": "xcself",
         "part_resources": "lut=70000,ff=999999,bram18=48,uram=0,dsp=999"},
    ),
    "broadcast, weights streamed by several ports": (
        {"cells": (30,), "density": 0.2},
        {"pes": 12, "elements_per_cycle": 3, "port_bits": 64, "dataflow": "broadcast",
         "weight_storage": "stream"},
    ),
    "packets written in turns": (
        {"cells": (64,), "density": 0.2}, {"pes": 32, "elements_per_cycle": 32},
    ),
    "layers beside one another": ({"cells": (24, 24, 16)}, {"pes": 8}),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def report(request, tmp_path_factory):
    model, hardware = CASES[request.param]
    folder = tmp_path_factory.mktemp("lint") / "project"
    compile_model(random_model(**model), None, Hardware(**hardware)).write(folder)
    return folder, lint(folder)


def test_the_templates_break_no_rule(report):
    assert not [finding.line() for finding in report[1].findings]


def test_the_table_has_the_accumulators_of_the_pe_array(report):
    pes = ("spmv_group", "spmv_pe")
    rows = [row for row in report[1].table if row.array == "acc" and row.function in pes]
    assert {(row.kind, row.reads, row.writes) for row in rows} == {("ram_s2p", 1, 1)}


def test_the_adder_over_all_pes_visits_a_row_in_two_cycles(report):
    rows = [row for row in report[1].table if row.array == "acc" and row.function == "add_parts"]
    found = [(row.kind, row.interval, row.reads, row.writes, row.is_bank_known) for row in rows]
    is_there = "add_parts" in (report[0] / "kernel/pe_array.h").read_text()
    assert found == [("ram_s2p", 2, 1, 2, True)] * is_there


@pytest.mark.parametrize("name", ["projection", "layers beside one another"])
def test_what_runs_side_by_side_shares_no_memory(name, tmp_path):
    """Vitis starts two calls together only if no array is common to them."""
    model, hardware = CASES[name]
    compiled = compile_model(random_model(**model), None, Hardware(**hardware))
    kernel = Kernel(compiled.write(tmp_path / "project"))
    issues = [issue for issue in compiled.machine.order.issues if _is_call(compiled, issue)]
    calls = [call for call in calls_of(_compute(kernel)) if WORKS.search(call.callee.name)]
    assert len(calls) == len(issues)
    together, pairs = [], 0
    for issue, call in zip(issues, calls, strict=True):
        together = [*together, call] if issue.is_beside else [call]
        for other in together[:-1]:
            assert not shared_arrays(kernel.functions, other, call), (issue.work, issue.name)
            pairs += 1
    assert pairs >= sum(issue.is_beside for issue in issues) > 0


def _is_call(compiled, issue):
    """Whether a function does it; other loads and commits are loops of compute itself."""
    if issue.work is Work.LOAD:
        return any(load.is_ahead for load in compiled.machine.loads if load.vector == issue.name)
    return issue.work in (Work.SPMV, Work.DRAIN, Work.CELLS)


def _compute(kernel):
    return next(one for one in kernel.functions.values() if one.name == "compute")


def test_nothing_is_left_unanalysed(report):
    assert not [one.line() for one in report[1].findings if one.rule == "not-analysed"]
