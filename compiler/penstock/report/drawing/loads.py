"""The loads of the PEs, phase by phase: of two PEs or of a thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.report.drawing.axes import middles, rounded, upward
from penstock.report.text import number, percent, plural

MOST_BARS = 256
"""More PEs than this share bars: what is narrower than a pixel can't be seen."""
GAPPED_BARS = 96
"""More bars than this touch."""
WIDE_CHART = 64
"""A chart of more bars than this has a row of its own."""


def load_charts(phases: list[dict[str, Any]], is_in_banks: bool = False) -> list[dict[str, Any]]:
    """For each phase, its PEs' non-zeros and padding under the line of all words."""
    kind = "multiplier" if is_in_banks else "PE"
    return [_load_chart(phase, kind) for phase in phases if phase["words"]]


def _load_chart(phase: dict[str, Any], kind: str) -> dict[str, Any]:
    nonzeros, entries, words = phase["pe_nonzeros"], phase["pe_entries"], phase["words"]
    pes = len(nonzeros)
    together = -(-pes // MOST_BARS)
    parts = [slice(first, first + together) for first in range(0, pes, together)]
    bars = len(parts)
    mean = _mean(nonzeros)
    return {
        "name": phase["name"], "pes": pes, "words": words, "bars": bars, "together": together,
        "is_wide": bars > WIDE_CHART,
        "nonzeros": _bars([_mean(nonzeros[part]) for part in parts], words),
        "heaviest": _bars([max(nonzeros[part]) for part in parts], words)
        if together > 1 else "",
        "entries": _bars([max(entries[part]) for part in parts], words),
        "all": _bars([words] * bars, words),
        "mean_y": rounded(100 * (1 - mean / words)),
        "x": middles(pes), "y": upward(words),
        "utilization": percent(phase["utilization"]),
        "summary": f"{plural(pes, kind)}, {number(min(nonzeros))} to {number(max(nonzeros))} "
        f"non-zeros in {plural(words, 'word')}",
        "figures": [*_extremes(nonzeros, kind), ("words", number(words))],
    }  # fmt: skip


def _extremes(nonzeros: list[int], kind: str) -> list[tuple[str, str]]:
    """The lightest PE, the mean and the heaviest, if they differ."""
    lightest, heaviest = min(nonzeros), max(nonzeros)
    if lightest == heaviest:
        return [(f"every {kind}", number(lightest))]
    mean = _mean(nonzeros)
    return [
        (f"lightest, {kind} {nonzeros.index(lightest):,}", number(lightest)),
        ("mean", number(mean, 0 if mean == int(mean) else 1)),
        (f"heaviest, {kind} {nonzeros.index(heaviest):,}", number(heaviest)),
    ]


def _mean(values: list[int]) -> float:
    return sum(values) / len(values)


def _bars(heights: Sequence[float], top: int) -> str:
    """An SVG path of bars one unit apart that stand on y = ``top``."""
    tops = [rounded(top - height) for height in heights]
    if len(heights) > GAPPED_BARS:
        return f"M0 {top}" + "".join(f"V{y}h1" for y in tops) + f"V{top}Z"
    return "".join(f"M{pe}.1 {top}V{y}h.8V{top}Z" for pe, y in enumerate(tops))
