"""Which format a phase has: the parameters with the least price."""

from __future__ import annotations

import numpy as np

from penstock.fixed import IntArray
from penstock.formats import Bank, Format, Gap, NonZeros, PhaseCode, Relative
from penstock.formats.relative import ESE_INDEX_BITS
from penstock.ir.matrix import Matrix
from penstock.settings import Hardware


def choose_format(phase: PhaseCode, nonzeros: NonZeros, hardware: Hardware) -> Format:
    """The code of the dataflow, of the width that was asked for, else of the cheapest or ESE's."""
    if isinstance(phase.format, Bank):
        return Bank.of(phase, nonzeros, phase.format.rows, phase.format.banks)
    if hardware.is_broadcast:
        return Relative(hardware.index_bits or ESE_INDEX_BITS, hardware.activation_queue)
    if hardware.index_bits is not None:
        return Gap(hardware.index_bits)
    return min(
        Gap.choices(nonzeros), key=lambda choice: choice.price(phase, nonzeros, hardware.pes)
    )


def loads_by_row(matrices: list[Matrix]) -> IntArray:
    """Non-zeros of each row over several matrices of the same rows.  -> (rows)"""
    counts: IntArray = np.sum([matrix.row_counts for matrix in matrices], axis=0)
    return counts
