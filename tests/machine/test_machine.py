"""The machine description: where vectors are kept, and when what is issued."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from graphs import GRAPHS, Sketch
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.compress import calibrate
from penstock.fixed import Fixed
from penstock.ir import Direction
from penstock.lowering import lower
from penstock.machine import describe
from penstock.machine.arrays import Role
from penstock.machine.bandwidth import bandwidth
from penstock.machine.blocks import blocks
from penstock.machine.depths import (
    ADDER_TREE_CYCLES,
    COPY_DEPTH,
    LOOP_CYCLES,
    READ_LATENCY,
    STREAM_DEPTH,
    WRITE_LATENCY,
)
from penstock.machine.loops import Process
from penstock.machine.machine import Drain
from penstock.machine.memories import Access
from penstock.machine.order import Work
from penstock.machine.units import Action
from penstock.ops import Capture, Const, MatVec
from penstock.packing.groups import PeGroups
from penstock.schedule import schedule


def machine_of(graph, **hardware):
    return describe(
        graph, schedule(graph, Hardware(**{"pes": 4, "elements_per_cycle": 2, **hardware}))
    )


def lstm(precision=None, **model):
    network = random_model(**model)
    return machine_of(lower(network, calibrate(network, None), precision or Precision()))


def test_a_state_is_overwritten_where_nobody_needs_the_old_value_later():
    machine = lstm(cells=(9, 6), outputs=4, peephole=True)
    assert machine.kept.deferred == frozenset()
    assert Work.COMMIT not in {issue.work for issue in machine.order.issues}
    y = machine.kept.state("l0.y")
    assert (y.has_array, y.segment) == (False, "l0.y")  # only products read it
    c = machine.kept.state("l0.c")
    assert (c.has_array, c.segment) == (True, None)  # only the unit does


@pytest.mark.parametrize(
    ("name", "deferred"),
    [("old_state_in_a_later_phase", {"l0.c"}), ("old_state_gathered_later", set()),
     ("old_state_used_after_its_write", set()), ("state_read_after_its_write", set()),
     ("delay_line", set()), ("state_gathered_behind_its_write", {"l0.c"}),
     ("state_as_the_result", {"c"})],
)  # fmt: skip
def test_a_state_is_deferred_where_a_later_phase_reads_the_old_value(name, deferred):
    machine = machine_of(GRAPHS[name]())
    assert machine.kept.deferred == deferred
    commits = [issue.name for issue in machine.order.issues if issue.work is Work.COMMIT]
    assert set(commits) == deferred


def test_a_state_is_not_deferred_for_a_later_sweep_which_reads_its_frames():
    s = Sketch(sweeps=(Direction.FORWARD, Direction.BACKWARD, Direction.FORWARD))
    c = s.state("c", 8)
    s.write("c", s.requant("new", s.product("acc", 8, "x")))
    back = s.requant("back", s.product("b.acc", 8, c, sweep=1), sweep=1)
    out = s.sum("out", s.product("o.acc", 8, back, sweep=2), c, sweep=2)
    machine = machine_of(s.done(out, sweep=2))
    assert machine.kept.deferred == frozenset()
    assert [array.name for array in machine.kept.frames] == ["c_before", "back"]
    reads = [line.array for line in machine.phases[-1].unit.lines if line.action is Action.READ]
    assert [(array.name, array.role) for array in reads] == [("c_before", Role.FRAMES)]


def test_a_state_that_nobody_reads_is_kept_for_the_state_port():
    s = Sketch()
    s.state("c", 8)
    new = s.requant("new", s.product("acc", 8, "x"))
    s.write("c", new)
    state = machine_of(s.done(new)).kept.state("c")
    assert (state.has_array, state.segment) == (True, None)


def test_states_follow_one_another_at_the_state_port():
    machine = machine_of(graphs.delay_line(), lanes=16)
    first, second = machine.kept.states
    assert first.beats == 8 // 2  # two elements of 16 lanes in a beat
    assert (first.first_beat, second.first_beat) == (0, 4)


def deferred_then_once():
    """A deferred state in a sweep that another follows, which runs once."""
    s = Sketch(sweeps=(Direction.FORWARD, Direction.ONCE))
    c = s.state("l0.c", 8)
    new = s.sum("l0.c", s.product("l0.acc1", 8, "x"), c)
    s.write("l0.c", new)
    kept = s.add("kept", Capture("kept", "last"), s.sum("l0.y", s.product("l0.acc2", 8, new), c))
    return s.done(s.requant("out", s.product("o.acc", 5, kept, sweep=1), sweep=1), sweep=1)


def test_a_state_is_committed_in_its_own_sweep_and_position_by_position():
    machine = machine_of(deferred_then_once())
    (commit,) = [issue for issue in machine.order.issues if issue.work is Work.COMMIT]
    assert (commit.sweep, commit.cycles) == (0, 8 // 2 + COPY_DEPTH + LOOP_CYCLES)


def test_what_runs_once_is_in_no_sum_of_a_step():
    machine = machine_of(deferred_then_once())
    per_step = machine.products[:2]
    assert machine.order.bound_cycles == sum(phase.product.bound for phase in per_step)
    beats = [machine.beats_of(phase.name) for phase in per_step]
    assert machine.step_weight_beats == sum(beats) < machine.weight_beats


def test_a_capture_is_kept_once_and_may_be_the_result_as_it_is():
    s = Sketch(sweeps=(Direction.FORWARD, Direction.ONCE))
    kept = s.add("kept", Capture("kept", "last"), s.requant("v", s.product("acc", 8, "x")))
    machine = machine_of(s.done(kept, sweep=1))
    assert [array.name for array in machine.kept.captures] == ["kept"]
    assert machine.kept.frames == () and machine.max_steps is None


@pytest.mark.parametrize(
    ("inputs", "overlap", "shared"),
    [(100, False, 1), (400, False, 2), (400, True, 1)],
    ids=["in LUTs", "in block RAMs", "written meanwhile"],
)
def test_two_pes_share_a_copy_of_the_activations_if_it_has_a_port_for_each(inputs, overlap, shared):
    network = random_model(inputs=inputs, cells=(8,))
    graph = lower(network, calibrate(network, None), Precision())
    machine = machine_of(graph, overlap=overlap)
    memory = machine.memory("activations")
    assert machine.copy_pes == shared
    # Banks for the two elements of a cycle, or a word of both.
    assert (memory.count, memory.width) == (4 // shared * (1 if overlap else 2), 16 << overlap)
    assert (memory.access is Access.TWO_READ_OR_WRITE) == (shared == 2)
    assert (memory.impl == "lutram") == (memory.depth <= 64)


def test_a_unit_that_writes_two_vectors_has_both_ports_for_it():
    s = Sketch(sweeps=(Direction.FORWARD, Direction.ONCE))
    c = s.state("c", 8)
    new = s.requant("new", s.product("acc", 8, "x", c))
    s.write("c", new)
    kept = s.add("kept", Capture("kept", "last"), new)
    graph = s.done(s.requant("out", s.product("o.acc", 5, kept, sweep=1), sweep=1), sweep=1)
    plain, beside = (machine_of(graph, overlap=overlap) for overlap in (False, True))
    assert plain.phases[0].unit.segments == {"c", "kept"}
    assert (plain.copy_pes, plain.phases[0].interval) == (2, 1)
    assert plain.memory("activations").impl == "bram"
    assert (beside.copy_pes, beside.phases[0].interval) == (1, 1)  # packets of their own


@pytest.mark.parametrize(("per_cycle", "groups"), [(8, 4), (8, 2), (2, 4), (3, 3), (1, 1), (4, 16)])
def test_every_pe_is_in_one_group_and_a_group_has_its_share_of_the_unit(per_cycle, groups):
    members = [PeGroups(groups, 48 // groups, per_cycle).members(group) for group in range(groups)]
    assert sorted(np.concatenate(members).tolist()) == list(range(48))
    assert all((np.diff(own) > 0).all() and len(own) == 48 // groups for own in members)
    if per_cycle % groups == 0:
        of_unit = [{int(pe) % per_cycle for pe in own} for own in members]
        assert [len(own) for own in of_unit] == [per_cycle // groups] * groups
        assert not set.intersection(*of_unit) or groups == 1


def test_a_deferred_state_is_committed_when_the_step_is_over():
    machine = machine_of(graphs.old_state_in_a_later_phase(), overlap=False)
    works = [issue.work for issue in machine.order.issues]
    assert works == ["load", "spmv", "cells", "spmv", "cells", "commit"]
    machine = machine_of(graphs.old_state_in_a_later_phase(), overlap=True)
    works = [issue.work for issue in machine.order.of_step]
    assert works[-1] == "commit" and works.count("drain") == works.count("cells") == 2
    writes = [
        line.array.role
        for phase in machine.phases
        for line in phase.unit.lines
        if line.action is Action.WRITE_STATE and line.array is not None
    ]
    assert writes == [Role.NEXT]  # l0.c waits; l0.y, which only products read, has no array


def test_the_old_value_is_read_before_the_new_one_is_written():
    machine = machine_of(graphs.old_state_used_after_its_write())
    actions = [line.action for line in machine.phases[0].unit.lines]
    assert actions.index(Action.READ) < actions.index(Action.WRITE_STATE)


def test_operands_that_can_not_lie_side_by_side_have_bases_of_their_own():
    machine = machine_of(graphs.products_of_different_vectors())
    first, second, third = machine.products
    assert not first.is_scattered
    assert third.is_scattered
    base = machine.kept.activations.base
    columns = dict(zip(third.nodes.operands, third.operand_bases, strict=True))
    ends = dict(zip(third.nodes.operands, (0, *third.operand_ends), strict=False))
    assert {name: own + ends[name] for name, own in columns.items()} == {
        name: base[machine.kept.segment(0, name)] for name in third.nodes.operands
    }
    assert second.operand_ends == (6, 14)


def test_shifts_belong_to_the_vectors_that_a_product_reads():
    """The second product reads the same two vectors in the other order."""
    s = Sketch()
    h = s.state("h", 8)
    for name, frac, columns in (("A", 5, 6), ("B", 3, 8), ("C", 3, 8), ("D", 5, 6)):
        s.add(name, Const(Fixed(6, frac), s.generator.integers(-20, 20, (8, columns))))
    first = s.add("first", MatVec(), "x", "A", h, "B")
    second = s.add("second", MatVec(), h, "C", "x", "D")
    new = s.sum("h", first, second)
    s.write("h", new)
    (phase,) = machine_of(s.done(new)).products
    assert phase.nodes.operands == ("x", "h_before")
    assert phase.aligns == ((0, 2), (0, 2))


def test_the_unit_waits_for_every_level_of_the_adder_tree():
    machine = lstm(cells=(9,), outputs=4)
    gates, projection = machine.products
    assert (gates.product.code.ways, projection.product.code.ways) == (4, 4)
    assert machine.drains == [Drain(ways=4, siblings=4, rows=3)]
    assert gates.depth == gates.unit.depth + 2 + ADDER_TREE_CYCLES
    assert projection.depth == projection.unit.depth + 2 + ADDER_TREE_CYCLES


def test_a_unit_is_as_deep_as_its_longest_chain():
    machine = machine_of(graphs.residual())
    unit = machine.phases[-1].unit
    chain = [machine.graph[name] for name in ("b.v_sum", "b.v")]
    cycles = [
        node.op.cost(*(source.tensor for source in machine.graph.inputs(node))).latency_cycles
        for node in chain
    ]
    assert unit.depth == sum(cycles) > max(cycles) > 0


@pytest.mark.parametrize("name", GRAPHS)
def test_an_old_state_is_not_written_to_the_activation_memory_again(name):
    machine = machine_of(GRAPHS[name]())
    lines = [line for phase in machine.phases for line in phase.unit.lines]
    gathered = [line.node for line in lines if line.action is Action.GATHERED]
    assert not [name for name in gathered if machine.graph[name].op.reads]


def test_a_frame_leaves_in_the_sweep_of_the_output_alone():
    s = Sketch(sweeps=(Direction.FORWARD, Direction.BACKWARD, Direction.FORWARD))
    v = s.requant("v", s.product("acc", 8, "x"))
    back = s.requant("back", s.product("b.acc", 8, v, sweep=1), sweep=1)
    machine = machine_of(s.done(v, back, sweep=2))
    leaving = [(load.vector, load.sweep) for load in machine.loads if load.to_results]
    assert leaving == [("v", 2), ("back", 2)]
    assert ("v", 1) in [(load.vector, load.sweep) for load in machine.loads]
    assert [result.start for result in machine.results] == [0, 8]
    assert sorted(machine.output_order[8:]) == list(range(8, 16))


def test_buffered_frames_are_as_deep_as_the_longest_sequence():
    machine = machine_of(graphs.carried_between_sweeps(), max_steps=7)
    depths = {memory.name: memory.depth for memory in machine.memories if memory.kind == "frames"}
    assert depths == {"f.v": 7 * 8 // 2, "b.y": 7 * 8 // 2, "output frame": 8 // 2}


def test_an_interpolated_table_holds_entries_and_rises():
    machine = lstm(Precision(table_entries=64, interpolate_bits=3), cells=(4,))
    for node in machine.graph.of_kind("lut"):
        _, table, rise = machine.graph.inputs(node)
        (memory,) = [memory for memory in machine.memories if memory.name == table.name]
        assert memory.width == table.tensor.type.width + rise.tensor.type.width
        assert memory.depth == 64


def test_segments_never_overlap_and_start_on_whole_groups_of_elements():
    for name, graph in GRAPHS.items():
        machine = machine_of(graph())
        bases = sorted(machine.kept.activations.base.values())
        assert all(base % 2 == 0 for base in bases), name
        for phase in machine.products:
            for source, end, base in zip(
                phase.nodes.operands, phase.operand_ends, phase.operand_bases, strict=True
            ):
                stop = base + end
                start = stop - machine.plan.layout(source).columns
                assert not [other for other in bases if start < other < stop], (name, source)
                assert stop <= machine.kept.activations.depth


def test_what_a_unit_takes_from_elsewhere_is_carried():
    machine = machine_of(graphs.residual())
    assert [array.name for array in machine.kept.carries] == ["a.v", "x"]
    (load,) = machine.loads
    assert load.to_carry is not None and load.to_segment == "x@0"
    machine = machine_of(graphs.carried_between_sweeps())
    assert [array.name for array in machine.kept.frames] == ["f.v", "b.y"]
    assert machine.max_steps == 256


def test_issues_follow_one_another():
    machine = lstm(cells=(9, 6), outputs=4, bidirectional=True, head=3)
    begin = end = 0
    for issue in machine.order.issues:
        begin = begin if issue.is_beside else end
        assert issue.start == begin
        end = max(end, issue.end)
    assert end == machine.order.step_cycles + machine.order.once_cycles
    assert machine.order.once_cycles > 0


def test_ports_touch_what_lies_behind_them():
    machine = lstm(cells=(9,), outputs=4, head=3, at="step")
    names = ["x", "weights_0", "parameters", "state_in", "state_out", "y"]
    assert [port.name for port in machine.ports] == names
    beats = sum(machine.beats_of(phase.name) for phase in machine.products)
    assert machine.port("weights_0").beats == machine.weight_beats == beats
    both = [machine.port(name) for name in ("state_in", "state_out")]
    assert {port.beats for port in both} == {sum(state.beats for state in machine.kept.states)}
    assert machine.port("x").is_per_step and machine.port("y").is_per_step
    assert not lstm(cells=(9,), head=3, at="last").port("y").is_per_step


def test_a_port_that_would_carry_nothing_is_left_out():
    s = Sketch()
    machine = machine_of(s.done(s.requant("v", s.product("acc", 8, "x"))))
    assert [port.name for port in machine.ports] == ["x", "weights_0", "y"]


def test_weights_on_chip_come_by_one_port_and_cost_no_step_anything():
    network = random_model(inputs=39, cells=(96,), outputs=48, pes=16)
    graph = lower(network, calibrate(network, None), Precision())
    plan = schedule(graph, Hardware(pes=16, port_bits=128))
    streamed, kept = describe(graph, plan), describe(graph, plan, on_chip=True)
    assert (streamed.weight_ports, kept.weight_ports) == (2, 1)
    assert kept.groups.groups == 1  # its memory is as wide as need be
    assert kept.step_weight_beats == 0 < streamed.step_weight_beats
    words = sum(product.code.words for product in plan.products)
    assert kept.memory("weights").depth == words
    assert kept.timeline.reload > streamed.timeline.reload


@pytest.mark.parametrize("on_chip", [False, True])
def test_frames_and_results_that_are_streams_need_no_memory(on_chip):
    network = random_model(cells=(9,), outputs=4, head=3, at="step")
    graph = lower(network, calibrate(network, None), Precision())
    memory, stream = (
        describe(graph, schedule(graph, Hardware(pes=4, io=io)), on_chip)
        for io in ("memory", "stream")
    )
    assert [port.name for port in stream.ports] == [port.name for port in memory.ports]
    assert {port.name for port in stream.ports if port.is_stream} == {"x", "y"}
    assert memory.memory_ports == memory.ports
    demands = [demand.name for demand in bandwidth(stream).ports]
    assert (
        demands
        == [port.name for port in stream.memory_ports]
        == [port.name for port in memory.ports if port.name not in ("x", "y")]
    )
    assert stream.memory("port buffers").count == memory.memory("port buffers").count - 2
    assert stream.stream("beats").count == memory.stream("beats").count - 2
    gone = {(loop.kind, loop.process) for loop in memory.loops} - {
        (loop.kind, loop.process) for loop in stream.loops
    }
    assert gone == {
        ("frame_beats", Process.FETCH_FRAMES), ("result_beats", Process.STORE_RESULTS)
    }  # fmt: skip
    logic = {block.name: block for block in blocks(stream)}
    assert logic["AXI streams"].count == 2
    assert logic["memory ports"].count == len(stream.memory_ports)
    assert logic["AXI streams"].each.ff == 2 * (512 + 64 + 64 + 1) + 6  # two beats are kept
    assert all(block.name != "AXI streams" for block in blocks(memory))


def test_a_call_waits_for_memory_only_where_something_of_it_lies_there():
    network = random_model(cells=(9,), outputs=4, head=3, at="step")
    graph = lower(network, calibrate(network, None), Precision())
    plans = {io: schedule(graph, Hardware(pes=4, io=io)) for io in ("memory", "stream")}
    memory, stream = (describe(graph, plan).timeline for plan in plans.values())
    assert stream.step == memory.step
    assert stream.begin == memory.begin  # the first words are on their way
    assert stream.end == memory.end - WRITE_LATENCY - STREAM_DEPTH
    assert stream.store == memory.store + WRITE_LATENCY  # which no result hides any more
    memory, stream = (describe(graph, plan, on_chip=True).timeline for plan in plans.values())
    assert stream.begin == memory.begin - READ_LATENCY - STREAM_DEPTH


def test_lanes_that_do_not_fit_a_beat_are_refused():
    graph = graphs.residual()
    with pytest.raises(PenstockError, match="16 lanes of 16 bits do not fit a port of 128"):
        machine_of(graph, lanes=16, port_bits=128)
