"""report.html: one page that needs nothing else, made from report.json's values."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penstock.report import charts, tables
from penstock.report.resources import NAMES
from penstock.report.text import number, percent, plural, size
from penstock.templating import template_folder


@cache
def environment() -> Environment:
    """Strict, and everything is escaped: names come from other people's model files."""
    return Environment(
        loader=FileSystemLoader(template_folder() / "hls" / "report"),
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
        "network": _network_line(report["network"]), "hardware": _hardware_line(report),
        "tiles": _tiles(report), "notes": report["notes"],
        "timeline": charts.timeline_chart(timeline), "timeline_text": _timeline_text(report),
        "stretches": tables.stretches_table(timeline),
        "pe_charts": charts.pe_charts(report["phases"]),
        "phases": tables.phases_table(report["phases"], totals),
        "bits": charts.bits_bar(totals), "bits_text": _bits_text(totals),
        "compression": tables.compression_table(totals["compression"]),
        "counted": totals["compression"]["counted"],
        "meters": _meters(resources), "resources": resources,
        "multipliers": tables.multipliers_table(resources),
        "memories": tables.memories_table(resources),
        "proof": report["proof"], "proof_text": _proof_text(report),
        "accumulators": tables.accumulators_table(report["proof"]),
        "layers": tables.layers_table(report["network"]),
        "quantization": tables.quantization_table(report["quantization"]),
        "tensors": tables.tensors_table(report["tensors"]),
    }  # fmt: skip


def _network_line(network: dict[str, Any]) -> str:
    layers = [
        " ".join(filter(None, [
            f"{row['name']}: {number(row['inputs'])} inputs,",
            f"{number(row['cells'])} cells" + ("," if row["projection"] else ""),
            f"projection to {number(row['outputs'])}" if row["projection"] else "",
        ]))
        for row in network["layers"]
    ]  # fmt: skip
    head = network["head"]
    if head:
        layers.append(f"{head['name']}: {plural(head['outputs'], 'output')}")
    return " · ".join(layers)


def _hardware_line(report: dict[str, Any]) -> str:
    hardware = report["hardware"]
    return " · ".join([
        plural(hardware["pes"], "PE"), plural(hardware["lanes"], "lane"),
        plural(hardware["cell_units"], "cell unit"),
        f"{plural(hardware['groups'], 'weight port')} of {hardware['port_bits']} bits",
        f"{hardware['part']} at {hardware['clock_mhz']:g} MHz",
    ])  # fmt: skip


def _tiles(report: dict[str, Any]) -> list[dict[str, str]]:
    return [*_speed_tiles(report), *_size_tiles(report["totals"]), _proof_tile(report),
            _fit_tile(report["resources"])]  # fmt: skip


def _speed_tiles(report: dict[str, Any]) -> list[dict[str, str]]:
    timeline, totals = report["timeline"], report["totals"]
    bandwidth = report["resources"]["bandwidth_gb_per_s"]
    offered = f"; {report['resources']['device']} has {bandwidth:g}" if bandwidth else ""
    lanes = report["hardware"]["lanes"]
    return [
        _tile("Time per step", number(timeline["microseconds_per_step"], 2), "µs",
              f"{plural(timeline['cycles_per_step'], 'cycle')}"
              + (f", for {lanes} sequences at once" if lanes > 1 else "")),
        _tile("PE utilization", *percent(totals["utilization"]).rsplit(" ", 1),
              f"bound {number(totals['bound'])} of {number(totals['words'])} words"),
        _tile("Weight stream", number(timeline["weight_gb_per_s_peak"], 1), "GB/s",
              f"peak, {number(timeline['weight_gb_per_s_mean'], 1)} on average{offered}"),
    ]  # fmt: skip


def _size_tiles(totals: dict[str, Any]) -> list[dict[str, str]]:
    compression = totals["compression"]
    return [
        _tile("Bits per non-zero", number(totals["bits_per_nonzero"], 2), "bits",
              f"everything counted; {number(totals['nonzeros'])} non-zeros"),
        _tile("Compression", number(compression["ratio"], 1), "×",
              f"{size(compression['dense_bytes'])} of fp32 to {size(compression['compiled_bytes'])}"),
        _tile("Density", *percent(totals["density"]).rsplit(" ", 1),
              f"of {number(totals['weights'])} weights are not zero"),
    ]  # fmt: skip


def _proof_tile(report: dict[str, Any]) -> dict[str, str]:
    proof = report["proof"]
    holds = all(row["proven_width"] <= row["chosen_width"] for row in proof["accumulators"])
    note = f"{plural(len(proof['accumulators']), 'accumulator')}, {number(proof['weights'])} weights"
    return _tile("No overflow, no hazard", "Proven" if holds else "Refuted", "", note,
                 "good" if holds else "bad")  # fmt: skip


def _fit_tile(resources: dict[str, Any]) -> dict[str, str]:
    shares = {name: row["share"] for name, row in resources["totals"].items() if row["share"]}
    if resources["device"] is None:
        return _tile("Fit, by estimate", "Unknown", "", "the part is not in the device table")
    fits = all(row["fits"] is not False for row in resources["totals"].values())
    most = max(shares, key=lambda name: shares[name])
    note = f"most of {NAMES[most]}: {percent(shares[most])} of {resources['device']}"
    return _tile("Fit, by estimate", "Fits" if fits else "Too large", "", note,
                 "good" if fits else "bad")  # fmt: skip


def _tile(label: str, value: str, unit: str = "", note: str = "", tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "unit": unit, "note": note, "tone": tone}


def _timeline_text(report: dict[str, Any]) -> dict[str, str]:
    timeline = report["timeline"]
    return {
        "cycles": plural(timeline["cycles_per_step"], "cycle"),
        "bound": number(timeline["bound_per_step"]),
        "utilization": percent(timeline["utilization"]),
        "once": number(timeline["cycles_once"]) if timeline["cycles_once"] else "",
        "steps_per_second": number(timeline["steps_per_second"]),
        "bytes": size(timeline["weight_bytes_per_step"]),
    }


def _bits_text(totals: dict[str, Any]) -> dict[str, str]:
    compression = totals["compression"]
    return {
        "each": number(totals["bits_per_nonzero"], 2),
        "files": size(compression["compiled"]["weight_files"]),
        "ratio": number(compression["ratio"], 2),
    }


def _proof_text(report: dict[str, Any]) -> dict[str, str]:
    proof = report["proof"]
    least = proof["least_distance"]
    return {
        "weights": number(proof["weights"]), "words": plural(proof["words"], "word"),
        "kernel_width": number(proof["kernel_width"]),
        "asked": plural(proof["raw_distance"], "word"),
        "least": "no address is used twice" if least is None
        else f"the closest two uses are {plural(least, 'word')} apart",
    }  # fmt: skip


def _meters(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": NAMES[name], "meter": charts.meter(row),
            "used": "not estimated" if row["used"] is None else number(row["used"]),
            "total": number(row["total"]), "limit": number(row["limit"]),
            "planned": percent(row["planned_share"], 0), "share": percent(row["share"]),
            "fits": row["fits"],
        }
        for name, row in resources["totals"].items()
    ]  # fmt: skip
