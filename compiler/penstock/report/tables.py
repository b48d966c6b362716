"""The page's tables of time, of what the PEs do, and of the network."""

from __future__ import annotations

from typing import Any

from penstock.report.drawing.timeline import KINDS
from penstock.report.phases import FLOAT_BYTES
from penstock.report.table import Table
from penstock.report.text import NOTHING, TIMES, number, percent, ratio, shape

LENGTHS = (1, 10, 100, 1000)
"""Steps of the sequences whose cycles are told."""


def spans_table(timeline: dict[str, Any]) -> Table:
    """The timeline in figures."""
    columns = {
        "Sweep": "text", "Stretch": "name", "Kind": "text", "Starts at": "number",
        "Cycles": "number", "Bound": "number", "Bound / cycles": "number",
    }  # fmt: skip
    rows = [
        [
            f"{row['sweep']} {row['direction']}", row["name"], KINDS.get(row["kind"], row["kind"]),
            number(row["start"]), number(row["cycles"]),
            number(row["bound"]) if row["bound"] else NOTHING,
            percent(row["bound"] / row["cycles"]) if row["bound"] else NOTHING,
        ]
        for row in timeline["spans"]
    ]  # fmt: skip
    step = [number(timeline["compute_cycles"]), number(timeline["bound_per_step"])]
    share = ratio(timeline["bound_per_step"], timeline["compute_cycles"])
    return Table(columns, rows, ["", "One step of compute", "", "", *step, percent(share)])


def processes_table(timeline: dict[str, Any]) -> Table:
    """What every process needs for a step."""
    columns = {"Process": "name", "Cycles of a step": "number"}
    rows = [[row["name"], number(row["cycles"])] for row in timeline["processes"]]
    return Table(
        columns, rows, [f"A step: {timeline['slowest']}", number(timeline["cycles_per_step"])]
    )


def call_table(timeline: dict[str, Any]) -> Table:
    """What a call takes beside its steps."""
    call = timeline["call"]
    names = {
        "begin": "until the first step", "reload": "parameters, if they are loaded",
        "given": "state, if it is given", "zero": "state, if it is cleared",
        "once": "what comes once, before the first step or after the last",
        "store": "state, if it is given back",
        "end": "from the last step to the last beat in memory",
    }  # fmt: skip
    rows = [[text, number(call[name])] for name, text in names.items() if call[name]]
    return Table({"Beside the steps": "text", "Cycles": "number"}, rows)


def lengths_table(timeline: dict[str, Any]) -> Table:
    """What sequences of some lengths take, and how much of it is beside the steps."""
    call, step = timeline["call"], timeline["cycles_per_step"]
    beside = sum(call[name] for name in ("begin", "zero", "once", "store", "end"))
    columns = {
        "Steps": "number", "Cycles": "number", "Microseconds": "number",
        "Beside the steps": "number",
    }  # fmt: skip
    rows = []
    for steps in LENGTHS:
        cycles = beside + steps * step
        microseconds = number(cycles / timeline["clock_mhz"], 1)
        rows.append([number(steps), number(cycles), microseconds, percent(beside / cycles)])
    return Table(columns, rows)


def phases_table(phases: list[dict[str, Any]], totals: dict[str, Any], is_in_banks: bool) -> Table:
    """Words and what they hold, waste by cause."""
    causes = [use for use in totals["bits"] if use not in ("weights", "indices", "beat_fill")]
    last = {"Turns": "rows_per_pe"} if is_in_banks else {"Slots": "slots", "Ways": "ways"}
    columns = {
        "Phase": "name", "Non-zeros": "number", "Bound": "number", "Words": "number",
        "Bound / words": "number", **{cause.capitalize(): "number" for cause in causes},
        "Weight bits": "number", "Index bits": "number", **dict.fromkeys(last, "number"),
    }  # fmt: skip
    rows = [
        [row["name"], *_words(row, causes),
         *(number(row[key]) for key in ("weight_bits", "index_bits", *last.values()))]
        for row in phases
    ]  # fmt: skip
    return Table(
        columns, rows, ["All phases", *_words(totals, causes), "", "", *([""] * len(last))]
    )


def _words(row: dict[str, Any], causes: list[str]) -> list[str]:
    return [
        number(row["nonzeros"]), number(row["bound"]), number(row["words"]),
        percent(row["utilization"]), *(number(row[cause]) for cause in causes),
    ]  # fmt: skip


def compression_table(compression: dict[str, Any]) -> Table:
    """Both sides of the compression ratio."""
    dense, compiled = compression["dense_values"], compression["compiled"]
    vectors = dense["biases"] + dense["peepholes"]
    rows = [
        ["Weights", _floats(dense["weights"]), number(compiled["weight_files"])],
        ["Biases and peepholes", _floats(vectors), number(compiled["parameters"])],
        ["Tables of sigma and tanh", NOTHING, number(compiled["tables"])],
    ]  # fmt: skip
    total = ["All", number(compression["dense_bytes"]), number(compression["compiled_bytes"])]
    columns = {"What": "text", "fp32 dense, bytes": "number", "Compiled, bytes": "number"}
    return Table(columns, rows, total)


def _floats(count: int) -> str:
    return f"{number(count)} {TIMES} {FLOAT_BYTES}"


def layers_table(network: dict[str, Any]) -> Table:
    """The layers in their places: what each reads, when it runs, its shape."""
    columns = {
        "Layer": "name", "Kind": "text", "Reads": "name", "Runs": "text", "Inputs": "number",
        "Cells": "number", "Outputs": "number", "Projection": "text", "Peepholes": "text",
        "Weights": "number",
    }  # fmt: skip
    rows = [
        [row["name"], _kind(row), ", ".join(row["sources"]), row["direction"],
         number(row["inputs"]), number(row["cells"]) if "cells" in row else NOTHING,
         number(row["outputs"]), _yes(row.get("projection")), _yes(row.get("peepholes")),
         number(row["weights"])]
        for row in network["layers"]
    ]  # fmt: skip
    return Table(columns, rows)


def _yes(holds: bool | None) -> str:
    """None: a layer of this kind can't have it."""
    return NOTHING if holds is None else "yes" if holds else "no"


def _kind(row: dict[str, Any]) -> str:
    """What the layer computes, in a few words."""
    if row["kind"] == "head":
        return "linear" if row["activation"] == "none" else f"linear, then {row['activation']}"
    return str(
        {"pool": row.get("how"), "activation": row.get("function")}.get(row["kind"], row["kind"])
    )


def sparsity_table(matrices: list[dict[str, Any]], is_in_banks: bool) -> Table:
    """How the non-zeros of each matrix lie over its rows, its columns and the PEs."""
    kind = "On a multiplier" if is_in_banks else "On a PE"
    columns = {
        "Matrix": "name", "Shape": "number", "Non-zeros": "number", "Density": "number",
        "In a row": "number", "Empty rows": "number", "In a column": "number",
        "Empty columns": "number", kind: "number", "Shared rows": "number",
    }  # fmt: skip
    return Table(columns, [
        [row["name"], shape(row["shape"]), number(row["nonzeros"]), percent(row["density"]),
         _spread(row["by_row"]), number(row["by_row"]["empty"]), _spread(row["by_column"]),
         number(row["by_column"]["empty"]), _spread(row["by_pe"]), number(row["shared_rows"])]
        for row in matrices
    ])  # fmt: skip


def _spread(counts: dict[str, Any]) -> str:
    return f"{number(counts['least'])} … {number(counts['most'])}"
