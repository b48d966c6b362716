"""The top of the page: the network in a line, the hardware in a line, the key figures."""

from __future__ import annotations

from typing import Any

from penstock.machine.resources import NAMES
from penstock.report.text import TIMES, number, percent, plural, size


def network_line(network: dict[str, Any]) -> str:
    """``l0: 153 inputs, 1,024 cells, projection to 512``, layer after layer."""
    parts = []
    for row in (row for row in network["layers"] if row["weights"]):
        if row["kind"] == "head":
            parts.append(f"{row['name']}: {plural(row['outputs'], 'output')}")
            continue
        count, what = (row["cells"], "cell") if "cells" in row else (row["outputs"], "output")
        part = f"{row['name']}: {plural(row['inputs'], 'input')}, {plural(count, what)}"
        parts.append(part + f", projection to {row['outputs']:,}" * row.get("projection", False))
    return " · ".join(parts)


def hardware_line(hardware: dict[str, Any]) -> str:
    """``32 PEs · 1 lane · ...``."""
    return " · ".join([
        array_words(hardware), plural(hardware["lanes"], "lane"),
        *([f"broadcast, queues {hardware['queue_depth']} deep"] if hardware["queue_depth"] else []),
        plural(hardware["elements_per_cycle"], "cell unit"),
        f"{plural(weight_ports(hardware), 'weight port')} of {hardware['port_bits']} bits",
        *(["AXI streams for frames and results"] if hardware["io"] == "stream" else []),
        f"{hardware['part']} at {hardware['clock_mhz']:g} MHz",
    ])  # fmt: skip


def array_words(hardware: dict[str, Any]) -> str:
    """``32 PEs``, or ``1,024 multipliers: 64 rows of 16 banks``."""
    if hardware["dataflow"] != "bank":
        return plural(hardware["pes"], "PE")
    rows, banks = plural(hardware["rows"], "row"), plural(hardware["banks"], "bank")
    return f"{plural(hardware['pes'], 'multiplier')}: {rows} of {banks}"


def weight_ports(hardware: dict[str, Any]) -> int:
    """Memory ports for weights: of each group, or one where they stay on chip."""
    return 1 if hardware["weight_storage"] == "onchip" else int(hardware["groups"])


def tiles(report: dict[str, Any]) -> list[dict[str, str]]:
    """The key figures: label, value, unit, a note, and a tone (good, bad) of each."""
    return [
        *_speed_tiles(report),
        *_size_tiles(report["totals"]),
        _proof_tile(report["proof"], report["error"]),
        _error_tile(report["error"]),
        _fit_tile(report["resources"]),
    ]


def _speed_tiles(report: dict[str, Any]) -> list[dict[str, str]]:
    timeline, totals, resources = report["timeline"], report["totals"], report["resources"]
    bandwidth, lanes = resources["bandwidth_gb_per_s"], report["hardware"]["lanes"]
    offered = f"; {resources['device']} has {bandwidth:g}" if bandwidth else ""
    together = f", for {lanes} sequences at once" if lanes > 1 else ""
    return [
        _tile("Time per step", f"{number(timeline['microseconds_per_step'], 2)} µs",
              f"{plural(timeline['cycles_per_step'], 'cycle')}{together}"),
        _tile("PE utilization", percent(totals["utilization"]),
              f"bound {number(totals['bound'])} of {plural(totals['words'], 'word')}"),
        _tile("Weight stream", f"{number(timeline['weight_gb_per_s_peak'], 1)} GB/s",
              f"peak, {number(timeline['weight_gb_per_s_mean'], 1)} on average{offered}",
              "bad" if timeline["stall_cycles"] else "")
        if timeline["weight_gb_per_s_peak"] else
        _tile("Weight stream", "none", "the weights stay on chip"),
    ]  # fmt: skip


def _size_tiles(totals: dict[str, Any]) -> list[dict[str, str]]:
    compression = totals["compression"]
    dense, compiled = size(compression["dense_bytes"]), size(compression["compiled_bytes"])
    waste = "unbalanced entries" if "unbalanced" in totals else "padding, bubbles"
    return [
        _tile("Bits per non-zero", f"{number(totals['bits_per_nonzero'], 2)} bits",
              f"with {waste} and beat fill"),
        _tile("Compression", f"{number(compression['ratio'], 1)} {TIMES}",
              f"{dense} of fp32 to {compiled}"),
        _tile("Density", percent(totals["density"]),
              f"of {number(totals['weights'])} weights are not zero"),
    ]  # fmt: skip


def _proof_tile(proof: dict[str, Any], error: dict[str, Any] | None) -> dict[str, str]:
    """What is proven is said of accumulators alone; what was cut off is beside it."""
    least, accumulators = proof["min_distance"], proof["accumulators"]
    holds = all(row["proven_width"] <= row["chosen_width"] for row in accumulators)
    holds = holds and (least is None or least >= proof["hazard_distance"])
    note = f"{plural(len(accumulators), 'accumulator')}, no hazard; {clipped_text(error)}"
    value, tone = ("Proven", "good") if holds else ("Refuted", "bad")
    return _tile("No accumulator overflows", value, note, tone)


def clipped_text(error: dict[str, Any] | None) -> str:
    """How many values were out of range, on which frames."""
    if error is None:
        return "what saturates elsewhere was not measured"
    count, of = error["clipped"]["count"], error["clipped"]["of"]
    return f"clipped: {number(count)} of {number(of)} values on the {error['frames']['source']}"


def _error_tile(error: dict[str, Any] | None) -> dict[str, str]:
    if error is None:
        return _tile("Output error", "Unknown", "there is no float network to compare with")
    row, decisions, labels = error["output"], error["decisions"], error["labels"]
    note = f"RMS, of the float outputs, on the {error['frames']['source']}"
    if decisions is not None:
        note += f"; {percent(decisions['agreement'], 2)} of decisions agree"
    if labels is not None and labels["measure"] == "accuracy":
        note += f"; accuracy {percent(labels['fixed'])}, float {percent(labels['float'])}"
    figure = percent(row["relative_error"], 2)
    return _tile("Output error", figure, note, "bad" if error["warnings"] else "")


def _fit_tile(resources: dict[str, Any]) -> dict[str, str]:
    totals, ports = resources["totals"], resources["ports"]
    shares = {name: row["share"] or 0.0 for name, row in totals.items()}
    most = max(shares, key=lambda name: shares[name])
    verdicts = [row["fits"] for row in totals.values()]
    value, tone = ("Fits", "good") if all(verdicts) else ("Unsure", "unsure")
    if False in verdicts or ports["are_too_many"]:
        value, tone = "Does not fit", "bad"
    note = f"{NAMES[most]} the most, {percent(shares[most])} of {resources['device']}; "
    note += f"logic ± {percent(resources['logic_error'], 0)}"
    return _tile("Fit, by estimate", value, note, tone)


def _tile(label: str, value: str, note: str, tone: str = "") -> dict[str, str]:
    """``value`` is a figure with its unit, or words."""
    is_figure = any(letter.isdigit() for letter in value)
    figure, _, unit = value.rpartition(" ") if is_figure else (value, "", "")
    return {"label": label, "value": figure, "unit": unit, "note": note, "tone": tone}
