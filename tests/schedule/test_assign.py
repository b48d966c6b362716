"""Rows to PEs: interleaved, balanced, searched for."""

from __future__ import annotations

import numpy as np
import pytest

from penstock import Hardware
from penstock.schedule.arrange import Rows, arrange
from penstock.schedule.assign import balance, interleave
from penstock.schedule.search import improve, least_heaviest


def heaviest(pe_of_row, loads):
    return np.bincount(pe_of_row, weights=loads).max()


def rows_of(*loads, siblings=1, units=1, is_fixed=False, columns=64):
    loads = np.array(loads)
    phases = len(loads)
    return Rows(loads, (siblings,) * phases, (columns,) * phases, units, is_fixed)


def assigned(loads, pes, how):
    return arrange(rows_of(loads), Hardware(pes=pes, assign=how), share=False).pe_of_row


def test_interleave_is_row_modulo_pes():
    assert interleave(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_balance_spreads_what_interleave_piles_up():
    loads = np.array([9, 1, 1, 9, 1, 1, 9, 1, 1])
    assert heaviest(interleave(9, 3), loads) == 27
    assert heaviest(balance(loads, 3, 3), loads) == 11


def test_balance_respects_the_slots_and_places_every_row():
    loads = np.array([100, 1, 1, 1, 1, 1, 1, 1])
    pe_of_row = balance(loads, 3, 3)
    assert len(pe_of_row) == 8
    assert np.bincount(pe_of_row, minlength=3).max() <= 3


def test_best_takes_interleave_unless_another_is_lighter():
    even = np.full(8, 4)
    assert assigned(even, 4, "best").tolist() == interleave(8, 4).tolist()
    skewed = np.array([8, 1, 1, 1, 8, 1, 1, 1])
    best = assigned(skewed, 4, "best")
    assert heaviest(best, skewed) < heaviest(interleave(8, 4), skewed)


def test_each_choice_is_what_its_name_says():
    loads = np.random.default_rng(1).integers(0, 100, 64)
    balanced = balance(loads, 16, 4)
    assert assigned(loads, 16, "interleave").tolist() == interleave(64, 16).tolist()
    assert assigned(loads, 16, "balance").tolist() == balanced.tolist()
    searched = assigned(loads, 16, "search")
    assert heaviest(searched, loads) == -(-loads.sum() // 16) < heaviest(balanced, loads)


def test_random_loads_come_close_to_the_mean():
    loads = np.random.default_rng(0).integers(0, 100, 512)
    assert heaviest(balance(loads, 16, 32), loads) <= 1.02 * loads.sum() / 16


@pytest.mark.parametrize("seed", range(8))
def test_a_search_keeps_to_the_slots_and_is_never_worse_than_where_it_began(seed):
    generator = np.random.default_rng(seed)
    rows, pes, phases = (int(n) for n in generator.integers(1, (60, 12, 4)))
    capacity = -(-rows // pes) + seed % 2
    loads = generator.integers(0, 50, (phases, rows))
    first = balance(loads.sum(axis=0), pes, capacity)
    found = improve(first, loads, pes, capacity)
    assert np.bincount(found, minlength=pes).max() <= capacity
    cost = [sum(heaviest(pe_of_row, own) for own in loads) for pe_of_row in (found, first)]
    assert least_heaviest(loads, pes, capacity).sum() <= cost[0] <= cost[1]
    assert improve(first, loads, pes, capacity).tolist() == found.tolist()


def test_phases_that_share_an_order_are_weighed_together():
    """What is even in one phase alone is uneven in the other; four rows, two PEs."""
    loads = np.array([[8, 8, 1, 1], [9, 0, 9, 0]])
    found = improve(np.array([0, 1, 0, 1]), loads, 2, 2)
    assert found[0] == found[3] and found[1] == found[2]


def test_a_slot_more_is_taken_where_it_saves_more_words_than_it_costs():
    """One row as heavy as three: beside it, a PE should have none of the other four."""
    loads = 300 * np.array([3, 1, 1, 1, 1, 1, 1])
    assert np.bincount(assigned(loads, 3, "best")).tolist() == [1, 3, 3]
    loads = 300 * np.array([3, 1, 1, 1, 1, 1])
    assert np.bincount(assigned(loads, 3, "best")).max() == 3 > len(loads) / 3
    assert np.bincount(assigned(loads // 300, 3, "best")).max() == 2


def shared(loads, pes, **rows):
    return arrange(rows_of(loads, **rows), Hardware(pes=pes), share=True)


def test_no_row_is_shared_where_the_loads_are_even():
    assert shared(np.full(64, 20), 8).shared == ((),)
    loads = np.random.default_rng(2).integers(50, 100, 64)
    assert shared(loads, 8).shared == ((),)


def test_a_row_heavier_than_the_bound_is_shared():
    loads = np.full(64, 20)
    loads[5] = 1000
    found = shared(loads, 8)
    assert found.shared == ((5,),)
    assert found.heaviest.tolist() == [-(-loads.sum() // 8)]


def test_a_row_is_not_shared_for_fewer_words_than_that_costs():
    loads = np.full(8, 20)
    loads[5] = 30
    assert shared(loads, 8).shared == ((),)
    loads[5] = 45
    assert shared(loads, 8).shared == ((5,),)
    loads[4] = 40  # both or none
    assert shared(loads, 8).shared == ((4, 5),)


def test_rows_in_the_callers_order_stay_where_they_are_and_can_be_shared():
    loads = np.full(64, 20)
    loads[5] = 1000
    found = shared(loads, 8, is_fixed=True)
    assert found.pe_of_row.tolist() == interleave(64, 8).tolist() and found.shared == ((5,),)


def test_each_phase_shares_its_own_rows():
    loads = np.full((2, 64), 20)
    loads[0, 5] = loads[1, 9] = 1000
    found = arrange(rows_of(*loads), Hardware(pes=8), share=True)
    assert found.shared == ((5,), (9,))


def test_two_rows_on_many_pes_are_both_shared():
    assert shared(np.array([768, 768]), 32, columns=768).shared == ((0, 1),)


def test_what_was_asked_for_by_name_is_not_shared():
    loads = np.array([1000, 1, 1, 1])
    for how in ("interleave", "balance"):
        assert arrange(rows_of(loads), Hardware(pes=4, assign=how), share=True).shared == ((),)
