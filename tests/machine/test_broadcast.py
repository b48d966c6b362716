"""The broadcast dataflow in the machine description: copies, streams, loops, cycles, logic."""

from __future__ import annotations

import pytest
from support import random_model

from penstock.calibration import calibrate
from penstock.formats import Relative
from penstock.lowering import lower
from penstock.machine import describe
from penstock.machine.blocks import blocks
from penstock.machine.depths import BROADCAST_DEPTH
from penstock.machine.order import Work
from penstock.machine.runs import RUN_CYCLES
from penstock.machine.streams import FEED_DEPTH
from penstock.schedule import schedule
from penstock.settings import Hardware, Precision


@pytest.fixture(scope="module")
def graph():
    network = random_model(inputs=90, cells=(40,), outputs=24, density=0.2, pes=4)
    return lower(network, calibrate(network, None), Precision())


def machine_of(graph, **settings):
    return describe(graph, schedule(graph, Hardware(pes=4, **settings)))


def test_one_copy_of_the_activations_is_read_through_one_port(graph):
    memory = machine_of(graph, dataflow="broadcast", lanes=2).memory("activations")
    assert (memory.count, str(memory.access)) == (4, "1w1r")  # a bank for each element of a cycle
    assert machine_of(graph, lanes=2).memory("activations").count > memory.count


def test_every_pe_has_a_queue_and_a_feed(graph):
    machine = machine_of(graph, dataflow="broadcast", queue_depth=3, lanes=2)
    queues, feeds = machine.stream("queues"), machine.stream("feeds")
    assert (queues.count, queues.depth) == (4, 3)
    assert queues.width >= 2 * machine.activation_bits
    entry_bits = max(product.code.entry_bits for product in machine.plan.products)
    assert (feeds.count, feeds.depth, feeds.width) == (4, FEED_DEPTH, entry_bits)


def test_without_broadcast_there_are_neither(graph):
    names = {stream.name for stream in machine_of(graph).streams}
    assert not names & {"queues", "feeds"}


def test_loops_are_those_of_three_kinds_of_processes(graph):
    machine = machine_of(graph, dataflow="broadcast")
    words = sum(phase.words for phase in machine.products)
    columns = sum(phase.product.code.columns for phase in machine.products)
    counts: dict[str, int] = {}
    for loop in machine.loops:
        if str(loop.process) == "compute":
            counts[loop.name] = counts.get(loop.name, 0) + loop.iterations
    assert counts["words"] == words * machine.groups.groups
    assert (counts["columns"], counts["entries"]) == (columns, 4 * words)


def test_a_phase_takes_its_words_and_its_processes_beginning(graph):
    machine = machine_of(graph, dataflow="broadcast")
    for issue in machine.order.issues:
        if issue.work is Work.SPMV:
            assert issue.cycles == issue.run.words + RUN_CYCLES + BROADCAST_DEPTH


def test_nothing_runs_beside_the_cell_unit(graph):
    machine = machine_of(graph, dataflow="broadcast")
    assert not machine.hardware.overlaps
    assert not any(issue.is_beside for issue in machine.order.issues)


@pytest.mark.parametrize(("given", "bits"), [(None, 4), (2, 2), (8, 8)])
def test_the_index_has_as_many_bits_as_in_ese_unless_told_otherwise(graph, given, bits):
    plan = schedule(graph, Hardware(pes=4, dataflow="broadcast", index_bits=given))
    assert {product.code.format for product in plan.products} == {Relative(bits, 8)}


def test_deeper_queues_never_take_more_words(graph):
    words = [
        sum(phase.words for phase in
            machine_of(graph, dataflow="broadcast", queue_depth=depth).products)
        for depth in (1, 2, 8, 64)
    ]  # fmt: skip
    assert words == sorted(words, reverse=True) and words[0] > words[-1]


def test_the_broadcast_and_its_processes_are_in_the_logic(graph):
    plain, queued = (
        {block.name: block for block in blocks(machine_of(graph, dataflow=flow, overlap=False))}
        for flow in ("gather", "broadcast")
    )
    assert queued.keys() - plain.keys() == {"broadcast of columns", "dealing of words"}
    assert queued["control of streams"].all.lut > plain["control of streams"].all.lut
    assert queued["loops and states"].all.ff > plain["loops and states"].all.ff
    assert queued["PE array"].all.dsp == plain["PE array"].all.dsp
    assert queued["activation memory"].all.lut < plain["activation memory"].all.lut
