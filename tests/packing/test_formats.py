"""The protocol of formats, held by those that there are and by one that works otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from packing.placed import phase_code, siblings_of_their_own_vectors

from penstock.formats import Entries, Field, Format, Gap, Layout, NonZeros, Relative
from penstock.formats.hazards import issue
from penstock.formats.kernel import kernel_format
from penstock.formats.layout import position_on
from penstock.formats.rows import OwnedRows, released
from penstock.packing.words import pack_words, unpack_words


class Absolute(OwnedRows, msgspec.Struct, frozen=True, tag="absolute", tag_field="name"):
    """Every entry says its whole position: no padding, no state in the PE, no tables.

    The index comes below its flag, and the flag says whether there is a weight at all.
    """

    name: ClassVar[str] = "absolute"
    position_bits: int

    def fields(self, weight_bits):
        return (
            Field("weight", "weight_bits", weight_bits, is_signed=True),
            Field("position", "position_bits", self.position_bits),
            Field("valid", "valid_bits", 1),
        )

    def min_words(self, phase, nonzeros, pes):
        return int(np.bincount(nonzeros.pe, minlength=pes).max(initial=0))

    def price(self, phase, nonzeros, pes):
        words = self.min_words(phase, nonzeros, pes)
        return words**2 * (phase.weight_bits + self.position_bits + 1)

    def encode(self, phase, pes, nonzeros, hazard_distance):
        slot = nonzeros.position % phase.slots
        free = released(phase, nonzeros.position)
        word = issue(nonzeros.pe, slot, pes, phase.slots, phase.ways, hazard_distance, free)
        shape = (int(word.max(initial=0)) + 1, pes)
        fields = {name: np.zeros(shape, np.int64) for name in ("weight", "position", "valid")}
        for name, values in (
            ("weight", nonzeros.weight), ("position", nonzeros.position), ("valid", 1),
        ):  # fmt: skip
            fields[name][word, nonzeros.pe] = values
        return Entries(fields)

    def decode(self, phase, entries):
        pe, word = np.nonzero(entries["valid"].T)
        found = NonZeros(pe, entries["position"][word, pe], entries["weight"][word, pe])
        return found, word

    def waste(self, phase, entries):
        return {"bubbles": np.count_nonzero(entries["valid"] == 0, axis=0)}

    def tables(self, phase, widest):
        return {}


FORMATS: dict[str, Format] = {
    "narrow gaps": Gap(1), "wide gaps": Gap(6), "positions": Absolute(8),
    "a relative index": Relative(2, 8), "short queues": Relative(1, 1),
}  # fmt: skip


@pytest.fixture(params=FORMATS, ids=lambda name: name.replace(" ", "-"))
def format(request):
    return FORMATS[request.param]


@pytest.mark.parametrize("hazard_distance", [1, 4, 7])
@pytest.mark.parametrize("banks", [4, 8])
def test_matrices_survive_a_format_and_packing(format, hazard_distance, banks):
    pes = 3
    code, layouts, matrices = siblings_of_their_own_vectors(format, pes)
    code = replace(code, banks=banks)
    nonzeros = format.place(code, layouts, pes, matrices)
    entries = format.encode(code, pes, nonzeros, hazard_distance)
    files = [pack_words(entries.of_pes(slice(p, p + 1)), code.fields, 128) for p in range(pes)]
    parts = [unpack_words(content, entries.words, 1, code.fields) for content in files]
    format.prove_entries(code, Entries.joined(parts))
    got, word = format.decode(code, Entries.joined(parts))
    assert format.prove(code, got, word, hazard_distance) >= hazard_distance
    decoded = format.matrices(code, layouts, pes, got)
    assert decoded.keys() == matrices.keys()
    assert all(decoded[key].equals(matrix) for key, matrix in matrices.items())


def test_every_entry_holds_a_nonzero_or_is_waste(format):
    code, layouts, matrices = siblings_of_their_own_vectors(format)
    nonzeros = format.place(code, layouts, 3, matrices)
    entries = format.encode(code, 3, nonzeros, 4)
    waste = format.waste(code, entries)
    assert list(waste)[-1] == "bubbles"
    held = entries.words - sum(waste.values())
    assert held.tolist() == np.bincount(nonzeros.pe, minlength=3).tolist()
    assert entries.words >= format.min_words(code, nonzeros, 3)


def test_prices_compare_formats():
    """Narrow gaps need few bits and many words; positions the fewest words, with many bits."""
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(1))
    nonzeros = code.format.place(code, layouts, 3, matrices)
    price = {name: format.price(code, nonzeros, 3) for name, format in FORMATS.items()}
    words = {name: format.min_words(code, nonzeros, 3) for name, format in FORMATS.items()}
    assert words["positions"] <= words["wide gaps"] < words["narrow gaps"]
    assert words["a relative index"] < words["short queues"]
    bits_of = {"narrow gaps": 1, "wide gaps": 6, "positions": 9, "a relative index": 3}
    for name, bits in bits_of.items():
        assert price[name] == words[name] ** 2 * (12 + bits)


def test_a_weight_that_is_there_twice_is_refused():
    """The positions code could say so; a gap of 0 says it in the gap code."""
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(6))
    nonzeros = code.format.place(code, layouts, 3, matrices)
    twice = NonZeros(*(np.repeat(a, 2) for a in (nonzeros.pe, nonzeros.position, nonzeros.weight)))
    for format in FORMATS.values():
        with pytest.raises(ValueError, match="phase p holds a weight twice"):
            format.matrices(code, layouts, 3, twice)


@pytest.mark.parametrize("change,reason", [
    ({"column": 999}, "an entry outside its matrix"),
    ({"column": 16}, "an entry outside its matrix"),  # the first behind x and h
    ({"sibling": 3}, "an entry outside its matrix"),
    ({"row": (2, 1)}, "an entry outside its matrix"),
    ({"sibling": 1, "column": 0}, "an entry outside its matrix"),  # b does not read x
    ({"column": 5}, "an entry in an empty column"),
])  # fmt: skip
def test_an_entry_where_no_weight_can_be_is_refused(change, reason):
    """x has 5 elements in 8 positions; PE 1 owns 2 of the 8 rows, in 2 of 3 slots."""
    code, layouts, _ = siblings_of_their_own_vectors(Gap(6))
    pe, slot = 0, 0
    if "row" in change:
        slot, pe = change["row"]
    position = change.get("column", 0) * code.slots + slot * code.siblings
    position += change.get("sibling", 0)
    one = NonZeros(np.array([pe]), np.array([position]), np.array([7]))
    with pytest.raises(ValueError, match=f"phase p has {reason}"):
        code.format.matrices(code, layouts, 3, one)


@pytest.mark.parametrize("gathers", [
    ((0, 0), (1,), (1, 0)), ((0, 2), (1,), (1, 0)), ((0, -1), (1,), (1, 0)),
])  # fmt: skip
def test_vectors_that_a_phase_does_not_have_are_refused(gathers):
    code, layouts, matrices = siblings_of_their_own_vectors(Gap(6))
    nonzeros = code.format.place(code, layouts, 3, matrices)
    wrong = replace(code, gathers=gathers)
    with pytest.raises(ValueError, match="phase p has no such vectors"):
        code.format.place(wrong, layouts, 3, matrices)
    with pytest.raises(ValueError, match="phase p has no such vectors"):
        code.format.matrices(wrong, layouts, 3, nonzeros)


def test_the_kernel_has_the_widest_fields_and_a_table_for_each_phase():
    phases = [
        phase_code(Gap(2), rows_per_pe=3, weight_bits=7), phase_code(Gap(4), weight_bits=5),
    ]  # fmt: skip
    kernel = kernel_format(phases)
    assert kernel.name == "gap"
    assert [(field.name, field.bits) for field in kernel.fields] == [("weight", 7), ("gap", 4)]
    assert [len(table["slots"]) for table in kernel.tables] == [16, 16]
    assert kernel.tables[0]["columns"][:7] == [0, 0, 0, 1, 1, 1, 2]


def test_a_kernel_of_two_formats_is_refused():
    with pytest.raises(ValueError, match="different formats"):
        kernel_format([phase_code(Gap(2)), phase_code(Absolute(8))])


@pytest.mark.parametrize("banks", [4, 8, 16])
def test_siblings_and_ways_share_out_the_banks(banks):
    """A bank's number is the sibling's bits above the way's, so both are powers of two."""
    for count in range(1, banks + 1):
        code = phase_code(matvecs=tuple(f"m{k}" for k in range(count)), banks=banks)
        assert code.siblings * code.ways == banks and count <= code.siblings < 2 * count


def test_an_order_with_empty_positions_at_its_end_is_still_the_elements_own():
    assert Layout.plain(5, 4).is_identity and Layout.plain(8, 4).is_identity
    assert not Layout((1, 0, -1, -1)).is_identity
    assert not Layout((0, -1, 1)).is_identity


def test_a_layout_knows_who_owns_an_element():
    layout = Layout.from_assignment(np.array([2, 0, 2, 1, 0]), 3)
    pe, slot = layout.place(np.arange(5), 3)
    assert pe.tolist() == [2, 0, 2, 1, 0] and slot.tolist() == [0, 0, 1, 0, 1]
    assert layout.element_at[position_on(pe, slot, 3)].tolist() == [0, 1, 2, 3, 4]
    assert layout.element_at[position_on(np.array([1]), np.array([1]), 3)].tolist() == [-1]


def test_where_there_is_a_slot_too_many_the_empty_ones_are_spread():
    """Columns of the phase that reads the vector; a run of empty ones would need padding."""
    layout = Layout.from_assignment(np.repeat(np.arange(4), [4, 3, 3, 2]), 4)
    is_empty = (layout.element_at < 0).reshape(-1, 4)  # slot, PE
    assert is_empty.sum(axis=1).tolist() == [1, 1, 1, 1]
    assert is_empty.sum(axis=0).tolist() == [0, 1, 1, 2]
    pe, slot = layout.place(np.arange(12), 4)
    assert all((np.diff(slot[pe == own]) > 0).all() for own in range(4))
