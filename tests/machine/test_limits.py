"""Refuse at compile time what can't be built or simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import Sketch
from support import random_model

from penstock import Hardware, PenstockError
from penstock.bounds import MAX_LENGTH, MAX_STEPS
from penstock.driver import compile_graph, compile_model
from penstock.fixed import Fixed
from penstock.ir import Direction, Graph
from penstock.machine import limits
from penstock.machine.limits import _host_bytes, check_memories, check_shapes
from penstock.ops import Add, Const, Input


def graph_of(*shapes):
    """Constants of these shapes that take no memory."""
    graph = Graph("network", [Direction.FORWARD])
    graph.add("x", Input(1, Fixed(8, 4)))
    for number, shape in enumerate(shapes):
        graph.add(f"w{number}", Const(Fixed(8, 4), np.broadcast_to(np.int64(1), shape)))
    return graph


def test_shapes_at_the_limit_are_taken(monkeypatch):
    check_shapes(graph_of((MAX_LENGTH,)))
    monkeypatch.setattr(limits, "MAX_MATRIX", 12)
    monkeypatch.setattr(limits, "MAX_WEIGHTS", 25)
    check_shapes(graph_of((3, 4), (4, 3)))


@pytest.mark.parametrize(
    ("shapes", "named"),
    [
        ([(MAX_LENGTH + 1,)], "w0 of 1,048,577"),
        ([(3, 4), (13, 1)], "w1 of 13 x 1"),
        ([(3, 4), (4, 3), (1, 1)], "w2 of 1 x 1"),
    ],
    ids=["a vector", "a matrix", "all together"],
)
def test_a_tensor_beyond_a_limit_is_refused_by_name(shapes, named, monkeypatch):
    if len(shapes) > 1:
        monkeypatch.setattr(limits, "MAX_MATRIX", 12)
        monkeypatch.setattr(limits, "MAX_WEIGHTS", 25)
    with pytest.raises(PenstockError) as caught:
        check_shapes(graph_of(*shapes))
    assert str(caught.value).startswith(f"the network is too large, at {named} elements")


def test_frames_that_can_be_buffered_nowhere_are_refused():
    model = random_model(cells=(200,), inputs=3, bidirectional=True, density=0.01, pes=2)
    compile_model(model, None, Hardware(pes=2, max_steps=1000))
    with pytest.raises(PenstockError) as caught:
        compile_model(model, None, Hardware(pes=2, lanes=16, max_steps=MAX_STEPS))
    assert str(caught.value).startswith(
        "the kernel's memories are too large, the frames of 1,048,576 steps most of all: "
    )
    assert "of 1,024 MiB" in str(caught.value)


def test_activations_copied_for_too_many_pes_are_refused():
    done = compile_model(random_model(cells=(4,), pes=2), None, Hardware(pes=2, lanes=16))
    check_memories(done.machine)
    deep = tuple(
        replace(memory, depth=1 << 25) if memory.kind == "activations" else memory
        for memory in done.machine.memories
    )
    with pytest.raises(PenstockError, match="the copies of the activations most of all: 4,096 of"):
        check_memories(replace(done.machine, memories=deep))


def test_memories_are_refused_for_what_they_are_together(monkeypatch):
    done = compile_model(random_model(cells=(4,), pes=2), None, Hardware(pes=2, lanes=16))
    kinds = limits.SIMULATED
    total = sum(
        memory.count * memory.depth * _host_bytes(memory.width)
        for memory in done.machine.memories
        if memory.kind in kinds
    )
    monkeypatch.setattr(limits, "MAX_MEMORY_BYTES", total)
    check_memories(done.machine)
    monkeypatch.setattr(limits, "MAX_MEMORY_BYTES", total - 1)
    with pytest.raises(PenstockError, match="the kernel's memories are too large"):
        check_memories(done.machine)


def test_a_simulated_integer_takes_whole_powers_of_two_of_bytes():
    sizes = {1: 1, 8: 1, 9: 2, 16: 2, 17: 4, 32: 4, 33: 8, 64: 8, 65: 16}
    assert {bits: _host_bytes(bits) for bits in sizes} == sizes


def test_a_result_that_no_process_can_hold_is_refused(monkeypatch):
    done = compile_model(random_model(cells=(4,), pes=2), None, Hardware(pes=2, lanes=16))
    monkeypatch.setattr(limits, "MAX_RESULT_BYTES", 4 * 16 * 2)
    check_memories(done.machine)
    monkeypatch.setattr(limits, "MAX_RESULT_BYTES", 4 * 16 * 2 - 1)
    with pytest.raises(PenstockError, match="a frame of results most of all"):
        check_memories(done.machine)


@pytest.mark.parametrize("steps", [0, MAX_STEPS + 1, 10**30])
def test_impossible_steps_are_refused(steps):
    with pytest.raises(PenstockError, match="give 1 to 1,048,576 steps"):
        Hardware(max_steps=steps)


def test_a_graph_with_a_value_for_nobody_is_refused_and_not_written_unreadable():
    """A constant that only a dead value reads was in the graph, and not in parameters.bin."""
    s = Sketch()
    s.add("bias", Const(Fixed(8, 4), np.ones(6, dtype=np.int64)))
    s.add("dead", Add(), "x", "bias")
    graph = s.done(s.requant("v", s.product("acc", 8, "x")))
    with pytest.raises(PenstockError) as caught:
        compile_graph(graph, Hardware(pes=4))
    assert str(caught.value).startswith(
        "the graph is not well formed: dead (add) is read by nobody (sketch)"
    )
