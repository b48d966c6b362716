"""Rows to PEs."""

from __future__ import annotations

import numpy as np

from penstock.schedule.assign import assign_rows, balance, interleave


def heaviest(pe_of_row, loads):
    return np.bincount(pe_of_row, weights=loads).max()


def test_interleave_is_row_modulo_pes():
    assert interleave(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_balance_spreads_what_interleave_piles_up():
    loads = np.array([9, 1, 1, 9, 1, 1, 9, 1, 1])
    assert heaviest(interleave(9, 3), loads) == 27
    assert heaviest(balance(loads, 3), loads) == 11


def test_balance_respects_the_slots_and_places_every_row():
    loads = np.array([100, 1, 1, 1, 1, 1, 1, 1])
    pe_of_row = balance(loads, 3)
    assert len(pe_of_row) == 8
    assert np.bincount(pe_of_row, minlength=3).max() <= 3


def test_best_takes_interleave_unless_balance_is_lighter():
    even = np.full(8, 4)
    assert assign_rows(even, 4, "best").tolist() == interleave(8, 4).tolist()
    skewed = np.array([8, 1, 1, 1, 8, 1, 1, 1])
    best = assign_rows(skewed, 4, "best")
    assert heaviest(best, skewed) < heaviest(interleave(8, 4), skewed)


def test_random_loads_come_close_to_the_mean():
    loads = np.random.default_rng(0).integers(0, 100, 512)
    assert heaviest(balance(loads, 16), loads) <= 1.02 * loads.sum() / 16
