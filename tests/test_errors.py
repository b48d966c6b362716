"""Errors are one line of a length that can be read."""

from __future__ import annotations

from penstock import PenstockError
from penstock.errors import LONGEST


def test_a_part_without_end_is_cut_in_its_middle():
    error = PenstockError("x" * 10**6, "a" + "y" * 10**6 + "b", "try it")
    what, rest = error.line().split(" (")
    assert len(what) <= LONGEST + 10 and what.startswith("xxx") and what.endswith("xxx")
    assert rest.startswith("ay") and rest.endswith("yb); hint: try it")


def test_a_part_of_the_greatest_length_is_left_alone():
    assert PenstockError("x" * LONGEST).line() == "x" * LONGEST
