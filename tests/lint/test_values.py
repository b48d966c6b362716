"""Integers that are known in part, by hand."""

from __future__ import annotations

import pytest

from penstock_runtime.lint.pragmas import Token, find_pragmas
from penstock_runtime.lint.scopes import number_of
from penstock_runtime.lint.storage import cycles
from penstock_runtime.lint.values import Atoms, Guard, Value

ATOMS = Atoms()
Q, SLOT = ATOMS.of("q"), ATOMS.of("slot")


def of(op, left, right):
    numbers = (Value(side) if isinstance(side, int) else side for side in (left, right))
    return ATOMS.binary(op, *numbers)


PE = of("+", of("*", Q, 8), 3)


def test_multiples_divide_and_leave_a_remainder():
    assert of("%", PE, 8) == of("&", PE, 7) == Value(3)
    assert of("/", PE, 8) == of(">>", PE, 3) == Q
    assert PE.modulo(4) == 3 and PE.modulo(16) is None
    assert of("-", of("<<", Q, 3), of("*", 8, Q)) == Value(0)


def test_what_has_no_linear_form_equals_itself_alone():
    assert of("/", PE, 16) == of("/", PE, 16) != of("/", PE, 32)
    assert of("*", Q, SLOT).terms != Q.terms


def test_constants_are_those_of_c():
    assert (
        of("/", -7, 2) == Value(-3) and of("|", 5, 2) == Value(7) and of("&", SLOT, 0) == Value(0)
    )
    assert of("<=", of("+", Q, 1), of("+", Q, 1)) == Value(1) and of("<", PE, PE) == Value(0)
    assert of("&&", 0, Q) == Value(0) and of("||", Q, 1) == Value(1)


def test_a_choice_excludes_the_others():
    (third,), (fourth,) = (ATOMS.guards(of("==", Q, c), True) for c in (3, 4))
    (no_third,) = ATOMS.guards(of("!=", 3, Q), True)
    assert third.excludes(fourth) and third.excludes(no_third) and not fourth.excludes(no_third)
    both = ATOMS.guards(of("&&", of("==", Q, 3), of("==", SLOT, 1)), True)
    assert both == (Guard(Q.terms, True, 3), Guard(SLOT.terms, True, 1))
    assert ATOMS.guards(ATOMS.unary("!", Q), True) == ATOMS.guards(Q, False)


@pytest.mark.parametrize(("kind", "reads", "writes", "needed"), [
    ("ram_1p", 1, 1, 2), ("ram_2p", 1, 1, 1), ("ram_2p", 0, 2, 2), ("ram_t2p", 0, 2, 1),
    ("ram_s2p", 2, 1, 2), ("ram_1wnr", 9, 1, 1), ("rom_2p", 3, 0, 2), ("rom_np", 9, 0, 1),
    ("registers", 9, 9, 1), ("stream", 1, 1, 1), ("port", 1, 2, 2),
])  # fmt: skip
def test_ports_of_memories(kind, reads, writes, needed):
    assert cycles(kind, reads, writes) == needed


def test_a_pragma_goes_on_behind_a_backslash():
    lines = ["#pragma HLS stream depth = N * 2 \\", "  variable=x off", "int y;"]
    words = (
        ["#", "pragma", "HLS", "stream", "depth", "=", "N", "*", "2"],
        ["variable", "=", "x", "off"],
        ["int"],
    )
    tokens = [Token(word, n, 0) for n, line in enumerate(words, 1) for word in line]
    (pragma,) = find_pragmas("a.h", tokens, lines)
    assert (pragma.name, pragma.words, pragma.variable) == ("STREAM", ("off",), "x")
    assert number_of(pragma.options["depth"], {"N": 3}) == 6
    assert number_of("N + 1", {}) is number_of("f(1)", {}) is None
