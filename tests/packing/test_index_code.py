"""The gap code: there and back, padding, bubbles."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.packing.index_code import (
    NonZeros,
    decode_entries,
    encode_entries,
    padded_counts,
    use_distance,
)
from penstock.packing.words import beats_of, pack_words, unpack_words


def random_nonzeros(pes, slots, columns, density, seed=0):
    generator = np.random.default_rng(seed)
    filled = generator.random((pes, columns * slots)) < density
    pe, position = np.nonzero(filled)
    weight = generator.integers(1, 2000, len(pe)) * generator.choice([-1, 1], len(pe))
    return NonZeros(pe, position, weight)


@pytest.mark.parametrize("index_bits", range(1, 9))
@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_what_is_encoded_is_decoded(index_bits, density):
    wanted = random_nonzeros(5, 6, 40, density)
    entries = encode_entries(wanted, index_bits, 5, 6, ways=2, raw_distance=4)
    assert entries.gap.max() < 1 << index_bits
    got, _ = decode_entries(entries)
    for name in ("pe", "position", "weight"):
        assert getattr(got, name).tolist() == getattr(wanted, name).tolist()


@pytest.mark.parametrize("raw_distance", [1, 2, 4, 9])
@pytest.mark.parametrize("ways", [1, 2, 4])
def test_no_address_is_used_twice_within_the_distance_and_no_bubble_is_idle(raw_distance, ways):
    wanted = random_nonzeros(4, 3, 60, 0.5)
    entries = encode_entries(wanted, 3, 4, 3, ways, raw_distance)
    got, word = decode_entries(entries)
    distances = use_distance(got.pe, word, got.position % 3, 3, ways)
    assert distances.min() >= raw_distance
    if ways >= raw_distance:
        assert entries.words == padded_counts(wanted, 3, 4).max()


def test_bubbles_come_only_where_a_slot_returns_too_early():
    """Slot 0 in columns 0 and 1, nothing between: with distance 4, three bubbles."""
    two = NonZeros(np.array([0, 0]), np.array([0, 2]), np.array([5, 6]))
    entries = encode_entries(two, 2, 1, slots=2, ways=1, raw_distance=4)
    assert entries.weight[:, 0].tolist() == [5, 0, 0, 0, 6]
    assert entries.gap[:, 0].tolist() == [0, 0, 0, 0, 2]


def test_a_long_gap_costs_padding_of_the_greatest_gap():
    far = NonZeros(np.array([0]), np.array([16]), np.array([5]))
    entries = encode_entries(far, 3, 1, slots=1, ways=1, raw_distance=1)
    assert entries.gap[:, 0].tolist() == [7, 7, 2]
    assert entries.weight[:, 0].tolist() == [0, 0, 5]
    assert padded_counts(far, 3, 1).tolist() == [3]


@pytest.mark.parametrize("weight_bits,index_bits", [(12, 4), (12, 5), (4, 1), (18, 8)])
def test_words_survive_packing_without_spare_bits(weight_bits, index_bits):
    generator = np.random.default_rng(1)
    limit = 1 << (weight_bits - 1)
    wanted = random_nonzeros(6, 4, 30, 0.4)
    wanted = NonZeros(
        wanted.pe, wanted.position, generator.choice([-limit, limit - 1, 1], len(wanted.pe))
    )
    entries = encode_entries(wanted, index_bits, 6, 4, 4, 4)
    packed = pack_words(entries, weight_bits, index_bits, 512)
    bits = entries.words * 6 * (weight_bits + index_bits)
    assert len(packed) == beats_of(entries.words, 6 * (weight_bits + index_bits), 512) * 64
    assert len(packed) * 8 < bits + 512
    got = unpack_words(packed, entries.words, 6, weight_bits, index_bits)
    assert (got.weight == entries.weight).all() and (got.gap == entries.gap).all()


def test_a_weight_that_does_not_fit_is_refused():
    wide = NonZeros(np.array([0]), np.array([0]), np.array([8]))
    with pytest.raises(ValueError, match="does not fit"):
        pack_words(encode_entries(wide, 1, 1, 1, 1, 1), 4, 1, 512)


def test_words_that_are_cut_short_are_refused():
    entries = encode_entries(random_nonzeros(2, 2, 9, 0.5), 2, 2, 2, 4, 4)
    packed = pack_words(entries, 12, 2, 128)
    with pytest.raises(ValueError, match="cut short"):
        unpack_words(packed[:-16], entries.words, 2, 12, 2)
