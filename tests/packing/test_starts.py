"""Vectors that are written while a phase runs: no word gathers what is not there yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing.placed import phase_code, phases, siblings_of_their_own_vectors

from penstock.formats import Gap, Layout
from penstock.formats.rows import CHAIN_DISTANCE, latest_starts
from penstock.ir.matrix import Matrix

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
@given(phases(), st.sampled_from([1, 4, 8]))
def test_the_latest_starts_cost_no_word_and_later_ones_do(phase, packet):
    code, layouts, matrices, pes = phase
    nonzeros = code.format.place(code, layouts, pes, matrices)
    without = code.format.encode(code, pes, nonzeros, 1)
    code = replace(code, packet=packet, words=without.words)
    starts = latest_starts(code, *code.format.decode(code, without))
    assert list(starts) == sorted(starts)

    def words(later):
        late = replace(code, starts=tuple(start + later for start in starts))
        return late.format.encode(late, pes, nonzeros, 1).words

    assert words(0) == without.words
    assert words(1) == without.words + bool(len(nonzeros.pe))


def test_a_vector_of_many_packets_and_few_words_begins_before_the_first_word():
    """Of 768 elements, 8 a cycle, the last are gathered by the last of 24 words."""
    layouts = {"rows": Layout.from_assignment(np.arange(32), 32), "x": Layout.plain(768, 8)}
    code = phase_code(Gap(8), operands=(("x", 768),), packet=8, words=24)
    matrix = Matrix.of(np.repeat(np.arange(768) % 32 == 31, 32).reshape(768, 32).T.astype(int))
    nonzeros = code.format.place(code, layouts, 32, {("m", 0): matrix})
    entries = code.format.encode(code, 32, nonzeros, DISTANCE)
    assert entries.words == 24
    (start,) = latest_starts(code, *code.format.decode(code, entries))
    assert start == 23 - CHAIN_DISTANCE - 95


def test_a_word_that_gathers_too_soon_is_found():
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(6))
    nonzeros = code.format.place(code, layouts, 3, matrices)
    entries = code.format.encode(code, 3, nonzeros, DISTANCE)
    got, word = code.format.decode(code, entries)
    late = replace(code, starts=(0, entries.words), packet=8)
    with pytest.raises(AssertionError, match="phase p: a word gathers what is not written yet"):
        code.format.prove(late, got, word, DISTANCE)
