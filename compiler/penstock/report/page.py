"""report.html: one page that needs nothing else, made from report.json's values."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penstock.machine.resources import NAMES
from penstock.report import charts, summary, tables
from penstock.report.error import (
    clipped_lines,
    decisions_text,
    frames_text,
    labels_text,
    output_text,
)
from penstock.report.origin import provenance_tables
from penstock.report.text import number, percent, plural, size
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


def render_page(report: dict[str, Any]) -> str:
    """The text of report.html."""
    return environment().get_template("report.html.j2").render(**page_context(report))


def page_context(report: dict[str, Any]) -> dict[str, Any]:
    """All names that the templates use: text and lengths, no arithmetic left to do."""
    timeline, resources, totals = report["timeline"], report["resources"], report["totals"]
    return {
        "name": report["network"]["name"], "version": report["penstock"],
        "network": summary.network_line(report["network"]),
        "hardware": summary.hardware_line(report["hardware"]),
        "tiles": summary.tiles(report), "notes": report["notes"],
        "timeline": charts.timeline_chart(timeline), "timeline_text": _timeline_text(timeline),
        "spans": tables.spans_table(timeline), "processes": tables.processes_table(timeline),
        "call": tables.call_table(timeline),
        "pe_charts": charts.pe_charts(report["phases"]),
        "phases": tables.phases_table(report["phases"], totals),
        "bits": charts.bits_bar(totals), "bits_text": _bits_text(totals),
        "compression": tables.compression_table(totals["compression"]),
        "counted": totals["compression"]["counted"],
        "meters": _meters(resources), "resources": resources,
        "multipliers": tables.multipliers_table(resources),
        "kinds": tables.kinds_table(resources), "memories": tables.memories_table(resources),
        "blocks": tables.blocks_table(resources), "ports": tables.ports_table(resources),
        "queue_depth": report["hardware"]["queue_depth"],
        "waste_text": _waste_text(report["totals"]["bits"]),
        "proof_text": _proof_text(report["proof"]),
        "clipped_text": summary.clipped_text(report["error"]),
        "accumulators": tables.accumulators_table(report["proof"]),
        "error": _error(report["error"]),
        "layers": tables.layers_table(report["network"]),
        "quantization": tables.quantization_table(report["quantization"]),
        "tensors": tables.tensors_table(report["tensors"]),
        "provenance": provenance_tables(report["provenance"]),
    }  # fmt: skip


def _timeline_text(timeline: dict[str, Any]) -> dict[str, str]:
    return {
        "cycles": plural(timeline["cycles_per_step"], "cycle"),
        "bound": number(timeline["bound_per_step"]),
        "utilization": percent(timeline["utilization"]),
        "once": number(timeline["cycles_once"]) if timeline["cycles_once"] else "",
        "slowest": "" if timeline["slowest"] == "compute" else timeline["slowest"],
        "compute": number(timeline["compute_cycles"]),
        "one_step": number(timeline["call"]["one_step"]),
        "one_step_share": percent(
            timeline["call"]["one_step"] / timeline["cycles_per_step"] - 1, 0
        ),
        "long": number(timeline["call"]["long"]),
        "long_steps": number(timeline["call"]["long_steps"]),
        "steps_per_second": number(timeline["steps_per_second"]),
        "bytes": size(timeline["weight_bytes_per_step"]),
    }


def _waste_text(bits: dict[str, int]) -> str:
    """What entries without a non-zero are for: ``Padding and bubbles``."""
    causes = [use for use in bits if use not in ("weights", "indices", "beat_fill")]
    titles = [charts.BIT_USES.get(cause, cause).lower() for cause in causes]
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


def _error(error: dict[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    texts = (decisions_text(error), labels_text(error))
    return {
        "frames": frames_text(error["frames"]), "is_synthetic": error["frames"]["is_synthetic"],
        "output": output_text(error), "figures": [text for text in texts if text],
        "worst": ", ".join(error["worst"]), "measure": error["measure"],
        "warnings": error["warnings"], "clipped": clipped_lines(error),
        "tensors": tables.errors_table(error), "outputs": tables.outputs_table(error),
        "saturations": tables.saturations_table(error), "ranges": charts.range_charts(error),
    }  # fmt: skip


def _meters(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": NAMES[name], "meter": charts.meter(row),
            "used": number(row["used"]), "least": number(row["least"]), "most": number(row["most"]),
            "total": number(row["total"]), "limit": number(row["limit"]),
            "planned": percent(row["planned_share"], 0), "share": percent(row["share"]),
            "verdict": row["verdict"],
        }
        for name, row in resources["totals"].items()
    ]  # fmt: skip
