"""Values of axes, from the command line and from Python."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from penstock import Hardware, PenstockError, Precision
from penstock.exploration.axes import DENSITY, axes_of, known_fields, values_of

KNOWN = known_fields()


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("pes", "8", [8]),
        ("pes", "8,16,32", [8, 16, 32]),
        ("weights", "8..12", [8, 9, 10, 11, 12]),
        ("weights", "8..8", [8]),
        ("pes", "8..64/8,100", [8, 16, 24, 32, 40, 48, 56, 64, 100]),
        ("pes", "4..9/2", [4, 6, 8]),
        ("pes", "32,8,32", [32, 8]),
        ("pes", "auto,8", [None, 8]),
        ("clock_mhz", "100..200/50", [100.0, 150.0, 200.0]),
        ("clock_mhz", "0.1..0.3/0.1", pytest.approx([0.1, 0.2, 0.3])),
        ("overlap", "yes,no,auto", [True, False, None]),
        ("row_scales", "no,yes", [False, True]),
        ("weight_storage", "auto,onchip", ["auto", "onchip"]),
        ("board", "kv260, u55c", ["kv260", "u55c"]),
        ("part_resources", "lut=1,ff=2", ["lut=1,ff=2"]),
    ],
)
def test_values_on_the_command_line(name, text, values):
    assert list(values_of(KNOWN[name], text)) == values


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("pes", "16..8", "the range 16..8 is empty (--pes); hint: write it 8..16"),
        ("pes", "", "'' has an empty value (--pes); hint: give 8,16,32 or 8..12"),
        ("pes", "8,", "'8,' has an empty value (--pes); hint: give 8,16,32 or 8..12"),
        ("pes", "x", "'x' is not an integer, or auto (--pes); hint: give 8,16,32 or 8..12"),
        ("lanes", "2.5", "'2.5' is not an integer (--lanes); hint: give 8,16,32 or 8..12"),
        ("lanes", "auto", "'auto' is not an integer (--lanes); hint: give 8,16,32 or 8..12"),
        ("pes", "1..8/0",
         "'1..8/0' is not an integer, or auto (--pes); hint: give 8,16,32 or 8..12"),
        ("pes", "1..5000", "the range 1..5000 has 5,000 values (--pes); hint: give 1,000 at most, "
         "or a step: 1..5000/STEP"),
        ("clock_mhz", "1..inf", "'1..inf' is not a number, or auto (--clock-mhz); hint: give "
         "0.1,0.2 or 100..300/50"),
        ("overlap", "maybe", "'maybe' is not yes or no, or auto (--overlap); hint: give yes,no"),
    ],
)  # fmt: skip
def test_what_is_no_value_on_the_command_line(name, text, line):
    with pytest.raises(PenstockError) as refused:
        values_of(KNOWN[name], text)
    assert refused.value.line() == line


def test_axes_in_python_are_named_as_the_settings_are():
    found = axes_of({"weights": range(8, 11), "pes": np.array([2, 4]), "dataflow": "gather",
                     "clock_mhz": [100, 100.0], "index_bits": [None, 4]})  # fmt: skip
    assert [(axis.field.name, axis.values) for axis in found] == [
        ("pes", (2, 4)), ("dataflow", ("gather",)), ("index_bits", (None, 4)),
        ("clock_mhz", (100.0,)), ("weights", (8, 9, 10)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"weigths": [8]}, "there is no axis 'weigths' (axes); hint: did you mean weights?"),
        ({"pes": []}, "an axis without values (pes); hint: give one at least"),
        ({"pes": range(8, 8)}, "an axis without values (pes); hint: give one at least"),
        ({"pes": ["8"]},
         "a str (8) is no value of this axis (pes); hint: give an integer, or auto"),
        ({"pes": [True]},
         "a bool (True) is no value of this axis (pes); hint: give an integer, or auto"),
        ({"lanes": None}, "None (None) is no value of this axis (lanes); hint: give an integer"),
        ({"pes": range(2000)}, "an axis of 2,000 values (pes); hint: give 1,000 at most"),
    ],
)  # fmt: skip
def test_what_is_no_axis_in_python(given, line):
    with pytest.raises(PenstockError) as refused:
        axes_of(given)
    assert refused.value.line() == line


def test_every_setting_that_has_an_option_is_an_axis():
    names = {item.name for kind in (Hardware, Precision) for item in fields(kind)}
    assert names - KNOWN.keys() == {"row_exponents", "overrides"}
    assert DENSITY.name not in KNOWN
