"""ESE's relative index: there and back, padding, empty columns, and PEs that wait for queues."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from packing.placed import phase_code, random_nonzeros

from penstock.formats import Entries, NonZeros, Relative
from penstock.formats.columns import QUEUE_DISTANCE
from penstock.formats.known import AnyFormat

PES = 5


def code_of(index_bits=4, queue_depth=8, slots=6, ways=4, **changes):
    return phase_code(Relative(index_bits, queue_depth), slots, ways, **changes)


def encoded(code, nonzeros, hazard_distance=4, pes=PES):
    return code.format.encode(code, pes, nonzeros, hazard_distance)


def of_one_pe(*entries, columns=2):
    """(column, slot) of each weight of one PE with 40 slots."""
    column, slot = np.array(entries).T
    code = code_of(slots=40, operands=(("x", columns),))
    count = len(column)
    return code, NonZeros(np.zeros(count, int), column * 40 + slot, np.arange(1, count + 1))


@pytest.mark.parametrize("index_bits", range(1, 9))
@pytest.mark.parametrize("density", [0, 0.02, 0.3, 1])
def test_what_is_encoded_is_decoded(index_bits, density):
    wanted, code = random_nonzeros(PES, 6, 40, density), code_of(index_bits)
    entries = encoded(code, wanted)
    assert entries["index"].max() < 1 << index_bits
    code.format.prove_entries(code, entries)
    got, word = code.format.decode(code, entries)
    for name in ("pe", "position", "weight"):
        assert getattr(got, name).tolist() == getattr(wanted, name).tolist()
    assert (np.diff(word)[np.diff(got.pe) == 0] > 0).all()


@pytest.mark.parametrize("hazard_distance", [1, 2, 4, 9])
@pytest.mark.parametrize("ways", [1, 2, 4])
@pytest.mark.parametrize("queue_depth", [1, 3])
def test_no_address_is_used_twice_within_the_distance(hazard_distance, ways, queue_depth):
    code, wanted = code_of(3, queue_depth, 3, ways), random_nonzeros(PES, 3, 40, 0.5)
    entries = encoded(code, wanted, hazard_distance)
    code.format.prove_entries(code, entries)
    got, word = code.format.decode(code, entries)
    assert code.format.prove(code, got, word, hazard_distance) >= hazard_distance
    assert entries.words >= code.format.min_words(code, wanted, PES)


def test_an_entry_counts_the_zeros_before_it_as_in_ese():
    """From the top, 15 zeros need no padding, and 16 need one, which has no place of its own."""
    code, nonzeros = of_one_pe((0, 0), (0, 1), (0, 17), (1, 15), (1, 32))
    entries = encoded(code, nonzeros, 1, pes=1)
    assert entries["index"][:, 0].tolist() == [0, 0, 15, 15, 15, 1]
    assert entries["weight"][:, 0].tolist() == [1, 2, 3, 4, 0, 5]
    assert entries["last"][:, 0].tolist() == [0, 0, 1, 0, 0, 1]


def test_a_column_without_nonzeros_costs_an_entry():
    code, nonzeros = of_one_pe((1, 3), (3, 0), columns=5)
    entries = encoded(code, nonzeros, 1, pes=1)
    assert entries["weight"][:, 0].tolist() == [0, 1, 0, 2, 0]
    assert entries["last"][:, 0].tolist() == [1] * 5
    assert code.format.waste(code, entries)["empty"].tolist() == [3]


def test_a_pe_waits_at_the_end_of_the_column_before():
    """PE 1 has nothing but three entries in column 0: PE 0 is a queue of one column ahead."""
    places = [(0, 0, 0), (0, 1, 0), (0, 2, 0), (1, 0, 0), (1, 0, 1), (1, 0, 2)]
    pe, column, slot = np.array(places).T
    code = code_of(queue_depth=1, slots=3, operands=(("x", 3),))
    entries = encoded(code, NonZeros(pe, column * 3 + slot, np.ones(6, int)), 1, pes=2)
    assert QUEUE_DISTANCE == 2
    assert entries["weight"].T.tolist() == [[1, 0, 1, 0, 0, 1], [1, 1, 1, 0, 0, 0]]
    assert entries["last"].T.tolist() == [[0, 1, 0, 0, 1, 1], [0, 0, 1, 0, 1, 1]]
    waste = code.format.waste(code, entries)
    assert {cause: counts.tolist() for cause, counts in waste.items()} == {
        "padding": [0, 0], "empty": [0, 2], "queues": [3, 1], "bubbles": [0, 0],
    }  # fmt: skip


def test_deeper_queues_take_no_more_words_and_the_deepest_wait_for_nobody():
    nonzeros = random_nonzeros(PES, 6, 40, 0.2)
    words = []
    for queue_depth in (1, 2, 4, 8, 40):
        code = code_of(queue_depth=queue_depth)
        entries = encoded(code, nonzeros, 1)
        words.append(entries.words)
    assert words == sorted(words, reverse=True) and words[0] > words[-1]
    waste = code.format.waste(code, entries)
    assert not waste["queues"].any()
    own = sum(waste[cause] for cause in ("padding", "empty"))
    own = own + np.bincount(nonzeros.pe, minlength=PES)
    assert entries.words == own.max()


@pytest.mark.parametrize("queue_depth", [1, 2, 3, 8])
@pytest.mark.parametrize("density", [0.02, 0.3])
def test_the_words_are_what_queues_would_take_at_run_time(queue_depth, density):
    """PEs that take their entries as soon as they can, from queues that are written meanwhile."""
    code, nonzeros = code_of(queue_depth=queue_depth), random_nonzeros(PES, 6, 40, density)
    entries = encoded(code, nonzeros, 1)
    is_rest = (entries["weight"] == 0) & (entries["index"] == 0)
    column = np.cumsum(entries["last"], axis=0) - entries["last"]
    busy = [np.bincount(column[~is_rest[:, p], p], minlength=40) for p in range(PES)]
    assert cycles_of_queues(np.maximum(busy, 1), queue_depth) == entries.words


def cycles_of_queues(work, queue_depth):
    """work: (pes, columns) cycles of each. Cycle by cycle; a value is seen a cycle after it is
    written, and so is room. The first is there in cycle 0.
    """
    pes, columns = work.shape
    queues = [1] * pes  # activations in each
    sent, at, left = 1, [-1] * pes, [0] * pes
    cycle = 0
    while any(left) or min(at) < columns - 1:
        before = list(queues)
        for p in range(pes):
            if left[p] == 0 and before[p] > 0:
                queues[p] -= 1
                at[p] += 1
                left[p] = work[p, at[p]]
            left[p] = max(left[p] - 1, 0)
        if sent < columns and max(before) < queue_depth:
            queues = [own + 1 for own in queues]
            sent += 1
        cycle += 1
    return cycle


def test_a_pe_that_is_too_far_ahead_is_found():
    code, nonzeros = code_of(queue_depth=2), random_nonzeros(PES, 6, 40, 0.3)
    entries = encoded(code, nonzeros, 1)
    tighter = replace(code, format=Relative(4, 1))
    code.format.prove_entries(code, entries)
    with pytest.raises(AssertionError, match="phase p: a PE is too far ahead of another's queue"):
        tighter.format.prove_entries(tighter, entries)


@pytest.mark.parametrize("damage", ["a column too few", "a column too many", "no end"])
def test_pes_that_do_not_end_their_columns_with_the_words_are_refused(damage):
    code, nonzeros = code_of(), random_nonzeros(PES, 6, 40, 0.3)
    fields = encoded(code, nonzeros).fields
    last = fields["last"].copy()
    if damage == "a column too few":
        last[np.flatnonzero(last[:, 2])[3], 2] = 0
    elif damage == "a column too many":
        last[np.flatnonzero(last[:, 2] == 0)[3], 2] = 1
    else:
        last[-1, 2], last[np.flatnonzero(last[:, 2] == 0)[0], 2] = 0, 1
    with pytest.raises(ValueError, match="a PE does not end its columns with the words"):
        code.format.decode(code, Entries({**fields, "last": last}))


def test_an_entry_below_its_column_is_refused():
    code, nonzeros = code_of(), random_nonzeros(PES, 6, 40, 0.3)
    fields = encoded(code, nonzeros).fields
    index = fields["index"].copy()
    index[np.flatnonzero(fields["weight"][:, 1])[7], 1] += 6
    with pytest.raises(ValueError, match="phase p has an entry below its column"):
        code.format.decode(code, Entries({**fields, "index": index}))


def test_no_column_may_come_late():
    code = code_of(starts=(3,), packet=4)
    with pytest.raises(ValueError, match="no column of the relative index may come late"):
        encoded(code, random_nonzeros(PES, 6, 40, 0.3))


def test_the_format_comes_back_from_its_json():
    text = {"name": "relative", "index_bits": 4, "queue_depth": 8}
    assert msgspec.to_builtins(Relative(4, 8)) == text
    assert msgspec.convert(text, AnyFormat) == Relative(4, 8)


@pytest.mark.parametrize("changed", [
    {"index_bits": 9}, {"index_bits": 0}, {"queue_depth": 0}, {"queue_depth": 1025}, {"k": 1},
])  # fmt: skip
def test_parameters_out_of_bounds_are_refused(changed):
    text = {"name": "relative", "index_bits": 4, "queue_depth": 8}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text | changed, AnyFormat)
