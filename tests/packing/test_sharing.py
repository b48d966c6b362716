"""Shared rows: any mask on any PEs, there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing.placed import phase_code, phases

from penstock.formats import Gap, Layout, NonZeros
from penstock.formats.sharing import deal, shares_of
from penstock.ir.matrix import Matrix

DISTANCE = 4


def encoded(code, layouts, matrices, pes):
    """The words; raises unless they give the same matrices, free of hazards."""
    nonzeros = code.format.place(code, layouts, pes, matrices)
    entries = code.format.encode(code, pes, nonzeros, DISTANCE)
    got, word = code.format.decode(code, entries)
    decoded = code.format.matrices(code, layouts, pes, got)
    assert decoded.keys() == matrices.keys()
    assert all(decoded[key].equals(matrix) for key, matrix in matrices.items())
    code.format.prove(code, got, word, DISTANCE)
    return entries


@settings(max_examples=100, deadline=None)
@given(phases())
def test_any_mask_with_shared_rows_comes_back(phase):
    encoded(*phase)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(0, 500))
def test_what_is_shared_fills_up_the_lightest(loads, count):
    loads = np.array(loads)
    shares = shares_of(loads, count)
    assert shares.sum() == count and shares.min() >= 0
    heaviest = max(loads.max(), -(-(loads.sum() + count) // len(loads)))
    assert (loads + shares).max() == heaviest
    assert np.bincount(deal(shares), minlength=len(loads)).tolist() == shares.tolist()


def test_a_pe_gets_its_share_in_even_steps():
    assert deal(np.array([2, 4, 0, 2])).tolist() == [1, 0, 3, 1, 1, 0, 3, 1]


def two_dense_rows(pes=32, columns=768):
    layouts = {
        "rows": Layout.from_assignment(np.arange(2), pes), "x": Layout.plain(columns, 8),
    }  # fmt: skip
    code = phase_code(Gap(8), 1, operands=(("x", columns),), shared=(0, 1))
    return code, layouts, {("m", 0): Matrix.of(np.ones((2, columns), dtype=int))}, pes


def test_two_dense_rows_on_many_pes_take_no_more_words_than_the_bound():
    entries = encoded(*two_dense_rows())
    assert entries.words == 2 * 768 / 32


def test_shared_rows_fill_up_the_lightest_pes():
    layouts = {"rows": Layout.from_assignment(np.arange(3), 3), "x": Layout.plain(30, 1)}
    mask = np.arange(30) < np.array([[30], [3], [30]])
    code = phase_code(Gap(8), 1, operands=(("x", 30),), shared=(2,))
    nonzeros = code.format.place(code, layouts, 3, {("m", 0): Matrix.of(mask.astype(int))})
    assert np.bincount(nonzeros.pe).tolist() == [30, 17, 16]


def test_a_shared_row_has_no_entry_in_its_own_place():
    code, layouts, matrices, pes = two_dense_rows()
    own = replace(code, shared=())
    place = own.format.place(own, layouts, pes, matrices)
    at_home = NonZeros(place.pe, place.position * code.slots, place.weight)
    with pytest.raises(ValueError, match="phase p has an entry outside its matrix"):
        code.format.matrices(code, layouts, pes, at_home)
