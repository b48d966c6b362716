"""A compiled project, and reports of its kernel as they should be."""

from __future__ import annotations

import pytest
from support import random_model
from synthesis.written import Written

from penstock.driver import compile_model
from penstock.reported import read_report
from penstock.settings import Hardware
from penstock.synthesis import expected_loops, plan_of


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthesis") / "project"
    model = random_model(10, (16,), 8, peephole=True, pes=4)
    compile_model(model, None, Hardware(pes=4, hazard_distance=4)).write(folder)
    return folder


@pytest.fixture(scope="session")
def plan(project):
    return plan_of(project, read_report(project))


@pytest.fixture
def good(project, plan):
    """Reports in which everything is as planned."""
    loops = dict.fromkeys(expected_loops(project), ("1", "16", "5"))
    return Written(loops, plan.part)
