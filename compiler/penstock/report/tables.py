"""The page's tables, as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.ir.saturation import Kind
from penstock.report.drawing.timeline import KINDS
from penstock.report.phases import FLOAT_BYTES
from penstock.report.text import (
    NOTHING,
    TIMES,
    interval,
    number,
    percent,
    plural,
    ratio,
    shape,
    significant,
)


LENGTHS = (1, 10, 100, 1000)
"""Steps of the sequences whose cycles are told."""


@dataclass(frozen=True)
class Table:
    """columns: heading -> ``text``, ``name`` (monospaced) or ``number`` (right-aligned)."""

    columns: dict[str, str]
    rows: list[list[str]]
    total: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """The kind of each column, in order."""
        return list(self.columns.values())


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
        "once": "what runs once, after the last step", "store": "state, if it is given back",
        "end": "from the last step to the last beat in memory",
    }  # fmt: skip
    rows = [[text, number(call[name])] for name, text in names.items() if call[name]]
    return Table({"Beside the steps": "text", "Cycles": "number"}, rows)


def lengths_table(timeline: dict[str, Any]) -> Table:
    """What sequences of some lengths take, and how much of it is beside the steps."""
    call, step = timeline["call"], timeline["cycles_per_step"]
    beside = sum(call[name] for name in ("begin", "zero", "once", "store", "end"))
    columns = {
        "Steps": "number", "Cycles": "number", "Microseconds": "number", "Beside the steps": "number",
    }  # fmt: skip
    rows = []
    for steps in LENGTHS:
        cycles = beside + steps * step
        microseconds = number(cycles / timeline["clock_mhz"], 1)
        rows.append([number(steps), number(cycles), microseconds, percent(beside / cycles)])
    return Table(columns, rows)


def phases_table(phases: list[dict[str, Any]], totals: dict[str, Any]) -> Table:
    """Words and what they hold, waste by cause."""
    causes = [use for use in totals["bits"] if use not in ("weights", "indices", "beat_fill")]
    columns = {
        "Phase": "name", "Non-zeros": "number", "Bound": "number", "Words": "number",
        "Bound / words": "number", **{cause.capitalize(): "number" for cause in causes},
        "Weight bits": "number", "Index bits": "number", "Slots": "number", "Ways": "number",
    }  # fmt: skip
    rows = [
        [row["name"], *_words(row, causes),
         *(number(row[key]) for key in ("weight_bits", "index_bits", "slots", "ways"))]
        for row in phases
    ]  # fmt: skip
    return Table(columns, rows, ["All phases", *_words(totals, causes), "", "", "", ""])


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


def accumulators_table(proof: dict[str, Any]) -> Table:
    """The proof that nothing overflows."""
    columns = {
        "Accumulator": "name", "Proven interval, raw": "number", "As values": "number",
        "Bits proven": "number", "Bits chosen": "number",
    }  # fmt: skip
    rows = [
        [row["name"], interval(row["lo"], row["hi"]), interval(row["value_lo"], row["value_hi"]),
         number(row["proven_width"]), number(row["chosen_width"])]
        for row in proof["accumulators"]
    ]  # fmt: skip
    return Table(columns, rows)


def kinds_table(resources: dict[str, Any]) -> Table:
    """Memories summed up by what they hold."""
    columns = {
        "Memories by kind": "text",
        "How many": "number",
        "BRAM18": "number",
        "URAM": "number",
        "LUT": "number",
    }
    sums: dict[str, list[int]] = {}
    for row in resources["memories"]:
        of_kind = sums.setdefault(row["kind"], [0, 0, 0, 0])
        for index, key in enumerate(("count", "bram18", "uram", "lut")):
            of_kind[index] += row[key]
    return Table(columns, [[kind, *map(number, counts)] for kind, counts in sums.items()])


def memories_table(resources: dict[str, Any]) -> Table:
    """Every memory of the kernel."""
    columns = {
        "Memory": "name", "Kind": "text", "How many": "number", "Each": "number", "In": "text",
        "BRAM18": "number", "URAM": "number", "LUT": "number",
    }  # fmt: skip
    storage = {
        "bram": "BRAM", "bram_t2p": "BRAM, dual port", "lutram": "LUTs", "rom": "BRAM (ROM)",
        "uram": "URAM",
    }  # fmt: skip
    rows = [
        [row["name"], row["kind"], number(row["count"]),
         f"{number(row['depth'])} {TIMES} {plural(row['width'], 'bit')}", storage[row["storage"]],
         *(number(row[key]) for key in ("bram18", "uram", "lut"))]
        for row in resources["memories"]
    ]  # fmt: skip
    sums = {
        key: sum(row[key] for row in resources["memories"]) for key in ("bram18", "uram", "lut")
    }
    used = [number(value) for value in sums.values()]
    return Table(columns, rows, ["All memories", "", "", "", "", *used])


def blocks_table(resources: dict[str, Any]) -> Table:
    """The logic around the memories, block by block."""
    columns = {
        "Logic": "name", "How many": "number", "LUT each": "number", "LUT": "number",
        "FF": "number",
    }  # fmt: skip
    keys = ("count", "lut_each", "lut", "ff")
    rows = [[row["name"], *(number(row[key]) for key in keys)] for row in resources["blocks"]]
    used = [number(sum(row[key] for row in resources["blocks"])) for key in ("lut", "ff")]
    return Table(columns, rows, ["All logic", "", "", *used])


def ports_table(resources: dict[str, Any]) -> Table:
    """The bandwidth of every memory port."""
    columns = {
        "Port": "name", "Channel": "number", "GB/s, a beat a cycle": "number",
        "while its reader runs": "number", "mean of a step": "number", "offered": "number",
    }  # fmt: skip
    keys = ("beats", "streaming", "mean", "offered")
    return Table(columns, [
        [row["name"], number(row["channel"]), *(number(row[f"gb_per_s_{key}"], 2) for key in keys)]
        for row in resources["ports"]["each"]
    ])  # fmt: skip


def multipliers_table(resources: dict[str, Any]) -> Table:
    """Where the DSPs are."""
    columns = {"Multipliers": "name", "How many": "number", "DSP each": "number", "DSP": "number"}
    rows = [
        [row["name"], number(row["count"]), number(row["dsp_each"]), number(row["dsp"])]
        for row in resources["multipliers"]
    ]
    used = number(resources["totals"]["dsp"]["used"])
    return Table(columns, rows, ["All multipliers", "", "", used])


def quantization_table(rows: list[dict[str, Any]]) -> Table:
    """Errors of the weight matrices."""
    columns = {
        "Matrix": "name", "Shape": "number", "Type": "name", "Step": "number", "Peak": "number",
        "Max error": "number", "RMS error": "number", "Signal / noise": "number",
        "Rounded to zero": "number",
    }  # fmt: skip
    return Table(columns, [
        [row["name"], shape(row["shape"]), row["type"], significant(row["step"], 3),
         significant(row["peak"], 3), significant(row["max_abs_error"], 3),
         significant(row["rms_error"], 3),
         NOTHING if row["snr_db"] is None else f"{row['snr_db']:.1f} dB",
         number(row["float_nonzeros"] - row["nonzeros"])]
        for row in rows
    ])  # fmt: skip


def sparsity_table(matrices: list[dict[str, Any]]) -> Table:
    """How the non-zeros of each matrix lie over its rows, its columns and the PEs."""
    columns = {
        "Matrix": "name", "Shape": "number", "Non-zeros": "number", "Density": "number",
        "In a row": "number", "Empty rows": "number", "In a column": "number",
        "Empty columns": "number", "On a PE": "number", "Shared rows": "number",
    }  # fmt: skip
    return Table(columns, [
        [row["name"], shape(row["shape"]), number(row["nonzeros"]), percent(row["density"]),
         _spread(row["by_row"]), number(row["by_row"]["empty"]), _spread(row["by_column"]),
         number(row["by_column"]["empty"]), _spread(row["by_pe"]), number(row["shared_rows"])]
        for row in matrices
    ])  # fmt: skip


def _spread(counts: dict[str, Any]) -> str:
    return f"{number(counts['least'])} … {number(counts['most'])}"


def labels_table(labels: dict[str, Any] | None) -> Table | None:
    """What was measured against labels, float beside fixed point; None if nothing was."""
    if labels is None:
        return None
    show = percent if labels["measure"] == "accuracy" else significant
    columns = {
        "Measured": "text", "Labels": "number", "Float network": "number", "Fixed point": "number",
    }  # fmt: skip
    row = [labels["measure"].capitalize(), number(labels["of"]), show(labels["float"])]
    return Table(columns, [[*row, show(labels["fixed"])]])


def errors_table(error: dict[str, Any]) -> Table:
    """Every tensor that both networks have."""
    columns = {
        "Tensor": "name", "Type": "name", "Max error": "number", "RMS error": "number",
        "Float RMS": "number", "Relative error": "number", "Out of range": "number",
        "First at step": "number",
    }  # fmt: skip
    lost = {row["name"]: row for row in error["saturations"] if row["kind"] != Kind.TABLE}
    return Table(columns, [
        [row["name"], row["type"], *(
            significant(row[key], 3) for key in ("max_abs_error", "rms_error", "float_rms")
        ), percent(row["relative_error"], 2), *_lost(lost.get(row["name"]))]
        for row in error["tensors"]
    ])  # fmt: skip


def _lost(row: dict[str, Any] | None) -> list[str]:
    """A dash for what provably fits."""
    if row is None:
        return [NOTHING, NOTHING]
    return [f"{number(row['count'])} of {number(row['of'])}", number(row["first_step"])]


def outputs_table(error: dict[str, Any]) -> Table:
    """Every output, or those of the greatest error."""
    columns = {"Output": "number", "Max error": "number", "RMS error": "number"}
    return Table(columns, [
        [number(row["output"]), *(significant(row[key], 3) for key in ("max_abs_error",
                                                                       "rms_error"))]
        for row in error["output"]["each"]
    ])  # fmt: skip


def saturations_table(error: dict[str, Any]) -> Table:
    """Whatever can be out of range, and was, or was not."""
    columns = {
        "Tensor": "name", "What": "text", "Out of range": "number", "Of": "number",
        "First at step": "number",
    }  # fmt: skip
    return Table(columns, [
        [row["name"], row["kind"], number(row["count"]), number(row["of"]),
         number(row["first_step"])]
        for row in error["saturations"]
    ])  # fmt: skip


def tensors_table(tensors: list[dict[str, Any]]) -> Table:
    """Every value of the graph."""
    columns = {
        "Tensor": "name", "Operation": "text", "Reads": "name", "Phase": "name", "Shape": "number",
        "Type": "name", "Proven interval, raw": "number", "As values": "number", "Modes": "name",
    }  # fmt: skip
    return Table(columns, [
        [row["name"], row["operation"], ", ".join(row["inputs"]), row["phase"] or NOTHING,
         shape(row["shape"]), row["type"],
         interval(row["lo"], row["hi"]), interval(row["value_lo"], row["value_hi"]),
         f"{row['rounding']}, {row['overflow']}"]
        for row in tensors
    ])  # fmt: skip
