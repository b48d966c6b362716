"""Axes: round numbers, and where they stand in percent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from penstock.report.text import number

MOST_TICKS = 6


def step_of(length: float, most: int = MOST_TICKS) -> int:
    """The least of 1, 2, 5, 10, ... of which at most ``most`` make up a length."""
    steps: Iterator[int] = (digit * 10**power for power in range(20) for digit in (1, 2, 5))
    return next(step for step in steps if length <= most * step)


def across(length: int, most: int = MOST_TICKS) -> list[dict[str, Any]]:
    """Ticks from left to right, from 0 on."""
    return [
        {
            "at": rounded(100 * value / length), "label": number(value),
            "anchor": "start" if value == 0 else "end" if value > 0.95 * length else "middle",
        }
        for value in range(0, length + 1, step_of(length, most))
    ]  # fmt: skip


def upward(length: int, most: int = 5) -> list[dict[str, Any]]:
    """Ticks from the bottom to the top, from 0 on; ``at`` counts from the top."""
    return [
        {"at": rounded(100 - 100 * value / length), "label": number(value)}
        for value in range(0, length + 1, step_of(length, most))
    ]


def middles(count: int, most: int = MOST_TICKS) -> list[dict[str, Any]]:
    """Ticks below the middles of ``count`` things side by side, numbered from 0 on."""
    step = step_of(count, most)
    values = [*range(0, count, step)]
    if count - 1 - values[-1] > step / 2:
        values.append(count - 1)
    return [
        {"at": rounded(100 * (value + 0.5) / count), "label": number(value), "anchor": "middle"}
        for value in values
    ]


def powers_upward(most: int) -> list[dict[str, Any]]:
    """Ticks at powers of ten up to ``most``, at the heights of ``log_height``; three at most."""
    values = [10**power for power in range(len(str(most)))]
    return [
        {"at": rounded(100 - log_height(value, most)), "label": number(value)}
        for value in values[:: -(-len(values) // 3)]
    ]


def log_height(count: int, most: int) -> float:
    """Percent of the height for ``count`` of at most ``most``: a single one can be seen."""
    return 100 * math.log(1 + count) / math.log(1 + max(most, 1))


def rounded(value: float) -> str:
    """In as few digits as a screen needs, so that no machine's last bit shows."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
