"""Vectors that are written while a phase runs: no word gathers what is not there yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing.placed import phases, siblings_of_their_own_vectors

from penstock.formats import Gap
from penstock.formats.rows import CHAIN_DISTANCE

DISTANCE = 4


def written_at(code):
    """The word in whose time each column is written, by the definition.  -> (columns)"""
    return np.concatenate([
        start + np.arange(count) // code.packet
        for start, (_, count) in zip(code.starts, code.operands, strict=True)
    ])  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(phases(), st.tuples(st.integers(0, 20), st.integers(0, 60)), st.sampled_from([1, 4, 8]))
def test_no_word_gathers_what_is_not_written(phase, starts, packet):
    code, layouts, matrices, pes = phase
    code = replace(code, starts=starts, packet=packet)
    nonzeros = code.format.place(code, layouts, pes, matrices)
    entries = code.format.encode(code, pes, nonzeros, DISTANCE)
    got, word = code.format.decode(code, entries)
    assert (word >= written_at(code)[got.position // code.slots] + CHAIN_DISTANCE).all()
    code.format.prove(code, got, word, DISTANCE)
    decoded = code.format.matrices(code, layouts, pes, got)
    assert all(decoded[key].equals(matrix) for key, matrix in matrices.items())


@settings(max_examples=100, deadline=None)
@given(phases())
def test_the_head_costs_no_words_and_one_word_more_does(phase):
    code, layouts, matrices, pes = phase
    nonzeros = code.format.place(code, layouts, pes, matrices)
    without = code.format.encode(code, pes, nonzeros, 1).words
    head = code.format.head_words(code, nonzeros, 1, without)
    assert 0 <= head <= without

    def words(start):  # both vectors are whole in the cycle in which they begin
        late = replace(code, starts=(-CHAIN_DISTANCE, start - CHAIN_DISTANCE), packet=1 << 20)
        return late.format.encode(late, pes, nonzeros, 1).words

    assert words(head) == without
    if head < without:
        assert words(head + 1) == without + 1


def test_a_word_that_gathers_too_soon_is_found():
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(6))
    nonzeros = code.format.place(code, layouts, 3, matrices)
    entries = code.format.encode(code, 3, nonzeros, DISTANCE)
    got, word = code.format.decode(code, entries)
    late = replace(code, starts=(0, entries.words), packet=8)
    with pytest.raises(AssertionError, match="phase p: a word gathers what is not written yet"):
        code.format.prove(late, got, word, DISTANCE)
