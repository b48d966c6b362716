"""Schedules whose rows are shared by all PEs, and the validator that trusts none of them."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from schedule.planning import packed, planned, relabelled
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.compress import calibrate
from penstock.lowering import lower
from penstock.packing.manifest import Manifest
from penstock.packing.validate import validate
from penstock.schedule import schedule


def uneven_lstm():
    """Gates with one full cell, a head of 2 classes."""
    model = random_model(inputs=20, cells=(80,), outputs=64, head=2, at="step", density=0.05)
    for part in (model["l0"].w_x, model["l0"].w_r):
        for matrix in part.values():
            matrix[3] = np.where(matrix[3] == 0, 0.3, matrix[3])
    return lower(model, calibrate(model, None), Precision())


def test_shared_rows_are_packed_and_proven():
    graph = uneven_lstm()
    plans = [schedule(graph, Hardware(pes=8), share=share) for share in (False, True)]
    without, plan = ({product.code.name: product.code for product in p.products} for p in plans)
    assert not any(code.shared for code in without.values())
    assert plan["l0.gates"].shared == (3,) and plan["head.dense"].shared == (0, 1)
    assert plan["head.dense"].words < without["head.dense"].words / 2
    manifest, files = packed(graph, plans[1])
    proof = validate(graph, manifest, files, 4)
    assert proof.weights == sum(product.nonzeros for product in plans[1].products)
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_broadcast_dataflow_shares_no_rows():
    """Its kernel can't sum their parts."""
    plan = schedule(uneven_lstm(), Hardware(pes=8, dataflow="broadcast"), share=True)
    assert not any(product.code.shared for product in plan.products)


def test_the_validator_demands_shared_rows_that_are_rows_each_once():
    graph = uneven_lstm()
    manifest, files = packed(graph, schedule(graph, Hardware(pes=8), share=True))
    for shared in ((1, 0), (0, 0), (0, 2), (-1, 0)):
        with pytest.raises(AssertionError, match="the shared rows are not rows, each once"):
            validate(graph, relabelled(manifest, "head.dense", shared=shared), files, 4)
    with pytest.raises((AssertionError, ValueError), match=r"phase head\.dense"):
        validate(graph, relabelled(manifest, "head.dense", shared=(0,)), files, 4)


def test_a_head_of_two_rows_on_many_pes_takes_a_few_words_more_than_the_bound():
    s = graphs.Sketch(inputs=768)
    graph = s.done(s.requant("head.v", s.product("head.acc", 2, "x")))
    hardware = Hardware(pes=32)
    with pytest.raises(PenstockError, match="32 PEs can't share 2 cells"):
        schedule(graph, hardware)
    (product,) = schedule(graph, hardware, share=True).products
    assert product.code.shared == (0, 1)
    assert product.bound <= product.code.words <= product.bound + 1
    validate(graph, *packed(graph, schedule(graph, hardware, share=True)), 4)


def test_more_pes_than_rows_are_refused_where_sharing_gains_nothing():
    s = graphs.Sketch(inputs=3)
    graph = s.done(s.requant("v", s.product("acc", 4, "x")))
    with pytest.raises(PenstockError, match="8 PEs can't share 4 cells"):
        schedule(graph, Hardware(pes=8), share=True)


def test_an_even_network_is_scheduled_the_same_whether_rows_may_be_shared_or_not():
    graph, plan = planned(cells=(16, 8), outputs=8)
    shared = schedule(graph, Hardware(pes=4), share=True)
    assert packed(graph, shared) == packed(graph, plan)
