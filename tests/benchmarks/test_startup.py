"""The benchmark of start-up: what it measures, and the table that it prints."""

from __future__ import annotations

import pytest


@pytest.fixture
def startup(module):
    return module("startup")


def row(name, cpu_s, **more):
    return dict.fromkeys(("beyond_numpy_s", "before_s", "goal_s")) | {
        "name": name, "cpu_s": cpu_s, **more,
    }  # fmt: skip


def test_a_table_has_a_line_for_each_command(startup):
    rows = [
        row("import numpy", 0.141, before_s=0.139),
        row("import penstock_runtime", 0.19, beyond_numpy_s=0.05, before_s=0.47, goal_s=0.1),
    ]
    assert startup.table(rows).splitlines()[2:] == [
        "| `import numpy` | 0.14 | 0.14 |  |",
        "| `import penstock_runtime` | 0.47 | 0.19 (NumPy + 0.05) | NumPy + 0.10 |",
    ]


def test_every_command_is_measured_and_what_is_kept_are_its_rows(module, startup):
    measured = [one["name"] for one in startup.measure(1, None)]
    assert {*startup.GOALS, *startup.BEYOND_NUMPY, startup.NUMPY} <= {*measured}
    kept = module("children").load(startup.NAME)["rows"]
    assert [one["name"] for one in kept] == measured
