"""The timeline of a step and that of a sequence: what runs when, and what waits."""

from __future__ import annotations

from typing import Any

from penstock.report.drawing.axes import across, rounded
from penstock.report.text import interval, number, percent, plural

LEAST_PERCENT = 0.25
"""What is narrower would not be seen."""
WIDE_SCREEN, NARROW_SCREEN = 1.3, 0.4
"""Letters that fit in a percent of the picture's width."""
STEPS = 3
"""Of the sequence that is drawn."""
KINDS = {
    "load": "Frames in",
    "spmv": "PE array (SpMV)",
    "program": "Words and units, in one pipeline",
    "flush": "End of the pipeline",
    "parts": "Sums of shared rows",
    "drain": "Sums out",
    "cells": "Cell unit",
    "commit": "States take effect",
    "clear": "Accumulators cleared",
}


def timeline_chart(timeline: dict[str, Any]) -> dict[str, Any]:
    """A row for each kind of span, and for what is waited, over one axis of cycles."""
    spans, stall = timeline["spans"], timeline["stall_cycles"]
    worked = max((span["start"] + span["cycles"] for span in spans), default=1)
    whole = worked + stall
    kinds = [kind for kind in KINDS if any(span["kind"] == kind for span in spans)]
    kinds += sorted({span["kind"] for span in spans} - KINDS.keys())
    rows = []
    for kind in kinds:
        mine = [span for span in spans if span["kind"] == kind]
        cycles = sum(span["cycles"] for span in mine)
        rows.append({
            "kind": kind, "title": KINDS.get(kind, kind),
            "total": f"{plural(cycles, 'cycle')}, {percent(cycles / whole)}",
            "bars": [_bar(span, whole) for span in mine],
        })  # fmt: skip
    if stall:
        rows.append({
            "kind": "stall", "title": "Waits for words, all through the step",
            "total": f"{plural(stall, 'cycle')}, {percent(stall / whole)}",
            "bars": [{
                "title": f"waits for words: {plural(stall, 'cycle')}", "is_first": False,
                "label": "none", "x": rounded(100 * worked / whole),
                "width": rounded(100 * stall / whole), "bound": 0,
            }],
        })  # fmt: skip
    return {"rows": rows, "x": across(whole), "sweeps": _sweeps(spans, whole)}


def _bar(span: dict[str, Any], whole: int) -> dict[str, Any]:
    cycles, bound = span["cycles"], span["bound"]
    words = f"{span['name']}: cycles {interval(span['start'], span['start'] + cycles)}"
    if bound:
        words += f", {number(cycles)} in all, bound {number(bound)}"
    if span["is_first"]:
        words += ", once in a sequence"
    width = max(100 * cycles / whole, LEAST_PERCENT)
    return {
        "name": span["name"], "title": words, "is_first": span["is_first"],
        "label": label_for(span["name"], width * bound / cycles),
        "x": rounded(min(100 * span["start"] / whole, 100 - width)), "width": rounded(width),
        "bound": rounded(100 * bound / cycles) if bound else 0,
    }  # fmt: skip


def label_for(text: str, percent_wide: float) -> str:
    """How a label fits its bar: ``none``, ``roomy`` on a wide screen, or ``always``."""
    if percent_wide * WIDE_SCREEN < len(text):
        return "none"
    return "always" if percent_wide * NARROW_SCREEN >= len(text) else "roomy"


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
            "name": name, "label": label_for(name, width),
            "x": rounded(100 * mine[0]["start"] / whole), "width": rounded(width),
        })  # fmt: skip
    return rows


def processes_chart(timeline: dict[str, Any]) -> list[dict[str, Any]]:
    """For each process the cycles of a step in which it works, and in which it waits for words."""
    step = timeline["cycles_per_step"]
    return [
        {
            "name": row["name"], "is_slowest": row["name"] == timeline["slowest"],
            "busy": rounded(100 * (row["cycles"] - stall) / step),
            "stall": rounded(100 * stall / step),
            "cycles": number(row["cycles"] - stall), "stall_cycles": number(stall) if stall else "",
            "share": percent((row["cycles"] - stall) / step),
        }
        for row in timeline["processes"]
        for stall in [timeline["stall_cycles"] if row["name"] == "compute" else 0]
    ]  # fmt: skip


def sequence_chart(timeline: dict[str, Any]) -> dict[str, Any]:
    """A call of ``STEPS`` steps from cleared states, to scale.

    parts: what follows what; rows: of each process, the share of a step in which it is busy, and in
    which it waits; marks: where a step begins; runs, onces: where steps are, and what comes once.
    """
    call, step = timeline["call"], timeline["cycles_per_step"]
    sweeps = _cycles_by_sweep(timeline)
    compute, first = max(sum(sweeps.values()), 1), _first_by_sweep(timeline)
    lengths = [("begin", "begin", call["begin"]), ("zero", "states", call["zero"])]
    for name, cycles in sweeps.items():
        title = f"{STEPS} steps" + f" of sweep {name}" * (len(sweeps) > 1)
        lengths.append(("once", "once", first[name]))
        lengths.append(("steps", title, STEPS * step * cycles / compute))
    lengths += [
        ("once", "once", call["once"] - sum(first.values())), ("store", "states", call["store"]),
        ("end", "end", call["end"]),
    ]  # fmt: skip
    whole = sum(cycles for _, _, cycles in lengths)
    parts, marks, x = [], [], 0.0
    for kind, title, cycles in lengths:
        if not cycles:
            continue
        width = 100 * cycles / whole
        parts.append({
            "kind": kind, "x": rounded(x), "width": rounded(width),
            "title": f"{PARTS.get(kind, title)}: {plural(round(cycles), 'cycle')}",
            "name": title, "label": label_for(title, width),
        })  # fmt: skip
        if kind == "steps":
            marks += [rounded(x + width * k / STEPS) for k in range(STEPS + 1)]
        x += width
    return {
        "parts": parts, "marks": list(dict.fromkeys(marks)), "x": across(round(whole)),
        "cycles": number(whole), "steps": STEPS,
        "runs": [part for part in parts if part["kind"] == "steps"],
        "onces": [part for part in parts if part["kind"] == "once"],
        "rows": processes_chart(timeline),
    }  # fmt: skip


PARTS = {
    "begin": "From the call to the first step",
    "zero": "States are cleared",
    "once": "What comes once, before the first step or after the last",
    "store": "States are given back",
    "end": "From the last step to the last beat in memory",
}


def _first_by_sweep(timeline: dict[str, Any]) -> dict[int, int]:
    """Cycles before the first step of every sweep that runs in steps."""
    found = {}
    for sweep in _cycles_by_sweep(timeline):
        mine = [span for span in timeline["spans"] if span["sweep"] == sweep]
        begin = min(span["start"] for span in mine)
        steps = min(span["start"] for span in mine if not span["is_first"])
        at_end = sum(span["cycles"] for span in mine if span["kind"] == "flush")
        found[sweep] = steps - begin - at_end
    return found


def _cycles_by_sweep(timeline: dict[str, Any]) -> dict[int, int]:
    """Cycles of a step of every sweep that runs in steps."""
    ends: dict[int, list[int]] = {}
    for span in timeline["spans"]:
        if span["direction"] != "once" and not span["is_first"]:
            reach = ends.setdefault(span["sweep"], [span["start"], span["start"]])
            reach[1] = max(reach[1], span["start"] + span["cycles"])
    return {sweep: end - start for sweep, (start, end) in ends.items()}
