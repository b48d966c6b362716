"""Words and beats: any struct of fields, without spare bits."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.formats import Entries, Field
from penstock.packing.words import beats_of, pack_words, unpack_words

THREE = (
    Field("weight", "weight_bits", 5, is_signed=True),
    Field("row", "row_bits", 3),
    Field("offset", "offset_bits", 7, is_signed=True),
)


def random_entries(fields, words, pes, seed=1):
    """Every field at random, its least and its greatest value among them."""
    generator = np.random.default_rng(seed)
    values = {}
    for field in fields:
        low = -(1 << (field.bits - 1)) if field.is_signed else 0
        values[field.name] = generator.integers(low, low + (1 << field.bits), (words, pes))
        values[field.name].flat[:2] = low, low + (1 << field.bits) - 1
    return Entries(values)


def gap_fields(weight_bits, index_bits):
    return (
        Field("weight", "weight_bits", weight_bits, is_signed=True),
        Field("gap", "index_bits", index_bits),
    )


@pytest.mark.parametrize(
    "fields",
    [*(gap_fields(*bits) for bits in ((12, 4), (12, 5), (4, 1), (18, 8))), THREE],
    ids=lambda fields: "+".join(str(field.bits) for field in fields),
)
def test_words_survive_packing_without_spare_bits(fields):
    entries = random_entries(fields, 30, 6)
    packed = pack_words(entries, fields, 512)
    bits = 30 * 6 * sum(field.bits for field in fields)
    assert len(packed) == beats_of(30, bits // 30, 512) * 64
    assert len(packed) * 8 < bits + 512
    got = unpack_words(packed, 30, 6, fields)
    assert list(got.fields) == [field.name for field in fields]
    assert all((got[name] == values).all() for name, values in entries.fields.items())


def test_the_first_field_of_the_first_pe_is_lowest():
    entries = Entries({
        "weight": np.array([[-1, 1]]), "row": np.array([[2, 0]]), "offset": np.array([[-64, 1]]),
    })  # fmt: skip
    packed = int.from_bytes(pack_words(entries, THREE, 128), "little")
    assert packed == 0b1000000_010_11111 | 0b0000001_000_00001 << 15


@pytest.mark.parametrize("name,value", [
    ("weight", 16), ("weight", -17), ("row", 8), ("row", -1), ("offset", 64), ("offset", -65),
])  # fmt: skip
def test_a_value_that_does_not_fit_its_field_is_refused(name, value):
    entries = random_entries(THREE, 4, 2)
    entries[name][3, 1] = value
    with pytest.raises(ValueError, match=f"a {name} does not fit its"):
        pack_words(entries, THREE, 512)


def test_words_that_are_cut_short_are_refused():
    fields = gap_fields(12, 2)
    packed = pack_words(random_entries(fields, 9, 2), fields, 128)
    with pytest.raises(ValueError, match="cut short"):
        unpack_words(packed[:-16], 10, 2, fields)


def test_shares_of_pes_join_to_the_whole():
    entries = random_entries(THREE, 5, 6)
    shares = [entries.of_pes(slice(first, first + 2)) for first in (0, 2, 4)]
    assert [share["row"].shape for share in shares] == [(5, 2)] * 3
    whole = Entries.joined(shares)
    assert all((whole[name] == values).all() for name, values in entries.fields.items())


@pytest.mark.parametrize("bits", [*range(1, 27), 31, 32, 47, 56, 62])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 24])
def test_entries_of_any_width_stand_one_behind_the_other(bits, count):
    """The bits of the file, as one number, are the entries shifted by multiples of their width."""
    fields = (Field("code", "code_bits", bits),)
    entries = random_entries(fields, count, 2) if count > 1 else Entries({"code": np.ones((1, 2))})
    entries = Entries({"code": entries["code"].astype(np.int64)})
    packed = pack_words(entries, fields, 128)
    wanted = sum(int(code) << bits * k for k, code in enumerate(entries["code"].ravel()))
    assert int.from_bytes(packed, "little") == wanted
    assert (unpack_words(packed, count, 2, fields)["code"] == entries["code"]).all()
