"""The page's tables of types, errors and proofs."""

from __future__ import annotations

from typing import Any

from penstock.ir.saturation import Kind
from penstock.report.table import Table
from penstock.report.text import NOTHING, interval, number, percent, shape, significant


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
