"""Weights <-> bytes: words, beats and their manifest, each in both directions."""

from penstock.packing.words import pack_words, unpack_words

__all__ = ["pack_words", "unpack_words"]
