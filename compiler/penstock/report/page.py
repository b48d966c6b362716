"""report.html: one page that needs nothing else, made of report.json's values and of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penstock.machine.resources import NAMES
from penstock.report import fit_tables, number_tables, summary, tables
from penstock.report.drawing import bars, histograms, loads, timeline
from penstock.report.drawing.dataflow import dataflow_chart
from penstock.report.drawing.errors import error_chart
from penstock.report.drawing.matrices import matrix_charts
from penstock.report.error import (
    clipped_lines,
    decisions_text,
    frames_text,
    labels_text,
    output_text,
)
from penstock.report.provenance import provenance_tables
from penstock.report.sparsity import Picture
from penstock.report.text import number, percent, plural, size
from penstock.report.unknown import unknowns
from penstock.templating import template_folder


@cache
def environment() -> Environment:
    """Strict, and everything is escaped: names come from other people's model files."""
    return Environment(
        loader=FileSystemLoader(template_folder() / "report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
    )


def render_page(report: dict[str, Any], pictures: Mapping[str, Picture]) -> str:
    """The text of report.html. pictures: of the matrices, by name."""
    context = page_context(report, pictures)
    return environment().get_template("report.html.j2").render(**context)


def page_context(report: dict[str, Any], pictures: Mapping[str, Picture]) -> dict[str, Any]:
    """All names that the templates use: text and lengths, no arithmetic left to do."""
    totals, is_in_banks = report["totals"], report["hardware"]["banks"] is not None
    return {
        "name": report["network"]["name"], "version": report["penstock"],
        "network": summary.network_line(report["network"]),
        "hardware": summary.hardware_line(report["hardware"]),
        "tiles": summary.tiles(report), "notes": report["notes"],
        **_time(report["timeline"]), **_fit(report),
        "load_charts": loads.load_charts(report["phases"], is_in_banks),
        "phases": tables.phases_table(report["phases"], totals, is_in_banks),
        "queue_depth": report["hardware"]["queue_depth"],
        "banks": report["hardware"]["banks"],
        "array": summary.array_words(report["hardware"]),
        "matrices": matrix_charts(report["sparsity"], pictures),
        "sparsity": tables.sparsity_table(report["sparsity"], is_in_banks),
        "bits": bars.bits_bar(totals), "bits_text": _bits_text(totals),
        "compression": tables.compression_table(totals["compression"]),
        "counted": totals["compression"]["counted"],
        "waste_text": _waste_text(totals["bits"]),
        "proof_text": _proof_text(report["proof"]),
        "clipped_text": summary.clipped_text(report["error"]),
        "accumulators": number_tables.accumulators_table(report["proof"]),
        "error": _error(report["error"], [row["name"] for row in report["tensors"]]),
        "layers": tables.layers_table(report["network"]), "graph": dataflow_chart(report),
        "weights": histograms.weight_charts(report["quantization"]),
        "quantization": number_tables.quantization_table(report["quantization"]),
        "tensors": number_tables.tensors_table(report["tensors"]),
        "provenance": provenance_tables(report["provenance"]),
    }  # fmt: skip


def _time(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "timeline": timeline.timeline_chart(told), "timeline_text": _timeline_text(told),
        "process_bars": timeline.processes_chart(told),
        "sequence": timeline.sequence_chart(told),
        "spans": tables.spans_table(told), "processes": tables.processes_table(told),
        "call": tables.call_table(told), "lengths": tables.lengths_table(told),
    }  # fmt: skip


def _fit(report: dict[str, Any]) -> dict[str, Any]:
    resources = report["resources"]
    return {
        "meters": _meters(resources), "resources": resources, "unknowns": unknowns(report),
        "multipliers": fit_tables.multipliers_table(resources),
        "kinds": fit_tables.kinds_table(resources),
        "memories": fit_tables.memories_table(resources),
        "blocks": fit_tables.blocks_table(resources), "ports": fit_tables.ports_table(resources),
    }  # fmt: skip


def _timeline_text(told: dict[str, Any]) -> dict[str, str]:
    return {
        "cycles": plural(told["cycles_per_step"], "cycle"),
        "bound": number(told["bound_per_step"]),
        "utilization": percent(told["utilization"]),
        "once": number(told["cycles_once"]) if told["cycles_once"] else "",
        "slowest": "" if told["slowest"] == "compute" else told["slowest"],
        "compute": number(told["compute_cycles"]),
        "one_step": number(told["call"]["one_step"]),
        "one_step_share": percent(told["call"]["one_step"] / told["cycles_per_step"] - 1, 0),
        "long": number(told["call"]["long"]),
        "long_steps": number(told["call"]["long_steps"]),
        "stall": plural(told["stall_cycles"], "cycle") if told["stall_cycles"] else "",
        "steps_per_second": number(told["steps_per_second"]),
        "bytes": size(told["weight_bytes_per_step"]),
    }


def _waste_text(bits: dict[str, int]) -> str:
    """What entries without a non-zero are for: ``Padding and bubbles``."""
    causes = [use for use in bits if use not in ("weights", "indices", "beat_fill")]
    titles = [bars.BIT_USES.get(cause, cause).lower() for cause in causes]
    return f"{', '.join(titles[:-1])} and {titles[-1]}".capitalize()


def _bits_text(totals: dict[str, Any]) -> dict[str, str]:
    compression = totals["compression"]
    return {
        "each": number(totals["bits_per_nonzero"], 2),
        "files": size(compression["compiled"]["weight_files"]),
        "ratio": number(compression["ratio"], 2),
    }


def _proof_text(proof: dict[str, Any]) -> dict[str, str]:
    least = proof["min_distance"]
    return {
        "weights": number(proof["weights"]), "words": plural(proof["words"], "word"),
        "kernel_width": number(proof["kernel_width"]),
        "asked": plural(proof["hazard_distance"], "word"),
        "least": "no address is used twice" if least is None
        else f"the closest two are {plural(least, 'word')} apart",
    }  # fmt: skip


def _error(error: dict[str, Any] | None, order: list[str]) -> dict[str, Any] | None:
    if error is None:
        return None
    texts = (decisions_text(error), labels_text(error))
    return {
        "frames": frames_text(error["frames"]), "is_synthetic": error["frames"]["is_synthetic"],
        "output": output_text(error), "figures": [text for text in texts if text],
        "worst": ", ".join(error["worst"]), "measure": error["measure"],
        "warnings": error["warnings"], "clipped": clipped_lines(error),
        "tensors": number_tables.errors_table(error),
        "outputs": number_tables.outputs_table(error),
        "saturations": number_tables.saturations_table(error),
        "ranges": histograms.value_charts(error), "chart": error_chart(error, order),
        "labels": number_tables.labels_table(error["labels"]),
    }  # fmt: skip


def _meters(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": NAMES[name], "meter": bars.meter(row),
            "used": number(row["used"]), "least": number(row["least"]), "most": number(row["most"]),
            "total": number(row["total"]), "limit": number(row["limit"]),
            "planned": percent(row["planned_share"], 0), "share": percent(row["share"]),
            "verdict": row["verdict"],
        }
        for name, row in resources["totals"].items()
    ]  # fmt: skip
