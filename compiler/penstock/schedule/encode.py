"""Entries to words: which gap width, which accumulator banks."""

from __future__ import annotations

import numpy as np

from penstock.fixed import IntArray
from penstock.packing.index_code import Entries, NonZeros, encode_entries, padded_counts
from penstock.packing.layout import PhaseCode
from penstock.settings import Hardware

INDEX_BITS = range(1, 9)


def choose_index_bits(nonzeros: NonZeros, weight_bits: int, hardware: Hardware) -> int:
    """The gap width with the least product of cycles and bits: neither time nor memory is free."""
    if hardware.index_bits is not None:
        return hardware.index_bits
    gaps_need = max(int(nonzeros.gaps().max(initial=1)).bit_length(), 1)

    def price(bits: int) -> int:
        words = int(padded_counts(nonzeros, bits, hardware.pes).max(initial=0))
        return words * words * (weight_bits + bits)

    return min(
        (bits for bits in INDEX_BITS if bits <= gaps_need), key=price, default=INDEX_BITS[-1]
    )


def encode(nonzeros: NonZeros, code: PhaseCode, hardware: Hardware) -> Entries:
    """The words of a phase under ``code``."""
    return encode_entries(
        nonzeros, code.index_bits, hardware.pes, code.slots, code.ways, hardware.raw_distance
    )


def loads_by_row(matrices: list[IntArray]) -> IntArray:
    """Non-zeros of each row over several matrices of the same rows.  -> (rows)"""
    counts: IntArray = np.sum([np.count_nonzero(matrix, axis=1) for matrix in matrices], axis=0)
    return counts
