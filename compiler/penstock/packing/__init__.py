"""Weights <-> bytes: the index code, words, beats and their manifest, each in both directions."""

from penstock.packing.index_code import Entries, decode_entries, encode_entries, padded_counts
from penstock.packing.layout import Layout, PhaseCode
from penstock.packing.words import pack_words, unpack_words

__all__ = [
    "Entries", "Layout", "PhaseCode", "decode_entries", "encode_entries", "pack_words",
    "padded_counts", "unpack_words",
]  # fmt: skip
