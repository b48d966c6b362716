"""What a run lost to saturation, in words: lines for the terminal, and when to warn."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.errors import warn
from penstock.ir.saturation import Kind, Saturation
from penstock.thresholds import SATURATED

HINT = "calibrate on sequences such as these, or give the tensor more range"


def is_alarming(one: Saturation) -> bool:
    """A given state that does not fit; a tensor that loses more than ``SATURATED`` of its values.

    Never a table's input: sigma and tanh are flat there.
    """
    if one.kind is Kind.TABLE:
        return False
    return one.count > 0 if one.kind is Kind.STATE else one.share > SATURATED


def warn_of(saturations: Iterable[Saturation], where: str) -> None:
    """One warning (UserWarning) that names every tensor that is alarming."""
    found = [str(one) for one in saturations if is_alarming(one)]
    if found:
        warn(f"out of range and cut off: {'; '.join(found)} ({where}); hint: {HINT}")


def lines(saturations: Iterable[Saturation]) -> list[str]:
    """What the terminal says: a line for each tensor, one for all inputs of tables."""
    found = [one for one in saturations if one.count]
    lost = [one for one in found if one.kind is not Kind.TABLE]
    at_tables = [one for one in found if one.kind is Kind.TABLE]
    told = [f"out of range and cut off: {one}" for one in lost] or ["no value was out of range"]
    if at_tables:
        count, of = (sum(getattr(one, field) for one in at_tables) for field in ("count", "of"))
        told.append(
            f"at the ends of the tables of sigma and tanh, which are flat there: "
            f"{count:,} of {of:,} inputs"
        )
    return told
