"""The pictures of the page: where each bar stands. Templates draw them.

Lengths across are in percent of the picture's width, so that a picture fits every screen while its
text keeps its size.
"""

from __future__ import annotations

import math
from typing import Any

from penstock.report.text import interval, number, percent, plural, significant

LEAST_PERCENT = 0.25
"""What is narrower would not be seen."""
MOST_TICKS = 6
WIDE_SCREEN, NARROW_SCREEN = 1.4, 0.45
"""Letters that fit in a percent of the picture's width."""
CHART_TOP, CHART_HEIGHT = 4, 100
"""Of the picture of a phase's PEs, in pixels."""
GAPPED_PES = 96
"""With more PEs than this, bars touch."""
KINDS = {
    "load": "Frames in",
    "spmv": "PE array (SpMV)",
    "cells": "Cell unit",
}
BIT_USES = {
    "weights": "Weights",
    "indices": "Index code",
    "padding": "Padding",
    "empty": "Empty columns",
    "queues": "Waits for queues",
    "bubbles": "Bubbles",
    "beat_fill": "Beat fill",
}


def timeline_chart(timeline: dict[str, Any]) -> dict[str, Any]:
    """A row for each kind of span over one axis of cycles."""
    spans = timeline["spans"]
    whole = max(sum(span["cycles"] for span in spans), 1)
    kinds = dict.fromkeys([*KINDS, *(span["kind"] for span in spans)])
    rows = []
    for kind in kinds:
        mine = [span for span in spans if span["kind"] == kind]
        cycles = sum(span["cycles"] for span in mine)
        rows.append({
            "kind": kind, "title": KINDS.get(kind, kind),
            "total": f"{plural(cycles, 'cycle')}, {percent(cycles / whole)}",
            "bars": [_bar(span, whole) for span in mine],
        })  # fmt: skip
    return {"rows": rows, "ticks": _ticks(whole), "sweeps": _sweeps(spans, whole)}


def _bar(span: dict[str, Any], whole: int) -> dict[str, Any]:
    cycles, bound = span["cycles"], span["bound"]
    words = f"{span['name']}: cycles {interval(span['start'], span['start'] + cycles)}"
    if bound:
        words += f", {number(cycles)} in all, bound {number(bound)}"
    width = max(100 * cycles / whole, LEAST_PERCENT)
    return {
        "name": span["name"], "title": words,
        "label": _label(span["name"], width * bound / cycles),
        "x": _round(100 * span["start"] / whole), "width": _round(width),
        "bound": _round(100 * bound / cycles) if bound else 0,
    }  # fmt: skip


def _label(text: str, percent_wide: float) -> str:
    """How a label fits its bar: ``none``, ``roomy`` on a wide screen, or ``always``."""
    if percent_wide * WIDE_SCREEN < len(text):
        return "none"
    return "always" if percent_wide * NARROW_SCREEN >= len(text) else "roomy"


def _ticks(whole: int) -> list[dict[str, Any]]:
    """Round numbers of cycles, at most ``MOST_TICKS`` steps of them."""
    step = next(
        digit * 10**power
        for power in range(20)
        for digit in (1, 2, 5)
        if whole <= MOST_TICKS * digit * 10**power
    )
    return [
        {"x": _round(100 * cycle / whole), "label": number(cycle),
         "anchor": "start" if cycle == 0 else "end" if cycle > 0.97 * whole else "middle"}
        for cycle in range(0, whole + 1, step)
    ]  # fmt: skip


def _sweeps(spans: list[dict[str, Any]], whole: int) -> list[dict[str, Any]]:
    """Where each sweep begins, if there are several."""
    starts: dict[int, list[dict[str, Any]]] = {}
    for span in spans:
        starts.setdefault(span["sweep"], []).append(span)
    if len(starts) < 2:
        return []
    rows = []
    for sweep, mine in starts.items():
        name = f"{sweep} {mine[0]['direction']}"
        width = 100 * sum(span["cycles"] for span in mine) / whole
        rows.append({
            "name": name, "label": _label(name, width),
            "x": _round(100 * mine[0]["start"] / whole), "width": _round(width),
        })  # fmt: skip
    return rows


def pe_charts(phases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each phase, its PEs' non-zeros and padding under the line of all words."""
    return [_pe_chart(phase) for phase in phases if phase["words"]]


def _pe_chart(phase: dict[str, Any]) -> dict[str, Any]:
    nonzeros, entries, words = phase["pe_nonzeros"], phase["pe_entries"], phase["words"]
    mean = sum(nonzeros) / len(nonzeros)
    return {
        "name": phase["name"], "last_pe": len(nonzeros) - 1, "pes": len(nonzeros), "words": words,
        "nonzeros": _bars(nonzeros, words), "entries": _bars(entries, words),
        "all": _bars([words] * len(nonzeros), words),
        "mean_y": _round(CHART_TOP + CHART_HEIGHT * (1 - mean / words)),
        "top": CHART_TOP, "height": CHART_HEIGHT, "bottom": CHART_TOP + CHART_HEIGHT,
        "utilization": percent(phase["utilization"]),
        "figures": [
            ("lightest PE", number(min(nonzeros))),
            ("mean", number(mean, 0 if mean == int(mean) else 1)),
            ("heaviest PE", number(max(nonzeros))),
            ("words", number(words)),
        ],
    }  # fmt: skip


def _bars(heights: list[int], top: int) -> str:
    """An SVG path of bars one unit apart that stand on y = ``top``."""
    if len(heights) > GAPPED_PES:
        return f"M0 {top}" + "".join(f"V{top - height}h1" for height in heights) + f"V{top}Z"
    return "".join(f"M{pe}.1 {top}V{top - height}h.8V{top}Z" for pe, height in enumerate(heights))


def range_charts(error: dict[str, Any]) -> list[dict[str, Any]]:
    """For each tensor with a type of its own, where its float values lie in the type's range."""
    return [_range_chart(row) for row in error["tensors"] if row["histogram"] is not None]


def _range_chart(row: dict[str, Any]) -> dict[str, Any]:
    """Heights are logarithms: a single value can be seen beside a million."""
    found = row["histogram"]
    heights = [
        round(CHART_HEIGHT * math.log2(1 + count) / math.log2(1 + max(*found["counts"], 1)))
        for count in found["counts"]
    ]
    reach = max(abs(found["lo"]), found["hi"])
    lost = found["below"] + found["above"]
    return {
        "name": row["name"], "type": row["type"], "bins": len(heights),
        "bars": _bars(heights, CHART_HEIGHT), "height": CHART_HEIGHT,
        "lo": significant(found["lo"], 3), "hi": significant(found["hi"], 3),
        "below": number(found["below"]), "above": number(found["above"]), "is_cut": lost > 0,
        "used": percent((found["peak"] or 0.0) / reach),
    }  # fmt: skip


def bits_bar(totals: dict[str, Any]) -> list[dict[str, Any]]:
    """The bits of the weight files, side by side."""
    bits, whole = totals["bits"], max(sum(totals["bits"].values()), 1)
    parts, x = [], 0.0
    for use in bits:
        share = bits[use] / whole
        each = bits[use] / totals["nonzeros"] if totals["nonzeros"] else None
        parts.append({
            "use": use, "title": BIT_USES.get(use, use.capitalize()),
            "x": _round(x), "width": _round(100 * share),
            "bits": number(bits[use]), "share": percent(share), "each": number(each, 2),
        })  # fmt: skip
        x += 100 * share
    return parts


def meter(row: dict[str, Any]) -> dict[str, Any] | None:
    """How much of a resource is used, and where the planning limit stands; None if unknown."""
    if row["share"] is None:
        return None
    return {
        "used": _round(min(100 * row["share"], 100.0)),
        "limit": _round(100 * row["planned_share"]),
        "tone": {True: "good", False: "bad", None: "unsure"}[row["fits"]],
    }


def _round(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
