"""What lint finds in projects as the compiler emits them."""

from __future__ import annotations

import pytest
from codegen.emitted import PROJECTS
from support import random_model

from penstock.driver import compile_model
from penstock.settings import Hardware
from penstock_runtime.lint import lint

KNOWN = {"burst", "dependence", "pragma-dialect", "trip-count"}
"""Rules that the templates are known to break."""
WITH_SEVERAL_GROUPS = (
    {"inputs": 39, "cells": (96,), "outputs": 48, "peephole": True, "pes": 16}, {"pes": 16},
)  # fmt: skip
CASES = {**PROJECTS, "accumulators behind a variable index": WITH_SEVERAL_GROUPS}


@pytest.fixture(scope="module", params=CASES)
def report(request, tmp_path_factory):
    model, hardware = CASES[request.param]
    folder = tmp_path_factory.mktemp("lint") / "project"
    compile_model(random_model(**model), None, Hardware(**hardware)).write(folder)
    return request.param, lint(folder)


def test_the_templates_break_no_other_rules_than_known(report):
    name, found = report
    more = {"ports"} if name == "accumulators behind a variable index" else set()
    assert {finding.rule for finding in found.findings} == KNOWN | more


def test_the_table_has_the_accumulators_of_the_pe_array(report):
    rows = [row for row in report[1].table if row.array == "acc" and row.function == "spmv_group"]
    assert [(row.kind, row.reads, row.writes) for row in rows] == [("ram_s2p", 1, 1)]


def test_nothing_is_left_unanalysed(report):
    assert not [one.line() for one in report[1].findings if one.rule == "not-analysed"]
