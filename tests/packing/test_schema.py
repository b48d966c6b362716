"""What the fields of a manifest say of one another, each claim alone."""

from __future__ import annotations

import json

import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.packing.manifest import Manifest
from penstock.packing.schema import decode_manifest


@pytest.fixture(scope="module")
def text():
    """Two phases on 12 PEs, in groups."""
    model = random_model(cells=(24,), outputs=12, pes=12)
    return compile_model(
        model, None, Hardware(pes=12, port_bits=128, accumulator_banks=4)
    ).manifest.to_json()


def of(part, **values):
    return lambda fields: fields[part].update(values)


def of_phase(**values):
    return lambda fields: fields["phases"][0].update(values)


def of_many_shared_rows(fields):
    """All rows of many are shared by 12 PEs."""
    rows = 12 << 13
    fields["layouts"]["l0.gates"] = list(range(rows))
    for phase in fields["phases"]:
        for operand in phase["operands"]:
            if operand[0] == "l0.gates":
                operand[1] = rows
    fields["phases"][0].update(rows_per_pe=rows // 12, shared=list(range(rows)))


CLAIMS = {
    "an impossible number of lanes": of("interface", lanes=3),
    "impossible io_bits": of("interface", io_bits=24),
    "impossible port_bits": lambda fields: fields.update(port_bits=384),
    "group_pes does not divide pes": lambda fields: fields.update(group_pes=5),
    "elements_per_cycle does not divide pes": of("kernel", elements_per_cycle=5),
    "an element with all its lanes does not fit port_bits": of("interface", lanes=8, io_bits=32),
    "two phases have one name": of_phase(name="l0.projection"),
    "operand_bases are not those of the phases' operands": of("kernel", operand_bases=[[0], [0]]),
    "a node has a layout that does not exist": of("layout_of", x="nobody"),
    "a parameter has no layout": lambda fields: fields["layout_of"].pop("l0.b_i"),
    "a state has no layout": lambda fields: fields["interface"]["states"].update(c="nobody"),
    "the rows of phase l0.gates are not those of its layout": of_phase(rows_per_pe=3),
    "the operands of phase l0.gates are not those of their layouts": of_phase(
        operands=[["x", 9], ["l0.projection", 12]]
    ),
    "phase l0.gates has more matrices than banks": of_phase(
        matvecs=["l0.acc_i"] * 5, gathers=[[0, 1]] * 5
    ),
    "the shared rows of phase l0.gates are not rows of its layout, each once, ascending": of_phase(
        shared=[3, 24]
    ),
    "phase l0.gates has more accumulators than a vector elements": of_many_shared_rows,
    "a product of phase l0.gates gathers what is no operand": of_phase(gathers=[[0, 2]] * 4),
    "first_rows are not those of the phases": of("kernel", first_rows=[0]),
    "the starts of phase l0.gates are not those of its operands, in their order": of_phase(
        starts=[3, 2]
    ),
    "the runs do not hold each word of phase l0.gates once": lambda fields: fields["runs"].pop(0),
    "a run is of no phase": lambda fields: fields["runs"].append(
        {"phase": 7, "first": 0, "words": 1, "first_beat": 0}
    ),
}  # fmt: skip


@pytest.mark.parametrize("shared", [[4, 3], [3, 3], [-1], "3", [10**9]])
def test_shared_rows_are_rows_each_once(shared, text):
    fields = json.loads(text)
    fields["phases"][0]["shared"] = [3, 4]
    assert decode_manifest(json.dumps(fields)).phases[0].shared == (3, 4)
    fields["phases"][0]["shared"] = shared
    with pytest.raises(ValueError, match="shared"):
        decode_manifest(json.dumps(fields))


@pytest.mark.parametrize("claim", CLAIMS)
def test_fields_that_do_not_agree_are_refused_by_name(claim, text):
    fields = json.loads(text)
    decode_manifest(json.dumps(fields))
    CLAIMS[claim](fields)
    with pytest.raises(ValueError) as caught:
        decode_manifest(json.dumps(fields))
    assert str(caught.value) == claim


def test_a_run_begins_where_the_one_before_ends(text):
    fields = json.loads(text)
    fields["runs"][1]["first_beat"] += 1
    with pytest.raises(ValueError, match="the runs do not follow one another"):
        Manifest.from_json(json.dumps(fields))
