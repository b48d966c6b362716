"""Words <-> beats. A group of PEs has its own memory port and its own file.

A word of a group holds its entries side by side, the first PE in the lowest bits; an entry holds
its fields, the first in the lowest bits. A phase's words follow one another without spare bits;
each phase starts on a new beat. Bits and bytes are little-endian, as m_axi delivers them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from penstock.fixed import IntArray
from penstock.formats import Entries, Field

BLOCK = 8
"""Entries that together end where a byte does, whatever their width."""


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
        code |= (values.astype(np.int64) & ((1 << field.bits) - 1)) << entry_bits
        entry_bits += field.bits
    packed = _side_by_side(code.reshape(-1), entry_bits)
    beats = beats_of(entries.words, pes * entry_bits, port_bits)
    return packed.ljust(beats * port_bits // 8, b"\0")


def unpack_words(packed: bytes, words: int, pes: int, fields: tuple[Field, ...]) -> Entries:
    """Inverse of ``pack_words``. Raises ValueError if there are fewer bytes than words."""
    entry_bits = sum(field.bits for field in fields)
    count = words * pes
    if 8 * len(packed) < count * entry_bits:
        raise ValueError("the packed words are cut short")
    code = _apart(np.frombuffer(packed, dtype=np.uint8), count, entry_bits)
    values = {}
    for field in fields:
        value = code & ((1 << field.bits) - 1)
        if field.is_signed:
            value -= (value >> (field.bits - 1)) << field.bits
        narrow = np.int32 if field.bits < 32 else np.int64
        values[field.name] = value.astype(narrow).reshape(words, pes)
        code >>= field.bits
    return Entries(values)


def _side_by_side(code: IntArray, bits: int) -> bytes:
    """Numbers >= 0 of so many bits without spare bits between them, the first lowest."""
    blocks = -(-len(code) // BLOCK)
    filled = np.zeros((blocks, BLOCK), dtype=np.int64)
    filled.reshape(-1)[: len(code)] = code
    packed = np.zeros((blocks, bits), dtype=np.uint8)
    for number, byte, low in _shares(bits):
        own = filled[:, number]
        packed[:, byte] |= (own >> low if low >= 0 else own << -low).astype(np.uint8)
    return packed.tobytes()[: -(-len(code) * bits // 8)]


def _apart(packed: NDArray[np.uint8], count: int, bits: int) -> IntArray:
    """Inverse of ``_side_by_side``, of so many numbers; ``packed`` may go on behind them."""
    blocks = -(-count // BLOCK)
    filled = np.zeros((blocks, bits), dtype=np.uint8)
    used = packed[: blocks * bits]
    filled.reshape(-1)[: len(used)] = used
    code = np.zeros((blocks, BLOCK), dtype=np.int64)
    for number, byte, low in _shares(bits):
        own = filled[:, byte].astype(np.int64)
        code[:, number] |= own << low if low >= 0 else own >> -low
    code &= (1 << bits) - 1
    return code.reshape(-1)[:count]


def _shares(bits: int) -> Iterator[tuple[int, int, int]]:
    """Of ``BLOCK`` numbers, which fill ``bits`` whole bytes: number, a byte that it has a share in,
    and which of its bits is the byte's lowest; negative if the number begins further up.
    """
    for number in range(BLOCK):
        first = number * bits
        for byte in range(first // 8, (first + bits - 1) // 8 + 1):
            yield number, byte, 8 * byte - first
