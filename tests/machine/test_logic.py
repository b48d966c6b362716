"""The logic of a kernel's blocks follows from what the kernel has."""

from __future__ import annotations

from dataclasses import replace

import graphs
import pytest
from support import random_model

from penstock import Hardware, Precision
from penstock.compress import calibrate
from penstock.lowering import lower
from penstock.machine import choose, describe, logic, operands, sums
from penstock.machine.blocks import blocks, column_address, pe_shape
from penstock.schedule import schedule


def machine_of(graph, **hardware):
    return describe(graph, schedule(graph, Hardware(**{"pes": 4, **hardware})))


def lowered(**model):
    network = random_model(**model)
    return lower(network, calibrate(network, None), Precision())


@pytest.fixture(scope="module")
def projected():
    return lowered(inputs=12, cells=(16,), outputs=8)


def block(machine, name):
    (found,) = [block for block in blocks(machine) if block.name == name]
    return found


def test_a_pe_knows_of_operands_only_where_they_are_told_apart():
    scattered = pe_shape(machine_of(graphs.products_of_different_vectors()))
    assert scattered.is_scattered and scattered.operands > 1
    alone = pe_shape(machine_of(graphs.residual()))
    assert not alone.is_scattered and alone.operands == 1


def test_operands_that_lie_apart_take_a_base_for_each():
    shape = replace(pe_shape(machine_of(graphs.products_of_different_vectors())), phases=16)
    beside = replace(shape, is_scattered=False)
    base = logic.table(16 << (shape.operands - 1).bit_length(), shape.address)
    assert column_address(shape).lut - column_address(beside).lut == base.lut > 0


def test_few_phases_constants_are_taken_in_by_what_uses_them():
    assert operands.number(8, 2, 11) == logic.comparator(11)
    assert operands.number(9, 2, 11).lut > operands.number(8, 2, 11).lut
    assert operands.number(4, 1, 11).lut == 0
    assert operands.address(2, 2, 11) == logic.adder(11)


@pytest.mark.parametrize("overlap", [False, True])
def test_every_phase_has_its_own_way_to_the_cell_units(projected, overlap):
    machine = machine_of(projected, overlap=overlap, elements_per_cycle=2, accumulator_banks=4)
    bits, pes = machine.accumulator_bits, 2
    codes = [product.code for product in machine.plan.products]
    assert len(codes) == 2
    each = block(machine, "sums to the cell units").each
    words = sum(code.siblings * (1 if overlap else code.ways) for code in codes)
    trees = 0 if overlap else sum(code.siblings * (code.ways - 1) for code in codes)
    assert each.lut == (words * logic.multiplexer(pes, 1).lut + trees) * bits
    in_pes = [one for one in blocks(machine) if one.name == "sums of the PEs"]
    assert len(in_pes) == overlap


def test_of_drained_sums_a_memory_chooses_among_those_that_write_it():
    alone, both = sums.drain([(4, 2)], 30), sums.drain([(4, 2), (1, 8)], 30)
    assert alone.lut == 4 * 30
    assert both.lut - alone.lut == 7 * 30 + 30  # a tree, and a choice for the first sibling
    assert both.ff == alone.ff


def test_the_places_of_shared_rows_are_counted_in_every_pe():
    graph = lowered(inputs=12, cells=(24,), density=0.2, pes=8, full_cell=3)
    machine, _ = choose.choose(graph, Hardware(pes=8))
    assert machine.parts, "the network's full row is shared"
    found = block(machine, "places of shared rows")
    address = (machine.rows.depth - 1).bit_length()
    assert found.count == 8 and found.each.lut >= 2 * address + machine.shared_banks


def test_words_are_dealt_in_every_group_and_columns_to_all(projected):
    machine = machine_of(projected, pes=16, dataflow="broadcast", overlap=False)
    dealt = block(machine, "dealing of words")
    assert dealt.count == machine.groups.groups
    assert dealt.each.ff >= machine.stream("words").width
    more = machine_of(projected, pes=8, dataflow="broadcast", overlap=False)
    columns = [block(one, "broadcast of columns").each for one in (machine, more)]
    assert columns[0].lut > columns[1].lut


def test_a_wide_choice_takes_a_lut_for_four_words():
    assert [logic.multiplexer(ways, 1).lut for ways in (2, 4, 8, 16, 32, 64)] == [1, 1, 3, 4, 9, 17]
