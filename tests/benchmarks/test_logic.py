"""The model of the logic against what open synthesis made of the same parts."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from penstock.machine.logic import ERROR, ESE_RATIO

FOLDER = Path(__file__).parents[2] / "benchmarks/logic"
NAMES = [path.stem for path in FOLDER.glob("*.py")]
GREATEST = {
    "adder": 0.01, "comparator": 0.01, "multiplexer": 0.01, "shifter": 0.21, "table": 0.09,
    "multiplier": 0.06, "memory": 0.01, "fifo": 0.03, "clamp": 0.25, "requantizer": 0.45,
    "counter": 0.01, "all_clear": 0.01, "axis": 0.01, "operand_address": 0.27,
}  # fmt: skip
"""The relative error of a primitive's LUTs that is accepted."""


@pytest.fixture
def module(monkeypatch):
    """One of the benchmark's modules, which import each other by their bare names."""
    known = {name: sys.modules.pop(name, None) for name in [*NAMES, "ese_layer", "story"]}
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for name, before in known.items():
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before


@pytest.fixture
def results(module):
    return json.loads((FOLDER / "results.json").read_text())


def test_every_design_is_synthesized(module, results):
    designs = [*module("primitives").primitives(), *module("blocks").blocks()]
    stored = {json.dumps([row["block"], row["sizes"]]) for row in results["rows"]
              if row["family"] == "usp"}  # fmt: skip
    assert stored == {json.dumps([design.block, design.sizes]) for design in designs}


def test_the_model_is_as_close_to_synthesis_as_is_said(module, results):
    calibration = module("calibration")
    rows = calibration.compared(results)
    allowed = {**GREATEST, **dict.fromkeys(calibration.COMPOSED, ERROR)}
    found = calibration.greatest(rows, "lut")
    assert found.keys() == allowed.keys()
    assert {name: error for name, error in found.items() if error > allowed[name]} == {}
    registers = calibration.greatest(rows, "ff")
    assert {name: error for name, error in registers.items() if error > ERROR} == {}


def test_multipliers_are_those_of_synthesis(module, results):
    rows = module("calibration").compared(results)
    assert [row["model"].dsp for row in rows] == [row["dsp"] for row in rows]


def test_the_table_has_a_line_for_each_design(module, results):
    text = module("calibration").table(results)
    rows = [row for row in results["rows"] if row["family"] == "usp"]
    assert text.count("\n| ") == len(rows) + 1
    assert "Greatest error of LUT: adder 0%" in text


def test_ese_is_as_large_as_is_said(module):
    ese = module("ese")
    ratios = ese.ratios(ese.estimates((32,))[32])
    assert ratios["lut"] == pytest.approx(ESE_RATIO["lut"], abs=0.02)
    assert ratios["ff"] == pytest.approx(ESE_RATIO["ff"], abs=0.05)
