"""The tables of the broadcast dataflow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks/schedule"


@pytest.fixture
def module(monkeypatch):
    """One of them, which import each other by their bare names."""
    from importlib import import_module

    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def cells(line):
    return [int(cell.replace(",", "")) for cell in line[1:] if cell]


def test_the_parts_add_up_to_ese_s_step(module):
    step = module("ese_step")
    lines = {line[0].strip("*"): cells(line) for line in step.explained()}
    names = list(lines)
    parts = names[1 : names.index("the model")]
    assert len(parts) == 5
    for number in range(4):
        modelled = sum(lines[part][number] for part in parts)
        assert modelled == lines["the model"][number]
        beyond = lines["not explained by the model"][number]
        assert modelled + beyond == lines["ESE, by matrix"][number]
    assert lines["ESE, by matrix"][3] + lines[names[-2]][0] == lines["ESE, a step"][0] == 16_540


def test_the_recalled_densities_fit_the_published_operations(module):
    step = module("ese_step")
    nonzeros = sum(
        alike.rows * alike.columns * density / 100
        for alike in step.MATRICES for density in alike.densities
    )  # fmt: skip
    assert nonzeros == pytest.approx(step.implied_nonzeros(), rel=1e-3)


def test_a_matrix_s_parts_are_its_words(module):
    step = module("ese_step")
    generator = np.random.default_rng(1)
    mask = generator.random((64, 30)) < 0.1
    parts = step.parts_of(mask)
    _, nonzeros, queued = step.coded(mask, 8)
    assert sum(parts.values()) == queued.words
    assert next(iter(parts.values())) == -(-len(nonzeros.pe) // 32)
    assert all(cycles >= 0 for cycles in parts.values())
