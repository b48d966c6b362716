"""Shared rows: which PE has which of the non-zeros that may be anywhere."""

from __future__ import annotations

import numpy as np

from penstock.fixed import IntArray


def shares_of(loads: IntArray, count: int) -> IntArray:
    """How many of ``count`` non-zeros each PE gets, so that the heaviest is as light as can be.

    loads: (pes) non-zeros that are bound to a PE  ->  (pes). The lightest are filled up to one
    level; what does not come out even goes to the lower PEs.
    """
    ordered = np.sort(loads)
    room = ordered * np.arange(1, len(loads) + 1) - np.cumsum(ordered)  # below each PE's own load
    filled = max(int(np.searchsorted(room, count, side="left")), 1)  # PEs that get any
    level, over = divmod(count + int(ordered[:filled].sum()), filled)
    found = np.maximum(level - loads, 0)
    getting = np.argsort(loads, kind="stable")[:filled]
    found[np.sort(getting)[:over]] += 1
    return found


def deal(shares: IntArray) -> IntArray:
    """The PE of each non-zero in turn: every PE gets its share in even steps.  -> (non-zeros)"""
    pe = np.repeat(np.arange(len(shares)), shares)
    starts = np.repeat(np.cumsum(shares) - shares, shares)
    turn = (np.arange(len(pe)) - starts + 0.5) / shares[pe]
    found: IntArray = pe[np.argsort(turn, kind="stable")]
    return found
