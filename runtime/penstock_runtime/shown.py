"""A run's result in a line, and as a notebook shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.ir.saturation import Kind
from penstock_runtime.saturated import lines

if TYPE_CHECKING:
    from penstock_runtime.interpreter import RunResult


def result_line(result: RunResult) -> str:
    """``<RunResult: values (2, 5, 8) from -0.51 to 0.62; no value was out of range>``."""
    return f"<RunResult: values {_values(result)}; {_lost(result)}>"


def result_table(result: RunResult) -> str:
    """Values, states and what was out of range."""
    from penstock.notebook import table  # which loads the names of all characters

    states = ", ".join(f"{name} {raw.shape}" for name, raw in result.state.items())
    rows = [("Values", _values(result)), ("States", states or "none")]
    return table("Result of a run", [*rows, *(("Range", line) for line in lines(result.counted))])


def _values(result: RunResult) -> str:
    values = result.values
    return f"{values.shape} from {values.min():.4g} to {values.max():.4g}"


def _lost(result: RunResult) -> str:
    """The tensor that lost the most values, if any did, and how many others did."""
    lost = [one for one in result.saturations if one.kind is not Kind.TABLE]
    if not lost:
        return "no value was out of range"
    worst = max(lost, key=lambda one: one.count)
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"out of range and cut off: {worst}{more}"
