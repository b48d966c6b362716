"""Phases: what runs together, in which order, and what is refused by name."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from graphs import Sketch

from penstock import PenstockError
from penstock.ops import ArgMax, Const, MatVec, Requant, StateRead
from penstock.schedule.partition import partition


def phases(graph, max_siblings=4):
    return partition(graph, max_siblings).phases


def test_products_of_one_depth_and_height_are_one_phase_whatever_they_read():
    first, second, third = phases(graphs.products_of_different_vectors())
    assert first.matvecs == ("l0.a", "l0.b", "l0.c")
    assert first.operands == ("x", "l0.y_before")
    assert first.gathers == ((0,), (1,), (1, 0))
    assert (second.matvecs, third.matvecs) == (("l0.d",), ("l0.e",))
    assert first.name == "l0.gates"


def test_no_phase_has_more_siblings_than_there_are_accumulator_banks():
    s = Sketch()
    sums = [s.product(f"l0.p{k}", 8, "x") for k in range(6)]
    graph = s.done(s.sum("l0.y", *sums))
    assert [phase.matvecs for phase in phases(graph)] == [
        ("l0.p0", "l0.p1", "l0.p2", "l0.p3"), ("l0.p4", "l0.p5"),
    ]  # fmt: skip
    assert [len(phase.matvecs) for phase in phases(graph, max_siblings=8)] == [6]
    assert [phase.name for phase in phases(graph)] == ["l0.gates", "l0.gates_2"]


def test_products_of_different_heights_are_phases_of_their_own():
    s = Sketch()
    tall = [s.product(f"l0.t{k}", 8, "x") for k in range(3)]
    short = [s.product(f"l0.s{k}", 5, "x") for k in range(3)]
    v = s.requant("l0.v", s.product("l0.acc", 8, s.sum("l0.t", *tall), s.sum("l0.s", *short)))
    assert [phase.matvecs for phase in phases(s.done(v))] == [
        ("l0.t0", "l0.t1", "l0.t2"), ("l0.s0", "l0.s1", "l0.s2"), ("l0.acc",),
    ]  # fmt: skip


def test_products_behind_different_element_wise_work_are_siblings():
    s = Sketch(inputs=8)
    sums = s.product("l0.a", 8, "x"), s.product("l0.b", 8, s.sum("pre.twice", "x", "x"))
    front, product = phases(s.done(s.sum("l0.y", *sums)))
    assert front.matvecs == () and product.matvecs == ("l0.a", "l0.b")


def test_phases_of_one_name_are_numbered():
    s = Sketch()
    sums = [s.product(f"l0.p{k}", 8, "x") for k in range(12)]
    names = [phase.name for phase in phases(s.done(s.sum("l0.y", *sums)))]
    assert names == ["l0.gates", "l0.gates_2", "l0.gates_3"]


def test_what_only_the_result_needs_runs_behind_all_products():
    s = Sketch(inputs=8)
    c = s.state("c", 8)
    s.write("c", s.sum("new", s.product("acc", 8, "x"), c))
    *_, last = phases(s.done(s.sum("out", "x", "x")))
    assert last.matvecs == () and last.elementwise == ("out_sum", "out")
    assert last.results == ("out",)


def test_what_a_product_needs_runs_in_front_and_what_only_the_next_step_needs_behind():
    front, product = phases(graphs.work_before_any_product())
    assert front.matvecs == () and front.elementwise == ("pre.twice_sum", "pre.twice")
    assert product.matvecs == ("acc",)
    product, back = phases(graphs.delay_line())
    assert product.matvecs == ("acc",)
    assert back.matvecs == () and back.elementwise == ("d1_after", "d2_after")


def test_vectors_that_meet_element_by_element_share_an_order():
    found = partition(graphs.residual(), 4)
    assert len({found.order_of[name] for name in ("x", "a.v", "b.acc", "b.v")}) == 1
    assert found.in_callers_order == {found.order_of["x"]}
    lstm_like = partition(graphs.products_of_different_vectors(), 4)
    assert lstm_like.order_of["l0.y_before"] == lstm_like.order_of["l0.y"] == "l0.gates"
    assert lstm_like.order_of["x"] == "x"


def test_a_node_that_nothing_depends_on_is_in_no_phase():
    s = Sketch()
    v = s.requant("v", s.product("acc", 8, "x"))
    s.sum("unused", "x", "x")
    assert phases(s.done(v))[0].nodes == ("acc", "v")
    assert len(phases(s.graph)) == 1


def refused(graph):
    with pytest.raises(PenstockError) as caught:
        phases(graph)
    return caught.value.line()


def test_a_network_without_a_product_is_refused():
    s = Sketch()
    assert refused(s.done(s.sum("twice", "x", "x"))) == (
        "the network has no matrix product (sketch); hint: the accelerator is an array for them"
    )


def test_a_product_of_constants_is_refused():
    s = Sketch()
    s.add("ones", Const(graphs.WEIGHT, np.ones(6, dtype=np.int64)))
    v = s.requant("v", s.product("acc", 8, "ones"))
    assert refused(s.done(v)) == (
        "acc multiplies the constant ones (sketch); hint: add the product as a bias instead"
    )


def test_a_product_that_reads_one_vector_twice_is_refused():
    s = Sketch()
    acc = s.add("acc", MatVec(), "x", s.matrix("A", 8, 6), "x", s.matrix("B", 8, 6))
    assert refused(s.done(s.requant("v", acc))) == (
        "acc multiplies x twice (sketch); hint: add the two matrices"
    )


def test_an_argmax_inside_the_network_is_refused():
    s = Sketch()
    best = s.add("best", ArgMax(), s.requant("v", s.product("acc", 8, "x")))
    s.done(best)
    s.add("s_before", StateRead("s", 1, s.graph[best].tensor.type))
    s.write("s", best)
    assert refused(s.graph) == (
        "best is read inside the network (sketch); hint: an argmax must be the network's result"
    )


def test_an_argmax_beside_another_result_is_refused():
    s = Sketch()
    v = s.requant("v", s.product("acc", 8, "x"))
    best = s.add("best", ArgMax(), v)
    other = s.add("other", Requant(s.graph[best].tensor.type), s.product("acc2", 5, "x"))
    assert refused(s.done(best, other)) == (
        "best is read inside the network (sketch); hint: an argmax must be the network's result"
    )


def test_reading_what_stores_a_value_is_refused():
    s = Sketch()
    s.state("c", 8)
    after = s.write("c", s.requant("v", s.product("acc", 8, "x")))
    assert refused(s.done(after)) == (
        "y reads c_after, which stores a value (sketch); hint: read v instead"
    )


def test_two_results_of_one_phase_are_refused():
    s = Sketch()
    sums = s.product("a", 8, "x"), s.product("b", 8, "x")
    first, second = (s.requant(f"v{k}", value) for k, value in enumerate(sums))
    assert refused(s.done(first, second)) == (
        "v0 and v1 can't both be results: one phase computes both (sketch); "
        "hint: a phase gives one vector to the output"
    )
