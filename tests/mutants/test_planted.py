"""The list of planted faults keeps up with the code."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from planted import ROOT, check_syntax, planted

TESTS = ROOT / "tests"


def test_there_are_more_than_a_hundred_faults_in_every_part_of_the_product():
    faults = planted()
    assert len(faults) > 100
    parts = {"/".join(Path(fault.file).parent.parts[:2]) for fault in faults}
    assert parts == {
        "compiler/penstock", "docs", "examples/digits", "runtime", "runtime/penstock_runtime",
        "templates/hls", "templates/report",
    }  # fmt: skip


@pytest.mark.parametrize("fault", planted(), ids=lambda fault: fault.title)
def test_every_fault_has_its_place_and_leaves_a_module_or_template(fault):
    check_syntax(fault.file, fault.mutated(ROOT))


def test_every_fault_names_tests_that_there_are():
    for name in {name for fault in planted() for name in fault.tests}:
        file, *function = name.split("::")
        assert (TESTS / file).exists(), name
        if function:
            module = ast.parse((TESTS / file).read_text())
            known = {part.name for part in module.body if isinstance(part, ast.FunctionDef)}
            assert function[0].partition("[")[0] in known, name
