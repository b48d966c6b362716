"""Words <-> beats. A group of PEs has its own memory port and its own file.

A word of a group holds its entries side by side, the first PE in the lowest bits; an entry holds
the weight (two's complement) below the gap. A phase's words follow one another without spare bits;
each phase starts on a new beat. Bits and bytes are little-endian, as m_axi delivers them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.packing.index_code import Entries


def beats_of(words: int, word_bits: int, port_bits: int) -> int:
    """Memory beats that a phase takes on one port."""
    return -(-words * word_bits // port_bits)


def pack_words(entries: Entries, weight_bits: int, index_bits: int, port_bits: int) -> bytes:
    """One group's words of one phase -> whole beats.

    Raises ValueError if a weight or a gap does not fit its bits.
    """
    limit = 1 << (weight_bits - 1)
    if entries.words and (
        entries.weight.min() < -limit
        or entries.weight.max() >= limit
        or entries.gap.min() < 0
        or entries.gap.max() >> index_bits
    ):
        raise ValueError("an entry does not fit its bits")
    code = (entries.weight & (2 * limit - 1)) | (entries.gap << weight_bits)
    entry_bits = weight_bits + index_bits
    bits = ((code[..., None] >> np.arange(entry_bits)) & 1).astype(np.uint8)
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    beats = beats_of(entries.words, entries.weight.shape[1] * entry_bits, port_bits)
    return packed.ljust(beats * port_bits // 8, b"\0")


def unpack_words(packed: bytes, words: int, pes: int, weight_bits: int, index_bits: int) -> Entries:
    """Inverse of ``pack_words``. Raises ValueError if there are fewer bytes than words."""
    entry_bits = weight_bits + index_bits
    count = words * pes
    raw: NDArray[np.uint8] = np.frombuffer(packed, dtype=np.uint8)
    bits = np.unpackbits(raw, bitorder="little")[: count * entry_bits]
    if bits.size < count * entry_bits:
        raise ValueError("the packed words are cut short")
    code = bits.reshape(count, entry_bits).astype(np.int64) @ (1 << np.arange(entry_bits))
    weight = code & ((1 << weight_bits) - 1)
    weight -= (weight >> (weight_bits - 1)) << weight_bits
    return Entries(weight.reshape(words, pes), (code >> weight_bits).reshape(words, pes))
