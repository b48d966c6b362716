"""Which format a phase has: the parameters with the least price."""

from __future__ import annotations

import numpy as np

from penstock.fixed import IntArray
from penstock.formats import Format, Gap, NonZeros
from penstock.ir.matrix import Matrix
from penstock.settings import Hardware


def choose_format(nonzeros: NonZeros, weight_bits: int, hardware: Hardware) -> Format:
    """The gap code of the width that was asked for, else of the cheapest."""
    if hardware.index_bits is not None:
        return Gap(hardware.index_bits)
    return min(
        Gap.choices(nonzeros),
        key=lambda choice: choice.price(nonzeros, weight_bits, hardware.pes),
    )


def loads_by_row(matrices: list[Matrix]) -> IntArray:
    """Non-zeros of each row over several matrices of the same rows.  -> (rows)"""
    counts: IntArray = np.sum([matrix.row_counts for matrix in matrices], axis=0)
    return counts
