"""Words <-> beats. A group of PEs has its own memory port and its own file.

A word of a group holds its entries side by side, the first PE in the lowest bits; an entry holds
its fields, the first in the lowest bits. A phase's words follow one another without spare bits;
each phase starts on a new beat. Bits and bytes are little-endian, as m_axi delivers them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.formats import Entries, Field


def beats_of(words: int, word_bits: int, port_bits: int) -> int:
    """Memory beats that a phase takes on one port."""
    return -(-words * word_bits // port_bits)


def pack_words(entries: Entries, fields: tuple[Field, ...], port_bits: int) -> bytes:
    """One group's words of one phase -> whole beats.

    Raises ValueError if a value does not fit its field.
    """
    pes = entries[fields[0].name].shape[1]
    code = np.zeros((entries.words, pes), dtype=np.int64)
    entry_bits = 0
    for field in fields:
        values = entries[field.name]
        low = -1 << (field.bits - 1) if field.is_signed else 0
        if values.size and (values.min() < low or values.max() >= low + (1 << field.bits)):
            raise ValueError(f"a {field.name} does not fit its {field.bits} bits")
        code |= (values & ((1 << field.bits) - 1)) << entry_bits
        entry_bits += field.bits
    bits = ((code[..., None] >> np.arange(entry_bits)) & 1).astype(np.uint8)
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    beats = beats_of(entries.words, pes * entry_bits, port_bits)
    return packed.ljust(beats * port_bits // 8, b"\0")


def unpack_words(packed: bytes, words: int, pes: int, fields: tuple[Field, ...]) -> Entries:
    """Inverse of ``pack_words``. Raises ValueError if there are fewer bytes than words."""
    entry_bits = sum(field.bits for field in fields)
    count = words * pes
    raw: NDArray[np.uint8] = np.frombuffer(packed, dtype=np.uint8)
    bits = np.unpackbits(raw, bitorder="little")[: count * entry_bits]
    if bits.size < count * entry_bits:
        raise ValueError("the packed words are cut short")
    code = bits.reshape(count, entry_bits).astype(np.int64) @ (1 << np.arange(entry_bits))
    values = {}
    for field in fields:
        value = code & ((1 << field.bits) - 1)
        if field.is_signed:
            value -= (value >> (field.bits - 1)) << field.bits
        values[field.name] = value.reshape(words, pes)
        code >>= field.bits
    return Entries(values)
