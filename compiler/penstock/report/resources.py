"""The estimate of resources as plain values, and what it has to say."""

from __future__ import annotations

from typing import Any

from penstock.machine.resources import Fit, MemoryCost, Multipliers, Resources
from penstock.report.text import percent

LABEL = "estimate, not from synthesis"
NOT_COUNTED = (
    "LUTs count memories only: logic, registers (FF) and routing are for synthesis to tell. "
    "No URAM is used."
)
NAMES = {"dsp": "DSP", "bram18": "BRAM18", "uram": "URAM", "lut": "LUT", "ff": "FF"}


def resources_section(found: Resources) -> dict[str, Any]:
    """Multipliers and memories, against the device's totals where the device is known."""
    device = found.device
    return {
        "label": LABEL,
        "not_counted": NOT_COUNTED,
        "device": device.name if device else None,
        "bandwidth_gb_per_s": device.bandwidth if device else None,
        "totals": {name: _fit(fit) for name, fit in found.fits.items()},
        "multipliers": [_multipliers(row) for row in found.multipliers],
        "memories": [_memory(cost) for cost in found.memories],
    }


def _multipliers(row: Multipliers) -> dict[str, Any]:
    return {"name": row.name, "count": row.count, "dsp_each": row.dsp_each, "dsp": row.dsp}


def _memory(cost: MemoryCost) -> dict[str, Any]:
    memory = cost.memory
    return {
        "name": memory.name, "kind": memory.kind, "count": memory.count, "depth": memory.depth,
        "width": memory.width, "storage": cost.impl, "bram18": cost.bram18, "lut": cost.lut,
    }  # fmt: skip


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "used": fit.used, "total": fit.total, "planned_share": fit.planned_share,
        "limit": fit.limit, "share": fit.share, "fits": fit.fits,
    }  # fmt: skip


def fit_notes(resources: dict[str, Any], timeline: dict[str, Any]) -> list[str]:
    """A sentence for each thing that the device does not offer enough of."""
    device, bandwidth = resources["device"], resources["bandwidth_gb_per_s"]
    notes = [
        f"by estimate, the kernel takes {row['used']:,} {NAMES[name]}; {device} has "
        f"{row['total']:,}, of which {percent(row['planned_share'], 0)} ({row['limit']:,}) "
        "should be planned for: take fewer PEs, lanes or cell units, or a larger part"
        for name, row in resources["totals"].items()
        if row["fits"] is False
    ]
    peak = timeline["weight_gb_per_s_peak"]
    if bandwidth is not None and peak > bandwidth:
        notes.append(
            f"the weight stream asks for {peak:.1f} GB/s at {timeline['clock_mhz']:g} MHz, more "
            f"than the {bandwidth:g} GB/s of memory beside {device}: the PEs will wait for words"
        )
    return notes
