"""Integers that are known in part: ``8 q + 3`` for any q.

A value is a constant and multiples of atoms. An atom is what is not known: a loop's counter, an
element of a memory, an operation that has no linear form; the same operation on the same values is
the same atom, so that equal indices are seen to be equal.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

Key = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """``constant`` + the sum of coefficient times atom."""

    constant: int
    terms: tuple[tuple[int, int], ...] = ()

    @property
    def known(self) -> int | None:
        """The integer, if it is known."""
        return None if self.terms else self.constant

    def coefficient(self, atom: int) -> int:
        """Of an atom; 0 if it does not occur."""
        return dict(self.terms).get(atom, 0)

    def modulo(self, factor: int) -> int | None:
        """The remainder of the division by ``factor``, if it is the same for all atoms."""
        if any(coefficient % factor for _, coefficient in self.terms):
            return None
        return self.constant % factor


@dataclass(frozen=True, slots=True)
class Guard:
    """What holds where an access happens: the sum of ``terms`` is, or is not, ``constant``."""

    terms: tuple[tuple[int, int], ...]
    is_equal: bool
    constant: int

    def excludes(self, other: Guard) -> bool:
        """Whether the two never hold together."""
        if self.terms != other.terms:
            return False
        if self.is_equal and other.is_equal:
            return self.constant != other.constant
        return self.is_equal != other.is_equal and self.constant == other.constant


COMPARED = {"<", ">", "<=", ">=", "==", "!="}


class Atoms:
    """The atoms of one kernel: a number for each thing that is not known."""

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}
        self._keys: list[Key] = []

    def of(self, *key: Hashable) -> Value:
        """The value that is one atom, known by ``key``."""
        if key not in self._numbers:
            self._numbers[key] = len(self._keys)
            self._keys.append(key)
        return Value(0, ((self._numbers[key], 1),))

    def fresh(self, what: str = "unknown") -> Value:
        """A value of which nothing is known, and that equals no other."""
        return self.of(what, len(self._keys))

    def unary(self, op: str, value: Value) -> Value:
        """``op value``."""
        if op == "-":
            return scaled(value, -1)
        if op == "+":
            return value
        if value.known is not None:
            return Value(~value.constant if op == "~" else int(not value.constant))
        return self.of(op, value)

    def binary(self, op: str, left: Value, right: Value) -> Value:
        """``left op right``, of integers that no type cuts off."""
        if op in COMPARED:
            return self._compared(op, left, right)
        linear = _linear(op, left, right)
        return linear if linear is not None else self.of(op, left, right)

    def _compared(self, op: str, left: Value, right: Value) -> Value:
        difference = added(left, scaled(right, -1))
        if difference.known is not None:
            less, same = difference.constant < 0, difference.constant == 0
            return Value(int({
                "<": less, ">": not (less or same), "<=": less or same, ">=": not less,
                "==": same, "!=": not same,
            }[op]))  # fmt: skip
        if difference.terms[0][1] < 0 and op in ("==", "!="):
            difference = scaled(difference, -1)
        return self.of(op, difference.terms, -difference.constant)

    def guards(self, test: Value, holds: bool) -> tuple[Guard, ...]:
        """What is known where a test holds, or does not."""
        key = self._keys[test.terms[0][0]] if test.terms == ((test.terms[0][0], 1),) else ("",)
        if test.constant == 0 and key[0] in ("==", "!="):
            _, terms, constant = key
            return (Guard(terms, (key[0] == "==") == holds, constant),)  # type: ignore[arg-type]
        if test.constant == 0 and key[0] == "!" and isinstance(key[1], Value):
            return self.guards(key[1], not holds) if key[1].terms else ()
        if test.constant == 0 and key[0] == ("&&" if holds else "||"):
            parts = [part for part in key[1:] if isinstance(part, Value) and part.terms]
            return tuple(guard for part in parts for guard in self.guards(part, holds))
        return (Guard(test.terms, not holds, -test.constant),)


def added(left: Value, right: Value) -> Value:
    """The sum."""
    if not (left.terms and right.terms):
        return Value(left.constant + right.constant, left.terms or right.terms)
    sums = dict(left.terms)
    for atom, coefficient in right.terms:
        sums[atom] = sums.get(atom, 0) + coefficient
    terms = tuple(sorted(term for term in sums.items() if term[1]))
    return Value(left.constant + right.constant, terms)


def scaled(value: Value, factor: int) -> Value:
    """A multiple."""
    if factor == 0:
        return Value(0)
    terms = tuple((atom, coefficient * factor) for atom, coefficient in value.terms)
    return Value(value.constant * factor, terms)


def _linear(op: str, left: Value, right: Value) -> Value | None:
    """The result of an operation, where it is a sum of multiples again."""
    own, other = left.known, right.known
    match op:
        case "+":
            return added(left, right)
        case "-":
            return added(left, scaled(right, -1))
        case "*" if other is not None:
            return scaled(left, other)
        case "*" if own is not None:
            return scaled(right, own)
        case "<<" if other is not None and 0 <= other < 64:
            return scaled(left, 1 << other)
        case ">>" if other is not None and 0 <= other < 64:
            return _divided(left, 1 << other)
        case "/" if other:
            return _divided(left, other)
        case "%" if other is not None and other > 0:
            remainder = left.modulo(other)
            return None if remainder is None else Value(remainder)
        case "&" if other is not None and other > 0 and not other & (other + 1):
            remainder = left.modulo(other + 1)
            return None if remainder is None else Value(remainder)
        case ",":
            return right
    return _logical(op, own, other, left, right)


def _divided(value: Value, divisor: int) -> Value | None:
    """Rounded down; of what is not negative that is C++'s division."""
    if divisor < 0 or any(coefficient % divisor for _, coefficient in value.terms):
        return None
    if not value.terms and value.constant < 0:
        return Value(-(-value.constant // divisor))
    terms = tuple((atom, coefficient // divisor) for atom, coefficient in value.terms)
    return Value(value.constant // divisor, terms)


def _logical(
    op: str, own: int | None, other: int | None, left: Value, right: Value
) -> Value | None:
    """The rest: bits of constants, and conditions of which one side decides."""
    if op in ("&&", "||"):
        deciding = 0 if op == "&&" else 1
        for known in (own, other):
            if known is not None and bool(known) == bool(deciding):
                return Value(deciding)
        if own is not None:
            return Value(int(bool(other))) if other is not None else right
        return left if other is not None else None
    if own is None or other is None:
        is_zero = op in ("&", "*") and 0 in (own, other)
        return Value(0) if is_zero else None
    if op in ("&", "|", "^"):
        return Value({"&": own & other, "|": own | other, "^": own ^ other}[op])
    return None
