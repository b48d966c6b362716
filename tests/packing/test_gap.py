"""The gap code: there and back, padding, bubbles."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from packing.placed import phase_code, random_nonzeros

from penstock.formats import Gap, Layout, NonZeros
from penstock.formats.hazards import use_distance
from penstock.formats.known import AnyFormat
from penstock.ir.matrix import Matrix


@pytest.mark.parametrize("index_bits", range(1, 9))
@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_what_is_encoded_is_decoded(index_bits, density):
    wanted, gap, code = random_nonzeros(5, 6, 40, density), Gap(index_bits), phase_code()
    entries = gap.encode(phase_code(rows_per_pe=6, banks=4), 5, wanted, 4)
    assert entries["gap"].max() < 1 << index_bits
    got, _ = gap.decode(code, entries)
    for name in ("pe", "position", "weight"):
        assert getattr(got, name).tolist() == getattr(wanted, name).tolist()


@pytest.mark.parametrize("hazard_distance", [1, 2, 4, 9])
@pytest.mark.parametrize("ways", [1, 2, 4])
def test_no_address_is_used_twice_within_the_distance_and_no_bubble_is_idle(hazard_distance, ways):
    wanted, gap, code = random_nonzeros(4, 3, 60, 0.5), Gap(3), phase_code(None, 3, ways)
    entries = gap.encode(code, 4, wanted, hazard_distance)
    got, word = gap.decode(code, entries)
    distances = np.concatenate([
        use_distance(word[got.pe == pe], got.position[got.pe == pe] % 3, ways) for pe in range(4)
    ])  # fmt: skip
    assert gap.prove(code, got, word, hazard_distance) == distances.min() >= hazard_distance
    if ways >= hazard_distance:
        assert entries.words == gap.min_words(code, wanted, 4)


def test_a_hazard_is_found():
    gap, code = Gap(3), phase_code(None, 3, 1)
    got, word = gap.decode(code, gap.encode(code, 4, random_nonzeros(4, 3, 60, 0.5), 2))
    assert gap.prove(code, got, word, 2) == 2
    with pytest.raises(AssertionError, match="phase p: a slot is used twice too soon"):
        gap.prove(code, got, word, 3)


def test_bubbles_come_only_where_a_slot_returns_too_early():
    """Slot 0 in columns 0 and 1, nothing between: with distance 4, three bubbles."""
    two = NonZeros(np.array([0, 0]), np.array([0, 2]), np.array([5, 6]))
    entries = Gap(2).encode(phase_code(None, 2, 1), 1, two, 4)
    assert entries["weight"][:, 0].tolist() == [5, 0, 0, 0, 6]
    assert entries["gap"][:, 0].tolist() == [0, 0, 0, 0, 2]


def test_a_long_gap_costs_padding_of_the_greatest_gap():
    far = NonZeros(np.array([0]), np.array([16]), np.array([5]))
    entries = Gap(3).encode(phase_code(None, 1, 1), 1, far, 1)
    assert entries["gap"][:, 0].tolist() == [7, 7, 2]
    assert entries["weight"][:, 0].tolist() == [0, 0, 5]
    assert Gap(3).min_words(phase_code(None, 1, 1), far, 1) == 3


def test_waste_is_counted_by_cause_for_each_pe():
    """PE 0: two of padding, then its weight. PE 1: its weight, then nothing more to do."""
    two = NonZeros(np.array([0, 1]), np.array([16, 1]), np.array([5, 6]))
    code = phase_code(None, 1, 1)
    waste = Gap(3).waste(code, Gap(3).encode(code, 2, two, 1))
    assert {cause: counts.tolist() for cause, counts in waste.items()} == {
        "padding": [2, 0], "bubbles": [0, 2],
    }  # fmt: skip


def test_a_phase_without_weights_is_one_word_of_bubbles():
    nothing = NonZeros(*(np.zeros(0, dtype=np.int64),) * 3)
    code = phase_code()
    entries = Gap(1).encode(code, 3, nothing, 4)
    assert entries.words == 1 and Gap(1).min_words(code, nothing, 3) == 0
    assert Gap(1).waste(code, entries)["bubbles"].tolist() == [1, 1, 1]
    assert Gap(1).prove(code, *Gap(1).decode(code, entries), 4) is None


def test_no_choice_is_wider_than_the_widest_gap():
    def choices(position):
        one = NonZeros(np.array([0]), np.array([position]), np.array([5]))
        return [choice.index_bits for choice in Gap.choices(one)]

    assert choices(0) == choices(1) == [1]
    assert choices(7) == [1, 2, 3]
    assert choices(8) == [1, 2, 3, 4]
    assert choices(10**6) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_price_is_the_product_of_words_and_bits():
    far = NonZeros(np.array([0, 0]), np.array([16, 17]), np.array([5, 6]))
    assert [Gap(bits).price(phase_code(), far, 1) for bits in (1, 3, 5)] == [
        17 * 17 * 13, 4 * 4 * 15, 2 * 2 * 17,
    ]  # fmt: skip


def test_the_tables_split_every_gap_into_columns_and_slots():
    code = phase_code(Gap(2), rows_per_pe=3)
    assert Gap(2).tables(code, {"gap": 3}) == {
        "columns": [0, 0, 0, 1, 1, 1, 2, 2], "slots": [0, 1, 2, 0, 1, 2, 0, 1],
    }  # fmt: skip


def test_a_format_comes_back_from_its_json():
    assert msgspec.to_builtins(Gap(5)) == {"name": "gap", "index_bits": 5}
    assert msgspec.convert({"name": "gap", "index_bits": 5}, AnyFormat) == Gap(5)


@pytest.mark.parametrize("changed", [
    {"name": "gap", "index_bits": 9}, {"name": "gap", "index_bits": 0}, {"name": "gap"},
    {"name": "runs", "index_bits": 3}, "gap",
    {"name": "gap", "index_bits": 3, "k": 1},
])  # fmt: skip
def test_a_format_that_is_not_known_is_refused(changed):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(changed, AnyFormat)


def test_entries_out_of_order_are_no_proof_of_their_distance():
    gap, code = Gap(3), phase_code(None, 3, 1)
    got, word = gap.decode(code, gap.encode(code, 4, random_nonzeros(4, 3, 60, 0.5), 4))
    with pytest.raises(ValueError, match="not sorted by PE"):
        gap.prove(code, got[::-1], word[::-1].copy(), 4)
    one_pe = got.pe == 0
    backwards = NonZeros(*(
        values[one_pe][::-1].copy() for values in (got.pe, got.position, got.weight)
    ))  # fmt: skip
    with pytest.raises(AssertionError, match="a slot is used twice too soon"):
        gap.prove(code, backwards, word[one_pe][::-1].copy(), 4)


def test_empty_positions_behind_a_vector_have_no_columns_and_cost_no_padding():
    layouts = {"rows": Layout.plain(8, 1), "x": Layout.plain(9, 8), "h": Layout.plain(8, 8)}
    weights = {("m", 0): Matrix.of(np.ones((8, 9), int)), ("m", 1): Matrix.of(np.ones((8, 8), int))}
    words = []
    for columns in (layouts["x"].columns, layouts["x"].positions):
        code = phase_code(Gap(2), 8, operands=(("x", columns), ("h", 8)), gathers=((0, 1),))
        nonzeros = code.format.place(code, layouts, 1, weights)
        entries = code.format.encode(code, 1, nonzeros, 1)
        got, _ = code.format.decode(code, entries)
        found = code.format.matrices(code, layouts, 1, got)
        assert all(found[key].equals(matrix) for key, matrix in weights.items())
        words.append(entries.words)
    assert words == [17 * 8, 17 * 8 + 7 * 8 // 3]
