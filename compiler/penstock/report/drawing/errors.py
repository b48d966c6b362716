"""Error and saturation, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.ir.saturation import Kind
from penstock.report.drawing.axes import rounded
from penstock.report.text import NOTHING, number, percent


def error_chart(error: dict[str, Any], order: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each tensor, in this order: its relative error, and how many of its values were out
    of range; of tables' inputs only the latter is known. order: the names of all tensors."""
    figures = {row["name"]: row for row in error["tensors"]}
    lost = {row["name"]: row for row in error["saturations"]}
    greatest = max((row["relative_error"] or 0.0 for row in error["tensors"]), default=0.0)
    most = max((_share(row) for row in error["saturations"]), default=0.0)
    names = [name for name in order if name in figures or name in lost]
    return [
        {
            "name": name,
            "error": _bar((figures[name]["relative_error"] or 0.0) if name in figures else 0.0,
                          greatest),
            "error_text": percent(figures[name]["relative_error"], 2)
            if name in figures else NOTHING,
            "lost": _bar(_share(lost[name]) if name in lost else 0.0, most),
            "lost_text": _lost_text(lost.get(name)),
            "is_table": name in lost and lost[name]["kind"] == Kind.TABLE,
            "is_lost": name in lost and lost[name]["count"] > 0,
        }
        for name in names
    ]  # fmt: skip


def _share(row: dict[str, Any]) -> float:
    return float(row["count"] / row["of"]) if row["of"] else 0.0


def _bar(value: float, greatest: float) -> str:
    return rounded(100 * value / greatest) if greatest else "0"


def _lost_text(row: dict[str, Any] | None) -> str:
    if row is None:
        return "never, proven"
    if not row["count"]:
        return f"none of {number(row['of'])}"
    return f"{number(row['count'])} of {number(row['of'])}"
