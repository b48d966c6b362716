"""The pictures of the matrices with their axes, in elements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.report.drawing.axes import across, rounded
from penstock.report.sparsity import Picture
from penstock.report.text import TIMES, number, percent, plural

LARGEST = 512
"""Pixels of the longest side on the screen, for a matrix of 1,024 or more."""
LEAST = 160
"""Pixels of the longest side of a small matrix."""
SCALE = 2
"""Elements to a pixel of the screen, where nothing else decides."""


def matrix_charts(
    rows: list[dict[str, Any]], pictures: Mapping[str, Picture]
) -> list[dict[str, Any]]:
    """All matrices at one scale, so that what looks larger is larger; the smallest and the largest
    are kept legible."""
    return [_chart(row, pictures[row["name"]]) for row in rows]


def _chart(row: dict[str, Any], picture: Picture) -> dict[str, Any]:
    height, width = row["shape"]
    longest = max(height, width)
    scale = min(max(longest / SCALE, LEAST), LARGEST) / longest
    by_pe = row["by_pe"]
    return {
        "name": row["name"], "content": picture.content,
        "width": max(round(width * scale), 8), "height": max(round(height * scale), 8),
        "is_smooth": scale * picture.side < 2,
        "shape": f"{number(height)} {TIMES} {number(width)}", "density": percent(row["density"]),
        "x": across(width, 2),
        "y": [
            {"at": rounded(100 * line / height), "label": label} for line, label in picture.ticks
        ],
        "told": "; ".join(_told(picture)),
        "alt": f"Non-zeros of {row['name']}, {number(height)} rows by {number(width)} columns: "
        f"{percent(row['density'])} of the elements, {number(by_pe['least'])} to "
        f"{plural(by_pe['most'], 'non-zero')} on a {'multiplier' if picture.is_in_banks else 'PE'}",
    }  # fmt: skip


def _told(picture: Picture) -> Iterator[str]:
    if picture.side > 1:
        yield f"a pixel for {picture.side} {TIMES} {picture.side} elements"
    kind = "row of multipliers" if picture.is_in_banks else "PE"
    kinds = "rows of multipliers" if picture.is_in_banks else "PEs"
    yield f"a colour for each {kind}" if picture.pes == 1 else f"a colour for {picture.pes} {kinds}"
