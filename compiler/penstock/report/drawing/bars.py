"""Bars: what the bits of the weight files are spent on, and how much of a device is used."""

from __future__ import annotations

from typing import Any

from penstock.report.drawing.axes import rounded
from penstock.report.text import number, percent

BIT_USES = {
    "weights": "Weights",
    "indices": "Index code",
    "padding": "Padding",
    "empty": "Empty columns",
    "queues": "Waits for queues",
    "bubbles": "Bubbles",
    "beat_fill": "Beat fill",
}


def bits_bar(totals: dict[str, Any]) -> list[dict[str, Any]]:
    """The bits of the weight files, side by side."""
    bits, whole = totals["bits"], max(sum(totals["bits"].values()), 1)
    parts, x = [], 0.0
    for use in bits:
        share = bits[use] / whole
        each = bits[use] / totals["nonzeros"] if totals["nonzeros"] else None
        parts.append({
            "use": use, "title": BIT_USES.get(use, use.capitalize()),
            "x": rounded(x), "width": rounded(100 * share),
            "bits": number(bits[use]), "share": percent(share), "each": number(each, 2),
        })  # fmt: skip
        x += 100 * share
    return parts


def meter(row: dict[str, Any]) -> dict[str, Any] | None:
    """How much of a resource is used, and where the planning limit stands; None if unknown."""
    if row["share"] is None:
        return None
    return {
        "used": rounded(min(100 * row["share"], 100.0)),
        "least": rounded(min(100 * row["least"] / row["total"], 100.0)),
        "most": rounded(min(100 * row["most"] / row["total"], 100.0)),
        "is_sure": row["least"] == row["most"],
        "limit": rounded(100 * row["planned_share"]),
        "tone": {True: "good", False: "bad", None: "unsure"}[row["fits"]],
    }
