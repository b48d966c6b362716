"""The planned part of the table is the report's, divided among the matrices."""

from __future__ import annotations

import pytest

from penstock_runtime.bench import ese, planned_rows
from penstock_runtime.bench.planned import STEP


@pytest.fixture(scope="module")
def rows(project, report):
    return planned_rows(project, report)


def test_a_row_for_each_matrix_and_the_whole_step(rows, project):
    matrices = [node.name for node in project.graph.of_kind("const") if len(node.tensor.shape) == 2]
    assert sorted(row.name for row in rows[:-1]) == sorted(matrices) and rows[-1].name == STEP


def test_the_step_is_that_of_the_report(rows, report):
    whole, totals, timeline = rows[-1], report["totals"], report["timeline"]
    assert (whole.weights, whole.nonzeros) == (totals["weights"], totals["nonzeros"])
    assert whole.scheduled_us == timeline["microseconds_per_step"]
    assert whole.bytes == timeline["weight_bytes_per_step"]


def test_matrices_share_what_their_phases_take(rows, report):
    spans = [span for span in report["timeline"]["spans"] if span["kind"] == "spmv"]
    cycles = sum(span["cycles"] for span in spans)
    assert sum(row.scheduled_us for row in rows[:-1]) == pytest.approx(cycles / 200)
    assert sum(row.bytes for row in rows[:-1]) == pytest.approx(rows[-1].bytes)


def test_theory_is_all_pes_in_every_cycle(rows):
    for row in rows:
        assert row.theoretical_us == pytest.approx(row.nonzeros / (4 * 200))
        assert row.theoretical_us < row.scheduled_us


def test_operations_count_both_lanes(rows):
    whole = rows[-1]
    assert whole.gops == 2 * 2 * whole.nonzeros / whole.scheduled_us / 1000
    assert whole.dense_gops / whole.gops == pytest.approx(1 / whole.density)


def test_what_ese_published_agrees_with_itself():
    """2 operations for each weight of 32 sequences in the published time."""
    weights = 4 * ese.CELLS * (ese.INPUTS + ese.PROJECTION) + ese.PROJECTION * ese.CELLS
    published = ese.PUBLISHED
    gops = 2 * weights * published["sequences"] / published["step_us"] / 1e3
    assert gops == pytest.approx(published["dense_gops"], rel=0.005)


def test_ese_is_known_by_its_size(report):
    layer = {"inputs": 153, "cells": 1024, "outputs": 512}
    assert ese.is_of_its_size({"network": {"layers": [{"inputs": 3}, layer]}})
    assert not ese.is_of_its_size(report)
