"""The walk over sweeps and steps: when a state counts, what is kept, what an error says."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.fixed import Fixed, Overflow, Rounding
from penstock.ir import Direction, Graph
from penstock.ir.evaluate import ReferenceEngine, evaluate, initial_state
from penstock.ir.verify import verify
from penstock.ir.walk import Program, Walker
from penstock.ops import Add, Capture, Const, Input, Output, Requant, StateRead, StateWrite

S8 = Fixed(8, 0, True, Rounding.RND, Overflow.SAT)


def delay_line(order):
    """a' = x, b' = a: two steps late. The nodes of a step, in any order that edges allow."""
    graph = Graph("delay", [Direction.FORWARD])
    ops = {
        "x": (Input(2, S8),),
        "a_old": (StateRead("a", 2, S8),),
        "b_old": (StateRead("b", 2, S8),),
        "a_new": (StateWrite("a"), "x"),
        "b_new": (StateWrite("b"), "a_old"),
        "y": (Output(), "b_old"),
    }
    for name in order.split():
        graph.add(name, *ops[name])
    verify(graph)
    return graph


@pytest.mark.parametrize(
    "order",
    [
        "x a_old b_old a_new b_new y",
        "x a_new a_old b_new b_old y",
        "x a_new a_old b_old y b_new",
    ],
)
def test_a_state_is_read_as_the_step_before_left_it_wherever_its_nodes_stand(order):
    graph = delay_line(order)
    x = np.arange(1, 13).reshape(1, 6, 2)
    result = evaluate(graph, x, np.array([6]))
    assert (result.y[:, 2:] == x[:, :4]).all() and not result.y[:, :2].any()
    assert (result.state["a"] == x[:, 5]).all() and (result.state["b"] == x[:, 4]).all()


def test_a_lane_without_a_step_keeps_its_state():
    graph = delay_line("x a_new a_old b_new b_old y")
    x = np.arange(1, 13).reshape(2, 3, 2)
    before = {"a": np.full((2, 2), 50), "b": np.full((2, 2), 60)}
    result = evaluate(graph, x, np.array([3, 1]), before)
    assert result.y[1].tolist() == [[60, 60], [0, 0], [0, 0]]
    assert (result.state["a"][1] == x[1, 0]).all() and (result.state["b"][1] == 50).all()
    assert (before["a"] == 50).all()


def three_sweeps():
    """forward: s += x; backward: r += x; forward: s + r and x of the same step; once: both ends."""
    graph = Graph("sweeps", [Direction.FORWARD, Direction.BACKWARD, Direction.FORWARD])
    graph.add("x", Input(1, S8))
    for name, sweep in (("s", 0), ("r", 1)):
        graph.add(f"{name}_old", StateRead(name, 1, S8), sweep=sweep)
        graph.add(f"{name}_sum", Add(), f"{name}_old", "x", sweep=sweep)
        graph.add(name, Requant(S8), f"{name}_sum", sweep=sweep)
        graph.add(f"{name}_new", StateWrite(name), name, sweep=sweep)
    graph.add("sum", Add(), "s", "r", sweep=2)
    graph.add("out", Requant(S8), "sum", sweep=2)
    graph.add("y", Output(), "out", sweep=2)
    verify(graph)
    return graph


def test_a_later_sweep_sees_the_values_of_the_same_step():
    result = evaluate(three_sweeps(), np.array([[[1], [2], [4]]]), np.array([3]))
    assert result.y.tolist() == [[[1 + 7], [3 + 6], [7 + 4]]]


def test_only_what_a_later_sweep_reads_is_remembered():
    program = Program.of(three_sweeps())
    assert [set(sweep.read_later) for sweep in program.sweeps] == [{"x", "s"}, {"s", "r"}, set()]
    seen = []

    class Names(Walker):
        def execute(self, node, *operands):
            return node.name

        def _step(self, sweep, earlier):
            seen.append((self.moment.frame, set(earlier)))
            return super()._step(sweep, earlier)

    memory = dict.fromkeys(("s", "r"), "zero")
    Names(program, {}, memory, np.array([2])).walk(2)
    assert seen == [(0, set()), (1, set()), (1, {"x", "s"}), (0, {"x", "s"}),
                    (0, {"s", "r"}), (1, {"s", "r"})]  # fmt: skip


def test_captures_take_the_last_and_the_first_step_of_each_lane():
    graph = Graph("captures", [Direction.FORWARD, Direction.BACKWARD, Direction.ONCE])
    graph.add("x", Input(1, S8))
    graph.add("again", Requant(S8), "x", sweep=1)
    for when in ("last", "first"):
        graph.add(f"at_{when}", Capture(f"kept_{when}", when), "again", sweep=1)
    graph.add("y", Output(), "at_last", "at_first", sweep=2)
    verify(graph)
    x = np.array([[[1], [2], [3]], [[4], [5], [6]], [[7], [8], [9]]])
    result = evaluate(graph, x, np.array([3, 2, 0]))
    assert result.y.tolist() == [[[3, 1]], [[5, 4]], [[0, 0]]] and result.state == {}


def test_an_observer_sees_every_node_of_every_step_and_which_lanes_count():
    graph = delay_line("x a_new a_old b_new b_old y")
    seen = []

    def observe(name, t, raw, counts):
        seen.append((name, t, counts.tolist()))

    evaluate(graph, np.ones((2, 2, 2), dtype=np.int64), np.array([2, 1]), observe=observe)
    names = [node.name for node in graph.nodes()]
    assert seen == [(name, t, [True, t < 1]) for t in range(2) for name in names]


def test_what_is_computed_of_constants_has_lanes_like_all_else():
    graph = Graph("constants", [Direction.FORWARD])
    graph.add("x", Input(1, S8))
    graph.add("bias", Const(S8, np.array([3, -5])))
    graph.add("twice", Add(), "bias", "bias")
    graph.add("fixed", Requant(S8), "twice")
    graph.add("keep", StateWrite("s"), "fixed")
    graph.add("s_old", StateRead("s", 2, S8))
    graph.add("y", Output(), "fixed")
    shapes = set()

    def observe(name, t, raw, counts):
        shapes.add(raw.shape[:1])

    result = evaluate(graph, np.ones((3, 2, 1), dtype=np.int64), np.array([2, 1, 0]), None, observe)
    assert shapes == {(3,)}
    given, none = [6, -10], [0, 0]
    assert result.y.tolist() == [[given, given], [given, none], [none, none]]
    assert result.state["s"].tolist() == [given, given, none]


def test_an_error_says_which_node_was_executed():
    graph = delay_line("x a_old b_old a_new b_new y")
    with pytest.raises(ValueError) as caught:
        evaluate(graph, np.ones((1, 2, 3), dtype=np.int64), np.array([2]))
    assert caught.value.__notes__ == ["while executing node a_new (state_write), step 0"]


def test_a_prepared_graph_runs_any_number_of_times():
    graph = delay_line("x a_old b_old a_new b_new y")
    prepared = ReferenceEngine().prepare(graph)
    x = np.arange(1, 9).reshape(1, 4, 2)
    whole = prepared.run(x, np.array([4]))
    first = prepared.run(x[:, :2], np.array([2]), initial_state(graph, 1))
    second = prepared.run(x[:, 2:], np.array([2]), first.state)
    assert (np.concatenate([first.y, second.y], axis=1) == whole.y).all()
    assert all((second.state[name] == value).all() for name, value in whole.state.items())
