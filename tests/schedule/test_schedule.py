"""The schedule of whole networks, and the validator that trusts none of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

import graphs
import numpy as np
import pytest
from schedule.planning import packed, planned, relabelled, repacked
from support import random_model

from penstock import Hardware, PenstockError, Precision
from penstock.compress import calibrate
from penstock.driver import compile_model
from penstock.fixed import Fixed
from penstock.formats import Entries, Gap, Layout
from penstock.lowering import lower
from penstock.machine import describe
from penstock.packing.validate import validate
from penstock.schedule import schedule


def test_layers_share_the_array_one_after_the_other():
    graph, plan = planned(cells=(9, 6), outputs=4, head=3, at="step")
    names = [product.code.name for product in plan.products]
    assert names == [
        "l0.gates", "l0.projection", "l1.gates", "l1.projection", "head.dense",
    ]  # fmt: skip
    order = describe(*planned(Hardware(pes=4, overlap=False), cells=(9, 6), outputs=4, head=3,
                              at="step")).order  # fmt: skip
    assert [issue.work for issue in order.issues] == ["load", *["spmv", "cells"] * 5]
    runs = [issue.run for issue in describe(graph, plan).order.of_step if issue.run is not None]
    for product in plan.products:
        own = sorted((run.first, run.words) for run in runs if run.phase == product.code.name)
        assert sum(words for _, words in own) == product.code.words


def test_gathered_vectors_lie_side_by_side_on_whole_groups_of_cell_units():
    hardware = Hardware(pes=4, elements_per_cycle=4)
    base = describe(*planned(hardware, inputs=5, cells=(9, 6), outputs=4)).kept.activations.base
    assert base["x@0"] == 0 and base["l0.y"] == 8 and base["l1.y"] == 12
    assert all(address % 4 == 0 for address in base.values())


def test_balance_is_chosen_where_it_needs_fewer_words():
    heavy = random_model(inputs=6, cells=(16,), density=1.0)
    for part in (heavy["l0"].w_x, heavy["l0"].w_r):
        for matrix in part.values():
            matrix[np.arange(16) % 4 != 0] *= np.random.default_rng(0).random(matrix.shape[1]) < 0.1
    graph = lower(heavy, calibrate(heavy, None), Precision())
    words = {
        how: schedule(graph, Hardware(pes=4, assign=how)).products[0].code.words
        for how in ("interleave", "balance", "best")
    }
    assert words["balance"] < 0.6 * words["interleave"]
    assert words["best"] == words["balance"]


def test_the_gap_width_trades_cycles_for_bits():
    _, plan = planned(inputs=50, cells=(64,), density=0.05)
    _, narrow = planned(Hardware(pes=4, index_bits=2), inputs=50, cells=(64,), density=0.05)
    assert plan.products[0].code.index_bits > 3
    assert plan.products[0].code.words < 0.5 * narrow.products[0].code.words


def test_a_dense_model_needs_one_gap_bit_and_no_padding():
    model = random_model(inputs=8, cells=(8,), density=1.0)
    for matrix in model.weights().values():
        matrix[np.abs(matrix) < 0.01] = 0.01  # nothing rounds to zero
    graph = lower(model, calibrate(model, None), Precision())
    (phase,) = schedule(graph, Hardware(pes=4)).products
    assert (phase.code.index_bits, phase.waste["padding"]) == (1, 0)
    assert phase.nonzeros == 4 * 8 * 16


def test_more_pes_than_cells_are_refused():
    with pytest.raises(PenstockError) as caught:
        planned(Hardware(pes=32), cells=(10,))
    assert caught.value.line() == (
        "32 PEs can't share 10 cells: a PE owns whole cells (hardware settings); "
        "hint: choose 10 PEs or fewer (--pes)"
    )


def test_groups_of_pes_never_need_more_than_a_beat_a_cycle():
    for port_bits in (128, 256, 512):
        hardware = Hardware(pes=24, port_bits=port_bits)
        graph, plan = planned(hardware, cells=(48,), density=0.2)
        widest = max(product.code.entry_bits for product in plan.products)
        group_pes = describe(graph, plan).groups.group_pes
        assert group_pes * widest <= port_bits and 24 % group_pes == 0


@pytest.mark.parametrize("overlap", [False, True])
def test_more_banks_are_taken_where_bubbles_cost_too_much(overlap):
    """Four slots of a PE come back after fewer words than a sum takes."""
    words = {}
    for banks in (4, 8, 16, None):
        hardware = Hardware(pes=4, accumulator_banks=banks, overlap=overlap)
        _, plan = planned(hardware, cells=(4,), outputs=4, density=0.9)
        words[banks] = sum(product.code.words for product in plan.products)
    assert plan.banks == 16
    assert words == {4: 40, 8: 38, 16: 37, None: 37}


def test_few_banks_are_enough_for_several_phases_almost_without_bubbles():
    _, plan = planned(Hardware(pes=2), cells=(48,), outputs=24, density=0.5)
    assert len(plan.products) == 2
    assert plan.banks == 4


def test_weights_are_as_wide_as_the_widest_matrix_of_the_phase():
    network = random_model(cells=(9,))
    wide = Precision(weights=6, overrides={"l0.W_fr": Fixed(16, 12)})
    plan = schedule(lower(network, calibrate(network, None), wide), Hardware(pes=4))
    assert plan.products[0].code.weight_bits == 16


def test_rows_that_meet_the_input_frame_stand_in_the_callers_order():
    for assign in ("balance", "best", "interleave"):
        plan = schedule(graphs.residual(), Hardware(pes=4, assign=assign))
        assert plan.layout("x").is_identity and plan.layout("a.v").is_identity


def test_a_pe_owns_a_cell():
    planned(Hardware(pes=5), cells=(5,))
    with pytest.raises(PenstockError, match="6 PEs can't share 5 cells"):
        planned(Hardware(pes=6), cells=(5,))


def test_more_siblings_than_banks_are_found():
    s = graphs.Sketch()
    sums = [s.product(f"l0.p{k}", 8, "x") for k in range(6)]
    graph = s.done(s.sum("l0.y", *sums))
    plan = schedule(graph, Hardware(pes=4, accumulator_banks=8))
    manifest, files = packed(graph, plan)
    validate(graph, manifest, files, 4)
    with pytest.raises(AssertionError, match="impossible banks"):
        validate(graph, relabelled(manifest, "l0.gates", banks=4), files, 4)


def test_the_validator_accepts_what_the_compiler_packs():
    graph, plan = planned(cells=(9, 6), outputs=4, bidirectional=True, head=3)
    proof = validate(graph, *packed(graph, plan), 4)
    matrices = [node.tensor.constant for node in graph.of_kind("const")]
    assert proof.weights == sum(np.count_nonzero(m) for m in matrices if m.ndim == 2)
    assert proof.min_distance >= 4


def flip_weight(entries: Entries):
    weight = entries["weight"]
    word, pe = np.argwhere(weight)[3]
    weight[word, pe] ^= 1 if weight[word, pe] not in (1, -1) else 2


def drop_weight(entries: Entries):
    word, pe = np.argwhere(entries["weight"])[5]
    entries["weight"][word, pe] = 0


def shift_weight(entries: Entries):
    entries["gap"][0, 0] += 1


def repeat_weight(entries: Entries):
    """A PE's last weight goes where the one before it went."""
    weight, gap = entries["weight"], entries["gap"]
    (pe, *_) = np.flatnonzero((weight[-1] != 0) & (weight[-2] != 0))
    gap[-1, pe] = 0


@pytest.mark.parametrize("change,reason", [
    (flip_weight, "phase l0.gates: the words do not hold l0.W_"),
    (drop_weight, "phase l0.gates: the words do not hold l0.W_"),
    (shift_weight, "phase l0.gates: the words do not hold l0.W_"),
    (repeat_weight, "phase l0.gates holds a weight twice"),
])  # fmt: skip
def test_the_validator_finds_a_changed_word(change, reason):
    graph, plan = planned(cells=(9,))
    manifest, files = packed(graph, plan)
    with pytest.raises((AssertionError, ValueError), match=re.escape(reason)):
        validate(graph, manifest, repacked(manifest, files, change), 4)


def test_the_validator_finds_a_hazard():
    """Words scheduled for a distance of 2 do not prove a distance of 9."""
    graph, plan = planned(
        Hardware(pes=5, hazard_distance=2, accumulator_banks=4), cells=(5,), outputs=5, density=0.9
    )
    manifest, files = packed(graph, plan)
    validate(graph, manifest, files, 2)
    with pytest.raises(AssertionError, match="a slot is used twice too soon"):
        validate(graph, manifest, files, 9)


def test_the_validator_does_not_trust_the_manifest():
    graph, plan = planned(cells=(9, 9), outputs=4)
    manifest, files = packed(graph, plan)
    for changes in ({"banks": 64}, {"banks": 8}, {"sweep": 7}, {"rows": "l1.gates"}):
        with pytest.raises(AssertionError):
            validate(graph, relabelled(manifest, "l0.gates", **changes), files, 4)
    assert manifest.phases[0].gathers == ((0, 1),) * 4
    for gathers, reason in (
        (((0, 1),) * 3, "some products gather nothing"),
        (((0,), *((0, 1),) * 3), "l0.acc_i reads other vectors"),
        (((0, 1), (1, 0), (0, 1), (0, 1)), "l0.acc_f reads other vectors"),
        (((0, 2),) * 4, "l0.acc_i reads other vectors"),
        (((0, -1),) * 4, "l0.acc_i reads other vectors"),
    ):
        with pytest.raises(AssertionError, match=re.escape(reason)):
            validate(graph, relabelled(manifest, "l0.gates", gathers=gathers), files, 4)
    twice = replace(manifest, phases=(*manifest.phases, manifest.phases[-1]))
    padded = [content + content[-4096:] for content in files]
    with pytest.raises((AssertionError, ValueError)):
        validate(graph, twice, padded, 4)
    order = list(manifest.layouts["l0.gates"].order)
    order[order.index(3)] = 0
    layouts = {**manifest.layouts, "l0.gates": Layout(tuple(order))}
    with pytest.raises(AssertionError, match=r"layout l0\.gates is not a permutation"):
        validate(graph, replace(manifest, layouts=layouts), files, 4)


def test_the_same_model_gives_the_same_bytes():
    model = random_model(cells=(9, 6), outputs=4, peephole=True)
    first, second = (compile_model(model, None, Hardware(pes=4)).files for _ in range(2))
    assert first == second


def test_the_validator_tells_vectors_of_one_layout_apart():
    """Rows and input in one order: only the graph says which of the two a product reads."""
    graph, plan = planned(inputs=9, cells=(9,))
    manifest, files = packed(graph, plan)
    operand = manifest.phases[0].operands[1]
    x = graph.of_kind("input")[0].name
    for gathers, operands, reason in (
        (((0, 1), (1, 0), (0, 1), (0, 1)), (operand, operand), "l0.acc_f reads other vectors"),
        (((0, 1),) * 4, (operand,) * 3, "the vectors are not those of the products, each once"),
        (
            ((0, 1), (0, 2), (0, 1), (0, 1)),
            (operand,) * 3,
            "the vectors are not those of the products, each once",
        ),
    ):
        changed = relabelled(manifest, "l0.gates", operands=operands, gathers=gathers)
        alike = replace(changed, layout_of={**manifest.layout_of, x: operand[0]})
        with pytest.raises(AssertionError, match=reason):
            validate(graph, alike, files, 4)


def test_the_validator_demands_one_format_of_all_phases():
    class Runs(Gap):
        name: ClassVar[str] = "runs"

    graph, plan = planned(cells=(9, 9))
    manifest, files = packed(graph, plan)
    other = Runs(plan.products[1].code.index_bits)
    with pytest.raises(AssertionError, match=r"phase l1\.gates: formats differ between phases"):
        validate(graph, relabelled(manifest, "l1.gates", format=other), files, 4)
