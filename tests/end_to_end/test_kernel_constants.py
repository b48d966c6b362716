"""Any wrong entry of any constant or table of the kernel fails the check.

Three links: every constant that the kernel declares is printed; every printed entry is compared;
and what is printed is what was compiled.
"""

from __future__ import annotations

import re

import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock_runtime import load_project
from penstock_runtime.compare import check
from penstock_runtime.csim import build, run_testbench
from penstock_runtime.kernel_constants import (
    WrongConstant,
    expected_constants,
    parse_constants,
    wrong_constants,
    wrong_depths,
    wrong_pragmas,
)

DECLARED = (
    r"^(?:static )?const [\w ]+? (\w+)(?:\[[^=;]*\])? = ",  # constants and tables
    r"^typedef ap_u?int<\d+> (\w+);",
    r"\b(START_\w+) = ",
)
LOCAL = {"TABLE", "RISE"}  # of the functions of tables.h: printed by the name of their file


@pytest.fixture(scope="module")
def project(built_folder):
    return load_project(built_folder)


@pytest.fixture(scope="module")
def printed(project):
    done = run_testbench(project.folder, build(project.folder), "--constants")
    assert done.passed
    return parse_constants(done.output)


def test_the_kernel_has_what_graph_and_manifest_ask_for(project, printed):
    assert printed == expected_constants(project)
    assert wrong_constants(expected_constants(project), printed) == []


def test_the_project_has_a_table_of_each_kind(printed):
    kinds = {name.split()[0] for name in printed}
    assert {"table", "function", "filled", "phase", "segment", "ALIGN", "OPERAND_END",
            "POSITION_OF", "MAX_STEPS", "GAP_COLUMNS", "GAP_SLOTS"} <= kinds  # fmt: skip
    assert any(printed["ALIGN"]) and any(name.endswith("_rise") for name in printed)


def declared_in(folder):
    text = "\n".join(path.read_text() for path in sorted((folder / "kernel").glob("*.h")))
    return {name for pattern in DECLARED for name in re.findall(pattern, text, re.MULTILINE)}


def printed_in(folder):
    return set(re.findall(r"\w+", (folder / "tb/lstm_constants.cpp").read_text()))


def test_every_constant_that_the_kernel_declares_is_printed(project):
    printing = (project.folder / "tb/lstm_constants.cpp").read_text()
    declared, tables = declared_in(project.folder), set()
    for path in (project.folder / "kernel/tables").iterdir():
        if not re.search("_filled|output_order", path.name):
            tables.add(f'#include "tables/{path.name}"')
    assert len(declared) > 50 and len(tables) == 8
    missing = declared - LOCAL - printed_in(project.folder)
    assert missing - {"beat_t"} == set(), "beat_t has BEAT_BITS"
    assert {table for table in tables if table not in printing} == set()


def test_a_change_of_any_one_entry_is_found_and_named(printed):
    for name, values in printed.items():
        for index, value in enumerate(values):
            spoiled = printed | {name: [*values[:index], value + 1, *values[index + 1 :]]}
            (found,) = wrong_constants(printed, spoiled)
            where = index if len(values) > 1 else None
            assert found == WrongConstant(name, where, value, value + 1)


def test_a_constant_that_is_missing_short_or_unknown_is_found(printed):
    for name, values in printed.items():
        rest = {other: printed[other] for other in printed if other != name}
        assert [found.name for found in wrong_constants(printed, rest)] == [name]
        assert [found.name for found in wrong_constants(rest, printed)] == [name]
        if len(values) > 1:
            short = printed | {name: values[:-1]}
            assert [found.name for found in wrong_constants(printed, short)] == [name]


def spoil_texts(folder):
    """Change one entry of every constant and table. -> the files that were changed."""

    def more(match):
        return f"{match[1]}{int(match[2]) + 1}{match[3]}"

    edits = {
        "kernel/config.h": [
            (r"(const (?:int|unsigned) \w+ = )(\d+)(;)", more),
            (r"(typedef ap_u?int<)(\d+)(>)", more),
            (r"(const phase_t \w+ = \{\d+, )(\d+)(,)", more),
            (r"(\bSTART_\w+ = )(\d+)(,| )", more),
            (r"((?:GAP_\w+|ALIGN|OPERAND_END)\[[^=]*= \{[^\d]*(?://.*\d.*\n\s*)?)(\d+)(,)", more),
        ],
        "kernel/pe_array.h": [
            (r"(typedef ap_uint<)(\d+)(>)", more), (r"( distance=)(\d+)( )", more),
        ],
    }  # fmt: skip
    edits |= {
        f"kernel/tables/{path.name}": [(r"\A()(\d+)(,)", lambda match: f"{1 - int(match[2])},")]
        if path.name.endswith("filled.inc") else [(r"\A()(-?\d+)(,)", more)]
        for path in (folder / "kernel/tables").iterdir()
    }  # fmt: skip
    for name, replacements in edits.items():
        text = (folder / name).read_text()
        for pattern, change in replacements:
            text, count = re.subn(pattern, change, text)
            assert count > 0, (name, pattern)
        (folder / name).write_text(text)
    return sorted(edits)


def test_a_kernel_with_every_constant_spoiled_fails_for_each_of_them(folder):
    changed = spoil_texts(folder)
    project = load_project(folder)
    result = check(project)
    # C++ works them out; 64 bits are of the text itself, not of a network
    derived = {"IO_PER_BEAT", "PARAMETERS_PER_BEAT", "BEAT_PARTS", "PART_BITS"}
    wrong = {found.name for found in result.wrong_constants}
    assert not result.passed
    assert wrong | derived >= expected_constants(project).keys() | {pragma_of("acc")}
    assert list(result.edited) == changed
    assert str(result.difference) == "PES: 2 by graph and manifest, the kernel has 3"


PROMISES = {
    "a longer distance": ("RAW distance=4", "RAW distance=5", "acc"),
    "no dependence at all": ("RAW distance=4 true", "RAW false", "acc"),
    "another kind": ("acc inter RAW", "acc intra RAW", "acc"),
    "a second one": ("COUNT(LOOP_WORDS);",
                     "\n#pragma HLS dependence variable=acc inter false\n", "acc"),
    "one for all variables": ("COUNT(LOOP_WORDS);", "\n#pragma HLS DEPENDENCE inter false\n",
                              "no variable"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROMISES)
def test_a_false_promise_to_the_synthesis_tool_is_found(case, folder):
    project, path = load_project(folder), folder / "kernel/pe_array.h"
    text = path.read_text()
    assert wrong_pragmas(folder, project.manifest) == []
    old, new, variable = PROMISES[case]
    assert old in text
    path.write_text(text.replace(old, new))
    (found,) = wrong_pragmas(folder, project.manifest)
    assert found.name == pragma_of(variable)
    assert found.expected == (4 if variable == "acc" else None)


@pytest.mark.parametrize("port", ["x", "weights_0", "parameters", "state_in", "state_out", "y"])
def test_a_port_whose_depth_is_less_than_what_cosimulation_moves_is_found(port, folder):
    project, path = load_project(folder), folder / "kernel/lstm_top.cpp"
    text = path.read_text()
    assert wrong_depths(project) == []
    line = re.search(rf"m_axi port={port} .*depth=(\d+)", text)
    for depth, is_found in ((int(line[1]) - 1, True), (int(line[1]) + 1, False)):
        changed = line[0].replace(f"depth={line[1]}", f"depth={depth}")
        path.write_text(text.replace(line[0], changed))
        found = [(one.name, one.expected, one.kernel) for one in wrong_depths(project)]
        name = f"depth of port {port} in kernel/lstm_top.cpp"
        assert found == [(name, int(line[1]), depth)] * is_found


OVERLAP_PROMISES = {
    "the distance of packets": (
        "RAW distance=2 true", "RAW distance=1 true", "vector", "spmv_group",
    ),
    "what packets overwrite": (
        "vector inter WAR false", "vector inter false", "vector", "spmv_group",
    ),
    "none of packets": (
        "variable=vector inter RAW distance=2 true", "variable=word inter true", "vector",
        "spmv_group",
    ),
    "a distance where rows are drained": (
        "acc inter false", "acc inter RAW distance=4 true", "acc", "drain",
    ),
    "another array where rows are drained": (
        "sums inter false", "total inter false", "sums", "drain",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERLAP_PROMISES)
def test_a_false_promise_of_a_kernel_that_overlaps_is_found(case, overlapped):
    old, new, variable, function = OVERLAP_PROMISES[case]
    path = overlapped.folder / "kernel/pe_array.h"
    text = path.read_text()
    assert wrong_pragmas(overlapped.folder, overlapped.manifest) == []
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = wrong_pragmas(overlapped.folder, overlapped.manifest)
    path.write_text(text)
    drain = re.search(r"\bways_\d+_drain\b", text)[0]  # the first of them
    assert found[0].name == pragma_of(variable, drain if function == "drain" else function)


@pytest.mark.parametrize(("old", "new"), [
    ("RAW distance=4 true", "RAW distance=5 true"), ("variable=acc inter", "variable=held inter"),
])  # fmt: skip
def test_a_false_promise_of_a_pe_of_its_own_is_found(old, new, tmp_path):
    model = random_model(inputs=3, cells=(6,), outputs=4, pes=2)
    compile_model(model, None, Hardware(pes=2, dataflow="broadcast")).write(tmp_path / "project")
    project = load_project(tmp_path / "project")
    path = project.folder / "kernel/pe_array.h"
    assert wrong_pragmas(project.folder, project.manifest) == []
    path.write_text(path.read_text().replace(old, new))
    found = wrong_pragmas(project.folder, project.manifest)
    assert found[0].name == pragma_of("acc", "spmv_pe")


@pytest.fixture(scope="module")
def overlapped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overlapped") / "project"
    model = random_model(inputs=3, cells=(6,), outputs=4, pes=2)
    compile_model(model, None, Hardware(pes=2, overlap=True)).write(folder)
    return load_project(folder)


@pytest.fixture(scope="module")
def sharing(cpp_flags, tmp_path_factory):
    """A cell and a head that all PEs share."""
    folder = tmp_path_factory.mktemp("sharing") / "project"
    model = random_model(inputs=12, cells=(32,), head=2, at="step", density=0.1, full_cell=3)
    compile_model(model, None, Hardware(pes=4)).write(folder)
    return load_project(folder)


def test_the_places_of_shared_rows_are_those_of_their_layout(sharing):
    done = run_testbench(sharing.folder, build(sharing.folder), "--constants")
    printed = parse_constants(done.output)
    assert printed == expected_constants(sharing)
    assert declared_in(sharing.folder) <= {"beat_t", *LOCAL, *printed_in(sharing.folder)}
    for index, phase in enumerate(sharing.manifest.phases):
        first = sharing.manifest.kernel.first_rows[index]
        rows, count, at = printed[f"parts {phase.name}"]
        assert (rows, count) == (first + phase.rows_per_pe, len(phase.shared))
        for k, row in enumerate(phase.shared):
            place = (printed["OWN_ROW"][at + k] - first) * 4 + printed["OWNER"][at + k]
            assert sharing.manifest.layouts[phase.rows].order[place] == row


@pytest.mark.parametrize("new", ["", "acc inter RAW distance=4 true"], ids=["none", "another"])
def test_a_promise_of_the_adder_over_all_pes_that_is_not_the_proven_one_is_found(new, sharing):
    path = sharing.folder / "kernel/pe_array.h"
    text = path.read_text()
    head, name, rest = text.partition("static void add_parts(")
    assert wrong_pragmas(sharing.folder, sharing.manifest) == [] and name
    old = "#pragma HLS DEPENDENCE variable=acc inter false\n"
    with_new = f"#pragma HLS DEPENDENCE variable={new}\n" if new else ""
    path.write_text(head + name + rest.replace(old, with_new, 1))
    found = wrong_pragmas(sharing.folder, sharing.manifest)
    path.write_text(text)
    assert [wrong.name for wrong in found] == [pragma_of("acc", "add_parts")]


def pragma_of(variable, function="spmv_group"):
    return f"DEPENDENCE pragma of {variable} in {function}, kernel/pe_array.h"


def fewer_banks(fields):
    """With them, the packed weights are sound for a shorter hazard distance only."""
    fields["kernel"].update(hazard_distance=2)
    for phase in fields["phases"]:
        phase.update(banks=8)


def moved_operands(fields):
    """As if the vectors of the third phase lay one address further on."""
    bases = fields["kernel"]["operand_bases"]
    bases[2] = [base + 1 for base in bases[2]]


MANIFESTS = {
    "DEPENDENCE pragma of acc in spmv_group, kernel/pe_array.h": lambda fields: fields[
        "kernel"
    ].update(hazard_distance=3),
    "BANKS": fewer_banks,
    "MAX_STEPS": lambda fields: fields["interface"].update(max_steps=8),
    "CELL_UNITS": lambda fields: fields["kernel"].update(elements_per_cycle=1),
    "VECTOR_DEPTH": lambda fields: fields["kernel"].update(vector_depth=1000),
    "segment l0.y": lambda fields: fields["kernel"]["segments"].update({"l0.y": 5}),
    "phase l1.gates": moved_operands,
    "WORD_STREAM_DEPTH": lambda fields: fields["kernel"].update(word_depth=33),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_contradicts_the_kernel_fails_even_with_matching_digests(
    name, folder, forge
):
    forge("weights/manifest.json", MANIFESTS[name])
    result = check(load_project(folder))
    assert not result.passed
    assert name in [found.name for found in result.wrong_constants]
