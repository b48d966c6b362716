"""The machine description: where vectors are kept, and when what is issued."""

from __future__ import annotations

import graphs
import pytest
from graphs import GRAPHS
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.compress import calibrate
from penstock.layers import lower
from penstock.machine import describe
from penstock.machine.arrays import Role
from penstock.machine.order import Work
from penstock.machine.units import Action
from penstock.schedule import schedule


def machine_of(graph, **hardware):
    return describe(graph, schedule(graph, Hardware(**{"pes": 4, "cell_units": 2, **hardware})))


def lstm(**model):
    network = random_model(**model)
    return machine_of(lower(network, calibrate(network, None), Precision()))


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
     ("delay_line", set()), ("state_gathered_behind_its_write", {"l0.c"})],
)  # fmt: skip
def test_a_state_is_deferred_where_a_later_phase_reads_the_old_value(name, deferred):
    machine = machine_of(GRAPHS[name]())
    assert machine.kept.deferred == deferred
    commits = [issue.name for issue in machine.order.issues if issue.work is Work.COMMIT]
    assert set(commits) == deferred


def test_a_deferred_state_is_committed_when_the_step_is_over():
    machine = machine_of(graphs.old_state_in_a_later_phase())
    works = [issue.work for issue in machine.order.issues]
    assert works == ["load", "spmv", "cells", "spmv", "cells", "commit"]
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
    assert third.operand_bases == (base["l0.z"], base["x@0"] - 8, base["l0.y"] - 14)
    assert second.operand_ends == (6, 14)


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
                start = stop - machine.plan.positions(source)
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
    end = 0
    for issue in machine.order.issues:
        assert issue.start == end
        end += issue.cycles
    assert end == machine.order.step_cycles + machine.order.once_cycles
    assert machine.order.once_cycles > 0


def test_ports_touch_what_lies_behind_them():
    machine = lstm(cells=(9,), outputs=4, head=3, at="step")
    assert [port.name for port in machine.ports] == ["x", "weights_0", "parameters", "state", "y"]
    assert machine.port("weights_0").beats == machine.weight_beats == machine.products[-1].end_beat
    assert machine.port("state").beats == sum(state.beats for state in machine.kept.states)
    assert machine.port("state").directions == 2
    assert machine.port("x").is_per_step and machine.port("y").is_per_step
    assert not lstm(cells=(9,), head=3, at="last").port("y").is_per_step


def test_lanes_that_do_not_fit_a_beat_are_refused():
    graph = graphs.residual()
    with pytest.raises(PenstockError, match="16 lanes of 16 bits do not fit a port of 128"):
        machine_of(graph, lanes=16, port_bits=128)
