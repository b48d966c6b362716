"""What the kernel takes of the device: an estimate, not from synthesis."""

from __future__ import annotations

from typing import Any

from penstock.ir import Node
from penstock.report.devices import PLANNED_SHARE, Device, device_of
from penstock.report.kernel import Kernel, ratio
from penstock.report.memories import memories
from penstock.report.text import percent

LABEL = "estimate, not from synthesis"
NOT_COUNTED = (
    "LUTs count memories only: logic, registers (FF) and routing are for synthesis to tell. "
    "No URAM is used."
)
NAMES = {"dsp": "DSP", "bram18": "BRAM18", "uram": "URAM", "lut": "LUT", "ff": "FF"}


def resources_section(keep: Kernel) -> dict[str, Any]:
    """Multipliers and memories, against the device's totals where the device is known."""
    found = memories(keep)
    multipliers = _multipliers(keep)
    used: dict[str, int | None] = {
        "dsp": sum(row["dsp"] for row in multipliers),
        "bram18": sum(memory.bram18 for memory in found),
        "uram": 0,
        "lut": sum(memory.lut for memory in found),
        "ff": None,
    }
    device = device_of(keep.plan.hardware.part)
    return {
        "label": LABEL,
        "not_counted": NOT_COUNTED,
        "device": device.name if device else None,
        "bandwidth_gb_per_s": device.bandwidth if device else None,
        "totals": {name: _total(name, count, device) for name, count in used.items()},
        "multipliers": multipliers,
        "memories": [memory.to_json() for memory in found],
    }


def _multipliers(keep: Kernel) -> list[dict[str, Any]]:
    """One for each PE and lane; those of the cell units, which phases do not share."""
    hardware, graph = keep.plan.hardware, keep.graph
    in_pe = max(_dsp(keep, node) for node in graph.of_kind("matvec"))
    rows = [_multiplier("PE array", hardware.pes * hardware.lanes, in_pe)]
    units = hardware.elements_per_cycle * hardware.lanes
    for phase in keep.plan.phases:
        each = sum(_dsp(keep, graph[name]) for name in phase.part.elementwise)
        rows.append(_multiplier(f"cell unit of {phase.code.name}", units, each))
    return rows


def _multiplier(name: str, count: int, each: int) -> dict[str, Any]:
    return {"name": name, "count": count, "dsp_each": each, "dsp": count * each}


def _dsp(keep: Kernel, node: Node) -> int:
    return node.op.cost(*(source.tensor for source in keep.graph.inputs(node))).dsp


def _total(name: str, used: int | None, device: Device | None) -> dict[str, Any]:
    total = device.total(name) if device else None
    limit = None if total is None else int(total * PLANNED_SHARE[name])
    known = used is not None and total is not None and limit is not None
    return {
        "used": used,
        "total": total,
        "planned_share": PLANNED_SHARE[name],
        "limit": limit,
        "share": ratio(used, total) if known else None,  # type: ignore[arg-type]
        "fits": used <= limit if known else None,  # type: ignore[operator]
    }


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
