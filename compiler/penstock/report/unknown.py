"""What nobody can tell before synthesis, or of this device: said, not left out."""

from __future__ import annotations

from typing import Any

from penstock.report.text import percent


def unknowns(report: dict[str, Any]) -> list[tuple[str, str]]:
    """(what is not known, why, and what that means): of any network, and of this device."""
    resources, clock = report["resources"], report["timeline"]["clock_mhz"]
    device = resources["device"]
    rows = [
        ("Clock", f"{clock:g} MHz was asked for. Whether the tools reach it is known after "
                  "implementation."),
        ("LUT and FF", f"By a model, within {percent(resources['logic_error'], 0)} of open "
                       "synthesis; routing and what Vitis HLS makes of it are not counted."),
        ("Pipeline depths", "Estimates until synthesis; iterations are exact. "
                            "penstock report --synthesis puts the tool's beside them."),
        ("Power", "Not estimated."),
    ]  # fmt: skip
    if resources["bandwidth_gb_per_s"] is None:
        rows.append((f"Memory bandwidth of {device}",
                     "Not known, so no waiting for memory is counted for it."))  # fmt: skip
    if resources["ports"]["limit"] is None:
        rows.append((f"Memory ports of {device}", "How many it offers is not known."))
    return rows
