"""Error and saturation, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.ir.saturation import Kind
from penstock.report.drawing.axes import rounded
from penstock.report.text import NOTHING, number, percent

LEAST_FULL = 0.01
"""A full bar stands for no less, so that little looks little."""


def error_chart(error: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """rows: for each tensor, in this order, its relative error, and how many of its values were out
    of range; of tables' inputs only the latter is known. full_error, full_lost: what a full bar
    stands for. order: the names of all tensors."""
    figures = {row["name"]: row for row in error["tensors"]}
    lost = {row["name"]: row for row in error["saturations"]}
    most_error = max(LEAST_FULL, *(row["relative_error"] or 0.0 for row in error["tensors"]))
    most_lost = max([LEAST_FULL, *map(_share, error["saturations"])])
    rows = [
        {
            "name": name,
            "error": rounded(100 * _error(figures.get(name)) / most_error),
            "error_text": percent(figures[name]["relative_error"], 2)
            if name in figures else NOTHING,
            "lost": rounded(100 * _share(lost.get(name)) / most_lost),
            "lost_text": _lost_text(lost.get(name)),
            "is_table": name in lost and lost[name]["kind"] == Kind.TABLE,
            "is_lost": name in lost and lost[name]["count"] > 0,
        }
        for name in order
        if name in figures or name in lost
    ]  # fmt: skip
    return {"rows": rows, "full_error": percent(most_error, 2), "full_lost": percent(most_lost, 2)}


def _error(row: dict[str, Any] | None) -> float:
    return (row["relative_error"] or 0.0) if row is not None else 0.0


def _share(row: dict[str, Any] | None) -> float:
    return float(row["count"] / row["of"]) if row is not None and row["of"] else 0.0


def _lost_text(row: dict[str, Any] | None) -> str:
    if row is None:
        return "never, proven"
    if not row["count"]:
        return f"none of {number(row['of'])}"
    return f"{number(row['count'])} of {number(row['of'])}"
