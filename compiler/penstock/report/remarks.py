"""Where a better number is near: what the choice of network and hardware leaves unused."""

from __future__ import annotations

from typing import Any

from penstock.report.text import number, percent, plural

DENSE = 0.5
"""From this density on, a network is said not to be pruned."""
PRUNED = 0.1
"""A density that many networks bear; ESE's."""
WORTH_TELLING = 0.02
"""Share of a step that a remark must be about."""


def remarks(
    hardware: dict[str, Any], totals: dict[str, Any], phases: list[dict[str, Any]],
    timeline: dict[str, Any],
) -> list[str]:  # fmt: skip
    """A sentence each. All arguments: sections of report.json."""
    found = []
    density = totals["density"]
    if density is not None and density >= DENSE:
        would_be = max(round(totals["words"] * PRUNED / density), 1)
        found.append(
            f"the network is hardly pruned (density {percent(density)}): with "
            f"{percent(PRUNED, 0)} of the weights, the products of a step would take some "
            f"{plural(would_be, 'word')} instead of {number(totals['words'])}; penstock "
            "sensitivity tells what each matrix bears, penstock compress prunes"
        )
    if hardware["dataflow"] != "broadcast":  # there, rows are shared where a step gets shorter
        return found
    return found + [
        _few_rows(phase, hardware["pes"])
        for phase in phases
        if phase["rows"] < hardware["pes"]
        and phase["words"] - phase["bound"] > WORTH_TELLING * timeline["cycles_per_step"]
    ]


def _few_rows(phase: dict[str, Any], pes: int) -> str:
    return (
        f"{phase['name']} has {plural(phase['rows'], 'row')} for {number(pes)} PEs and takes "
        f"{plural(phase['words'], 'word')}; with --dataflow gather, all PEs share such rows: "
        f"{plural(phase['bound'], 'word')}"
    )
