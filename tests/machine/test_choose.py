"""What is chosen by the timeline: rows that all PEs share, and what that makes of a step."""

from __future__ import annotations

from dataclasses import replace

import graphs
import pytest
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.compress import calibrate
from penstock.devices import PLANNED_SHARE
from penstock.driver import compile_graph
from penstock.lowering import lower
from penstock.machine import candidates, choose, describe
from penstock.machine.blocks import blocks
from penstock.machine.order import Work
from penstock.packing.schema import When
from penstock.schedule import arrange, schedule


def uneven(**model):
    """Gates with one full cell, a head of 2 classes."""
    network = random_model(
        **{"inputs": 20, "cells": (80,), "outputs": 64, "head": 2, "at": "step", "density": 0.05,
           "full_cell": 3, **model}
    )  # fmt: skip
    return lower(network, calibrate(network, None), Precision())


@pytest.mark.parametrize("overlap", [False, True])
def test_rows_are_shared_where_a_step_is_shorter_for_it(overlap):
    graph, hardware = uneven(), Hardware(pes=8, overlap=overlap)
    machine, notes = choose.choose(graph, hardware)
    plain = describe(graph, schedule(graph, hardware))
    assert machine.timeline.step < plain.timeline.step
    assert notes == [
        "1 of 80 rows of l0.gates, 2 of 2 rows of head.dense are spread over all PEs, which sum "
        f"them in parts: {machine.timeline.step:,} cycles a step instead of "
        f"{plain.timeline.step:,}"
    ]
    assert compile_graph(graph, hardware).report["notes"][-1] == notes[0]


def test_rows_are_not_shared_where_too_little_is_won(monkeypatch):
    graph, hardware = uneven(), Hardware(pes=8)
    machine, _ = choose.choose(graph, hardware)
    plain = describe(graph, schedule(graph, hardware))
    won = 1 - machine.timeline.step / plain.timeline.step
    for worth, is_shared in ((won - 1e-6, True), (won + 1e-6, False)):
        monkeypatch.setattr(candidates, "WORTH_A_TREE", worth)
        machine, notes = choose.choose(graph, hardware)
        is_told = any("spread over all PEs" in note for note in notes)
        assert (bool(machine.parts), is_told) == (is_shared, is_shared)


def test_rows_are_not_shared_where_only_that_does_not_fit(monkeypatch):
    graph, hardware = uneven(), Hardware(pes=8)
    shared, _ = choose.choose(graph, hardware)
    room = property(lambda self: 0 if self.machine.parts else 2)
    monkeypatch.setattr(choose.Candidate, "room", room)
    machine, (note,) = choose.choose(graph, hardware)
    assert machine.parts == ()
    assert note == (
        f"rows are not shared by all PEs: {shared.timeline.step:,} cycles a step instead of "
        f"{machine.timeline.step:,}, but it would not fit"
    )
    monkeypatch.setattr(choose.Candidate, "room", 0)
    assert choose.choose(graph, hardware)[0].parts == shared.parts


def test_a_head_of_fewer_rows_than_pes_is_shared_or_refused():
    s = graphs.Sketch(inputs=96)
    graph = s.done(s.requant("head.v", s.product("head.acc", 2, "x")))
    machine, (note,) = choose.choose(graph, Hardware(pes=8))
    assert machine.products[0].shared == (0, 1)
    assert note == (
        "2 of 2 rows of head.dense are spread over all PEs, which sum them in parts: no phase has "
        "a row for each of the 8 PEs"
    )
    s = graphs.Sketch(inputs=3)
    with pytest.raises(PenstockError, match="8 PEs can't share 4 cells"):
        choose.choose(s.done(s.requant("v", s.product("acc", 4, "x"))), Hardware(pes=8))


@pytest.mark.parametrize("overlap", [False, True])
def test_the_parts_are_added_up_between_the_words_and_the_unit(overlap):
    machine, _ = choose.choose(uneven(), Hardware(pes=8, overlap=overlap))
    works = [(issue.work, issue.name) for issue in machine.order.of_step]
    for phase in machine.products:
        before = works[: works.index((Work.CELLS, phase.name))]
        own = [work for work, name in before if name == phase.name]
        parts = [Work.PARTS] if phase.shared else []
        assert own[own.index(Work.SPMV) :] == [Work.SPMV, *parts, *[Work.DRAIN] * overlap]
    (loop,) = [loop for loop in machine.loops if loop.kind == "parts" and loop.subject == ""][:1]
    assert (loop.when, loop.iterations) == (When.STEP, 1)
    gates, head = machine.parts
    assert (gates.phase, head.phase) == ("l0.gates", "head.dense")
    assert head.first == machine.rows.first["head.dense"] + 1
    assert [pe for pe, _ in head.places] == [0, 1]


def test_parts_have_accumulator_rows_behind_those_of_their_phase():
    machine, _ = choose.choose(uneven(), Hardware(pes=8))
    used = {}
    for phase in machine.products:
        first, code = machine.rows.first[phase.name], phase.product.code
        own = range(first, first + code.rows_per_pe + len(code.shared))
        assert max(own) < machine.rows.depth
        if phase.name in machine.pausing:
            assert not used.keys() & set(own), "a phase that pauses shares no row"
        used |= dict.fromkeys(own)
    assert machine.memory("accumulators").depth == machine.rows.depth


def test_the_schedule_counts_the_cycles_that_the_machine_takes():
    machine, _ = choose.choose(uneven(), Hardware(pes=8))
    for phase in machine.products:
        if phase.shared:
            fixed = arrange.SHARING_CYCLES + 3  # levels of a tree over 8 PEs
            assert phase.parts_cycles == len(phase.shared) * arrange.SHARED_ROW_CYCLES + fixed
        else:
            assert phase.parts_cycles == 0


def test_the_adder_over_all_pes_is_counted_where_there_is_one():
    graph = uneven()
    machine, _ = choose.choose(graph, Hardware(pes=8))
    (adder,) = [block for block in blocks(machine) if block.name == "sums of shared rows"]
    assert adder.count == machine.plan.banks and adder.each.lut >= 7 * machine.accumulator_bits
    plain = describe(graph, schedule(graph, Hardware(pes=8)))
    assert "sums of shared rows" not in {block.name for block in blocks(plain)}


@pytest.mark.parametrize("banks", [16, 8, 4])
def test_banks_are_fewer_where_only_that_fits(banks):
    network = random_model(inputs=12, cells=(24,), density=0.3)
    graph = lower(network, calibrate(network, None), Precision())
    rest = ",ff=999999,bram18=999,uram=0,dsp=999"
    large = Hardware(
        pes=8, overlap=False, elements_per_cycle=2, weight_storage="stream", part="xcself",
        part_resources=f"lut=999999{rest}",
    )  # fmt: skip
    asked, _ = choose.build(graph, replace(large, accumulator_banks=banks))
    most = choose.Candidate(asked).resources.fits["lut"].most
    scarce = replace(large, part_resources=f"lut={round(most / PLANNED_SHARE['lut']) + 1}{rest}")
    machine, notes = choose.choose(graph, scarce)
    assert machine.plan.banks == banks and choose.Candidate(machine).room == 2
    told = f"{banks} accumulator banks a PE: 16 would not fit with room"
    assert (told in notes) is (banks < 16)
    assert choose.choose(graph, replace(scarce, accumulator_banks=16))[0].plan.banks == 16


def test_parts_of_shared_rows_are_added_up_in_the_banks_that_hold_them():
    machine, _ = choose.choose(uneven(), Hardware(pes=8))
    of_sharing = [one.code.banks for one in machine.plan.products if one.code.shared]
    assert machine.shared_banks == max(of_sharing)
    assert describe(uneven(), schedule(uneven(), Hardware(pes=8))).shared_banks == 0
