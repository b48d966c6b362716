"""Accumulators and sums in several arrays, for tools cut none into more than so many memories."""

from __future__ import annotations

import re

import batch
import pytest
from support import random_model

from penstock import Hardware
from penstock.bounds import MOST_PARTITIONS
from penstock.driver import compile_model
from penstock.machine.choose import choose
from penstock.packing import groups
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import build, run_testbench
from penstock_runtime.kernel_constants import wrong_pragmas
from penstock_runtime.lint import lint

pytestmark = pytest.mark.long

SHARING = {"inputs": 12, "cells": (32,), "head": 2, "at": "step", "density": 0.1, "full_cell": 3}
TWO_KINDS = {
    "elements_per_cycle": 1, "part": "xcself",
    "part_resources": "lut=70000,ff=999999,bram18=48,uram=0,dsp=999",
}  # fmt: skip
CASES = {
    "overlap, an array for each group, shared rows": (
        SHARING, {"pes": 8, "elements_per_cycle": 2, "overlap": True}, 16, (4, 2),
    ),
    "overlap, the last array holds fewer groups": (
        {"cells": (24,), "peephole": True, "outputs": 12, "density": 0.2},
        {"pes": 12, "elements_per_cycle": 4, "overlap": True, "accumulator_banks": 8}, 64, (2, 1),
    ),
    "in turn, 4 lanes, shared rows": (
        SHARING, {"pes": 8, "elements_per_cycle": 1, "lanes": 4, "overlap": False}, 64, (2, None),
    ),
    "in turn, on chip, every group a share of the cell units": (
        {"inputs": 10, "cells": (64,), "density": 0.1},
        {"pes": 64, "elements_per_cycle": 2, "overlap": False, "weight_storage": "onchip",
         "accumulator_banks": 4}, 128, (2, None),
    ),
    "broadcast": (
        {"cells": (30,), "density": 0.2},
        {"pes": 12, "elements_per_cycle": 3, "dataflow": "broadcast", "accumulator_banks": 4,
         "weight_storage": "stream"},
        24, (2, None),
    ),
    "two kinds of activation memory as well": (
        {"inputs": 70, "cells": (48,), "density": 0.2}, {"pes": 12, **TWO_KINDS}, 64, (4, 1),
    ),
}  # fmt: skip
"""(network, settings, memories that an array may be cut into, arrays of accumulators and sums)"""


@pytest.fixture
def projects(monkeypatch, tmp_path):
    """Compiled, with arrays as small as each case wants them; the limit holds for checks too."""
    found = {}

    def compiled(name):
        model, hardware, most, wanted = CASES[name]
        monkeypatch.setattr(groups, "MOST_PARTITIONS", most)
        made = compile_model(
            random_model(**model, pes=hardware["pes"]), None, Hardware(port_bits=64, **hardware)
        )
        machine = made.machine
        overlaps = machine.hardware.overlaps
        arrays = len(machine.accumulator_arrays), len(machine.sums_arrays) if overlaps else None
        assert arrays == wanted, name
        found[name] = load_project(made.write(tmp_path / f"project_{len(found)}"))
        return found[name]

    return compiled


@pytest.mark.parametrize("name", CASES)
def test_such_kernels_are_bit_true_and_break_no_rule(name, projects, cpp_flags, tmp_path):
    project = projects(name)
    ((_, _, result),) = batch.checked({name: project}, tmp_path)
    assert result.calls == 14 and result.wrong_constants == ()
    report = lint(project.folder)
    assert [finding.line() for finding in report.findings] == []
    array = "spmv_pe" if project.manifest.queue_depth else "spmv_group"
    seen = {row.array for row in report.table if row.function == array}
    count = CASES[name][3][0]
    assert seen >= {f"acc_{number}" for number in range(count)}


def test_no_index_leaves_such_an_array(projects, cpp_flags):
    project = projects("overlap, the last array holds fewer groups")
    sanitizers = ("-g", "-O0", "-fsanitize=address,bounds", "-fno-sanitize-recover=all")
    done = run_testbench(project.folder, build(project.folder, sanitizers))
    assert done.passed and "0 different" in done.output, done.output


FAULTS = {
    "a group's sums in another group's array": (
        "emptied(", "sums = acc_1[group - 1]", "sums = acc_0[0]",
    ),
    "sums that the cell unit takes from another array": (
        "inline sums_t take(", "taken = sums_1[group - 2]", "taken = sums_0[group - 2]",
    ),
    "products that meet in one array": (
        "spmv(", "acc_1[g - 1]", "acc_0[g - 1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_group_that_uses_another_array_is_found(fault, projects, cpp_flags):
    project = projects("overlap, an array for each group, shared rows")
    path = project.folder / "kernel/pe_array.h"
    function, old, new = FAULTS[fault]
    head, name, rest = path.read_text().partition(function)
    assert name and old in rest
    path.write_text(head + name + rest.replace(old, new, 1))
    assert check(project).difference is not None


@pytest.mark.parametrize("function", ["add_parts", "ways_4_drain"])
@pytest.mark.parametrize("array", ["acc_0", "acc_3"])
def test_a_promise_of_each_array_is_the_proven_one(function, array, projects):
    project = projects("overlap, an array for each group, shared rows")
    path = project.folder / "kernel/pe_array.h"
    assert wrong_pragmas(project.folder, project.manifest) == []
    head, name, rest = path.read_text().partition(f"static void {function}(")
    old = f"#pragma HLS DEPENDENCE variable={array} inter false\n"
    assert name and old in rest
    path.write_text(head + name + rest.replace(old, "", 1))
    (found,) = wrong_pragmas(project.folder, project.manifest)
    assert found.name == f"DEPENDENCE pragma of {array} in {function}, kernel/pe_array.h"


def test_an_array_that_is_not_cut_like_the_others_is_told(projects):
    """A function is looked at for every array that it is given."""
    project = projects("in turn, 4 lanes, shared rows")
    path = project.folder / "kernel/compute.h"
    text = path.read_text()
    pragma = re.search(r"#pragma HLS ARRAY_PARTITION variable=acc_1 complete dim=2\n", text)
    path.write_text(text.replace(pragma[0], ""))
    told = [finding.line() for finding in lint(project.folder).findings]
    assert any("acc_1 takes" in line and "pe_array.h" in line for line in told), told


@pytest.mark.parametrize(("pes", "banks"), [(128, 16), (256, 8)])
def test_the_arrays_of_many_pes_stay_within_what_tools_take(pes, banks, tmp_path):
    compiled = compile_model(
        random_model(inputs=40, cells=(pes,), density=0.1),
        None, Hardware(board="u55c", pes=pes, accumulator_banks=banks),
    )  # fmt: skip
    machine = compiled.machine
    assert len(machine.accumulator_arrays) == pes * banks // MOST_PARTITIONS
    covered = [group for array in machine.accumulator_arrays for group in array]
    assert covered == list(range(machine.groups.groups))
    report = lint(compiled.write(tmp_path / "project"))
    assert [finding.line() for finding in report.findings] == []


def test_the_number_of_pes_is_not_limited_by_arrays():
    graph = compile_model(random_model(cells=(1024,), density=0.05), None, Hardware(pes=32)).graph
    machine, _ = choose(graph, Hardware(board="u55c"))
    assert machine.hardware.pes * machine.plan.banks > MOST_PARTITIONS
