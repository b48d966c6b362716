"""Rows to PEs: ``interleave`` (ESE) or ``balance`` (longest processing time first)."""

from __future__ import annotations

import heapq

import numpy as np

from penstock.fixed import IntArray


def interleave(rows: int, pes: int) -> IntArray:
    """Row r on PE r mod pes (Han et al. 2017).  -> (rows)"""
    return np.arange(rows) % pes


def balance(loads: IntArray, pes: int, capacity: int) -> IntArray:
    """Heaviest row first, each to the PE with the least load that still has a slot.

    loads: (rows) non-zeros of each row  ->  (rows) PE. A PE takes at most ``capacity`` rows.
    Graham's LPT rule, with slot limits; ties go to the lower row and the lower PE.
    """
    free = [(0, pe, 0) for pe in range(pes)]
    assigned = np.zeros(len(loads), dtype=np.int64)
    for row in np.argsort(-loads, kind="stable"):
        load, pe, used = heapq.heappop(free)
        assigned[row] = pe
        if used + 1 < capacity:
            heapq.heappush(free, (load + int(loads[row]), pe, used + 1))
    return assigned
