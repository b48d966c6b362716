"""Histograms of values and of weights over the range of their types."""

from __future__ import annotations

import math
from typing import Any

from penstock.report.drawing.axes import log_height, powers_upward, rounded
from penstock.report.text import number, percent, plural, significant

HEIGHT = 100


def value_charts(error: dict[str, Any]) -> list[dict[str, Any]]:
    """For each tensor with a type of its own, where its float values lie in the type's range."""
    return [
        _chart(row["name"], row["type"], row["histogram"], plural(row["values"], "value"))
        for row in error["tensors"]
        if row["histogram"] is not None
    ]


def weight_charts(matrices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each matrix, where its float weights lie that are not zero."""
    return [
        _chart(
            row["name"], row["type"], row["histogram"], plural(row["float_nonzeros"], "non-zero")
        )
        for row in matrices
    ]


def _chart(name: str, dtype: str, found: dict[str, Any], of: str) -> dict[str, Any]:
    """Heights are logarithms: a single value can be seen beside a million."""
    counts = found["counts"]
    most = max(*counts, 1)
    lo, hi = found["lo"], found["hi"]
    zero = 100 * -lo / (hi - lo)
    return {
        "name": name, "type": dtype, "bins": len(counts), "height": HEIGHT,
        "bars": _bars([log_height(count, most) for count in counts]),
        "y": powers_upward(most),
        "x": [
            {"at": "0", "label": significant(lo, 3), "anchor": "start"},
            *([{"at": rounded(zero), "label": "0", "anchor": "middle"}] if 10 < zero < 90 else []),
            {"at": "100", "label": significant(hi, 3), "anchor": "end"},
        ],
        "of": of, "told": _told(found),
        "is_cut": found["below"] + found["above"] > 0,
    }  # fmt: skip


def _told(found: dict[str, Any]) -> str:
    """What to do about the type: how far it is used, whole bits to spare, or what is cut off."""
    below, above, peak = found["below"], found["above"], found["peak"] or 0.0
    if below or above:
        return f"out of range: {number(below)} below, {number(above)} above"
    reach = max(abs(found["lo"]), found["hi"])
    used = f"peak at {percent(peak / reach, 0)} of the range"
    spare = math.floor(math.log2(reach) - math.log2(peak)) if 0 < peak <= reach else 0
    return used + (f", {plural(spare, 'bit')} to spare" if spare else "")


def _bars(heights: list[float]) -> str:
    tops = [rounded(HEIGHT - height) for height in heights]
    return "".join(
        f"M{k} {HEIGHT}V{top}h1V{HEIGHT}Z" for k, top in enumerate(tops) if top != str(HEIGHT)
    )
