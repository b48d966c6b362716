"""Shared rows and release words: any mask on any PEs, there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing.placed import phase_code, siblings_of_their_own_vectors

from penstock.formats import Gap, Layout, NonZeros
from penstock.formats.sharing import deal, shares_of
from penstock.ir.matrix import Matrix

DISTANCE = 4


@st.composite
def phases(draw):
    """(code, layouts, matrices, pes): one or four siblings over two vectors, some rows shared."""
    pes, rows = draw(st.integers(1, 40)), draw(st.integers(1, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = [draw(st.integers(1, 30)) for _ in range(2)]
    matvecs = draw(st.sampled_from([("m",), ("i", "f", "g", "o")]))
    layouts = {
        "rows": Layout.from_assignment(generator.permutation(rows) % pes, pes),
        "x": Layout.plain(widths[0], 4),
        "h": Layout.from_assignment(generator.permutation(widths[1]) % 3, 3),
    }
    is_shared = generator.random(rows) < draw(st.sampled_from([0, 0.1, 0.5, 1]))
    code = phase_code(
        Gap(draw(st.integers(1, 8))), layouts["rows"].positions // pes, matvecs=matvecs,
        operands=tuple((name, layouts[name].positions) for name in ("x", "h")),
        gathers=((0, 1),) * len(matvecs), banks=draw(st.sampled_from([4, 8])),
        shared=tuple(np.flatnonzero(is_shared).tolist()),
    )  # fmt: skip
    density = draw(st.sampled_from([0, 0.1, 0.5, 1]))
    matrices = {
        (matvec, k): Matrix.of(
            generator.integers(1, 2000, (rows, width)) * (generator.random((rows, width)) < density)
        )
        for matvec in matvecs
        for k, width in enumerate(widths)
    }
    return code, layouts, matrices, pes


def encoded(code, layouts, matrices, pes, release=()):
    """The words; raises unless they give the same matrices, free of hazards."""
    nonzeros = code.format.place(code, layouts, pes, matrices)
    entries = code.format.encode(code, pes, nonzeros, DISTANCE, release)
    got, word = code.format.decode(code, entries)
    decoded = code.format.matrices(code, layouts, pes, got)
    assert decoded.keys() == matrices.keys()
    assert all(decoded[key].equals(matrix) for key, matrix in matrices.items())
    code.format.prove(code, got, word, DISTANCE, release)
    return nonzeros, entries


@settings(max_examples=100, deadline=None)
@given(phases())
def test_any_mask_with_shared_rows_comes_back(phase):
    encoded(*phase)


@settings(max_examples=100, deadline=None)
@given(phases(), st.integers(0, 60))
def test_nothing_stands_in_front_of_its_release(phase, release):
    code, _, _, pes = phase
    _, entries = encoded(*phase, release=(0, release))
    column = np.cumsum(entries["gap"], axis=0) // code.slots
    is_early = column[:release] < code.operands[0][1]
    assert is_early.all()  # padding and bubbles as well
    assert entries.words >= 1 and entries["weight"].shape[1] == pes


@settings(max_examples=100, deadline=None)
@given(phases())
def test_the_head_costs_no_words_and_one_word_more_does(phase):
    code, layouts, matrices, pes = phase
    nonzeros = code.format.place(code, layouts, pes, matrices)
    without = code.format.encode(code, pes, nonzeros, 1).words
    head = code.format.head_words(code, nonzeros, 1, without)
    assert 0 <= head <= without
    assert code.format.encode(code, pes, nonzeros, 1, (0, head)).words == without
    if head < without:
        assert code.format.encode(code, pes, nonzeros, 1, (0, head + 1)).words == without + 1


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
    _, entries = encoded(*two_dense_rows())
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


def test_an_entry_in_front_of_its_release_is_found():
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(6))
    _, entries = encoded(code, layouts, matrices, 3)
    got, word = code.format.decode(code, entries)
    with pytest.raises(AssertionError, match="phase p: an entry stands in front of its release"):
        code.format.prove(code, got, word, DISTANCE, (0, entries.words))


@pytest.mark.parametrize("release", [(0,), (0, 1, 2), (3, 2), (-1, 0)])
def test_a_release_that_makes_no_sense_is_refused(release):
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(6))
    with pytest.raises(ValueError, match="phase p can't be released so"):
        encoded(code, layouts, matrices, 3, release)
