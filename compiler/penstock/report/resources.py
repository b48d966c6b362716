"""The estimate of resources as plain values, and what it has to say."""

from __future__ import annotations

from typing import Any

from penstock.machine.bandwidth import Bandwidth, PortDemand
from penstock.machine.blocks import Block
from penstock.machine.logic import ERROR, ESE_RATIO
from penstock.machine.resources import NAMES, Fit, MemoryCost, Multipliers, Resources, Verdict
from penstock.report.text import percent

LABEL = "estimate, not from synthesis"
RULES = (
    "LUT and FF: the kernel's blocks, priced by a model of their parts, which on composed blocks "
    f"is within {percent(ERROR, 0)} of what open synthesis (yosys) makes of them. What Vitis HLS "
    "makes of them is not known, and routing is not counted. ESE's published figures are "
    f"{ESE_RATIO['lut']:g} times (LUT) and {ESE_RATIO['ff']:g} times (FF) the estimate for its "
    "configuration; that many registers are allowed for."
)
LESS = "take fewer PEs, lanes or cell units, or a larger part"


def resources_section(found: Resources) -> dict[str, Any]:
    """Memories, multipliers, logic and ports, against the device's totals."""
    device = found.device
    return {
        "label": LABEL,
        "rules": RULES,
        "logic_error": ERROR,
        "device": device.name,
        "bandwidth_gb_per_s": found.bandwidth.offered,
        "totals": {name: _fit(fit) for name, fit in found.fits.items()},
        "multipliers": [_multipliers(row) for row in found.multipliers],
        "blocks": [_block(block) for block in found.blocks],
        "memories": [_memory(cost) for cost in found.memories],
        "ports": _ports(found.bandwidth),
    }


def _multipliers(row: Multipliers) -> dict[str, Any]:
    return {"name": row.name, "count": row.count, "dsp_each": row.dsp_each, "dsp": row.dsp}


def _block(block: Block) -> dict[str, Any]:
    """LUTs and registers of one, and of all."""
    return {
        "name": block.name, "count": block.count, "lut_each": block.each.lut,
        "ff_each": block.each.ff, "lut": block.all.lut, "ff": block.all.ff,
    }  # fmt: skip


def _memory(cost: MemoryCost) -> dict[str, Any]:
    memory = cost.memory
    return {
        "name": memory.name, "kind": memory.kind, "count": memory.count, "depth": memory.depth,
        "width": memory.width, "storage": cost.impl, "bram18": cost.bram18, "uram": cost.uram,
        "lut": cost.lut, "is_moved": memory.is_moved,
    }  # fmt: skip


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "used": fit.used, "least": fit.least, "most": fit.most, "total": fit.total,
        "planned_share": fit.planned_share, "limit": fit.limit, "share": fit.share,
        "fits": fit.fits, "verdict": str(fit.verdict),
    }  # fmt: skip


def _ports(found: Bandwidth) -> dict[str, Any]:
    return {
        "count": len(found.ports), "limit": found.port_limit,
        "are_too_many": found.are_too_many,
        "slower_by_port": found.slower_by_port, "slower_by_channel": found.slower_by_channel,
        "slower_by_device": found.slower_by_device,
        "each": [_port(port) for port in found.ports],
    }  # fmt: skip


def _port(port: PortDemand) -> dict[str, Any]:
    return {
        "name": port.name, "channel": port.channel, "gb_per_s_beats": port.beat_a_cycle,
        "gb_per_s_streaming": port.streaming, "gb_per_s_mean": port.mean,
        "gb_per_s_offered": port.offered,
    }  # fmt: skip


def fit_notes(resources: dict[str, Any], timeline: dict[str, Any]) -> list[str]:
    """A sentence for each thing that the device does not offer enough of."""
    device = resources["device"]
    notes = _moved_notes(resources["memories"], device)
    notes += [
        note
        for name, row in resources["totals"].items()
        if (note := _fit_note(NAMES[name], row, device))
    ]
    ports = resources["ports"]
    if ports["limit"] is not None and ports["count"] > ports["limit"]:
        notes.append(
            f"the kernel has {ports['count']} memory ports, and {device} offers {ports['limit']}: "
            + ("take fewer PEs" if ports["are_too_many"] else "some have to share one")
        )
    return notes + _bandwidth_notes(resources, timeline)


PLACES = {"lutram": "LUTs", "uram": "UltraRAM", "bram": "block RAM"}


def _moved_notes(memories: list[dict[str, Any]], device: str) -> list[str]:
    """What stands elsewhere because block RAM or UltraRAM is scarce."""
    moved = [row for row in memories if row["is_moved"]]
    if not moved:
        return []
    of_name = {row["name"]: 0 for row in moved}
    for row in memories:
        if row["name"] in of_name:
            of_name[row["name"]] += row["count"]
    told = {
        storage: ", ".join(
            row["name"] if row["count"] == of_name[row["name"]]
            else f"{row['count']:,} of {of_name[row['name']]:,} memories of {row['name']}"
            for row in moved if row["storage"] == storage
        )
        for storage in dict.fromkeys(row["storage"] for row in moved)
    }  # fmt: skip
    places = "; ".join(f"in {PLACES[storage]}: {names}" for storage, names in told.items())
    scarce = "UltraRAM" if "bram" in told else "block RAM"
    return [f"{scarce} of {device} is scarce, so memories stand elsewhere: {places}"]


def _fit_note(name: str, row: dict[str, Any], device: str) -> str | None:
    has = (
        f"{device} has {row['total']:,}, of which {percent(row['planned_share'], 0)} "
        f"({row['limit']:,}) should be planned for"
    )
    if row["verdict"] == Verdict.DOES_NOT_FIT:
        return f"by estimate, the kernel takes {row['used']:,} {name}; {has}: {LESS}"
    if row["verdict"] == Verdict.UNSURE:
        return (
            f"by estimate, the kernel takes {row['used']:,} {name}, from {row['least']:,} to "
            f"{row['most']:,}; {has}: only synthesis can tell whether it fits"
        )
    return None


def _bandwidth_notes(resources: dict[str, Any], timeline: dict[str, Any]) -> list[str]:
    """The narrowest of port, channel and device, if the weights have to wait for it."""
    ports, device = resources["ports"], resources["device"]
    by = {what: ports[f"slower_by_{what}"] for what in ("device", "channel", "port")}
    worst = max(by, key=lambda what: by[what])
    if by[worst] <= 1:
        return []
    most = max(ports["each"], key=lambda port: port["gb_per_s_streaming"])
    asked, offered = most["gb_per_s_streaming"], most["gb_per_s_offered"]
    clock = f"at {timeline['clock_mhz']:g} MHz"
    told = {
        "port": f"{most['name']} asks for {asked:.1f} GB/s {clock}, more than the "
        f"{offered:.4g} GB/s of a memory port of {device}",
        "channel": f"the ports on one memory channel ask for more {clock} than {device} gives",
        "device": f"the weight stream asks for {timeline['weight_gb_per_s_peak']:.1f} GB/s "
        f"{clock}, more than the {resources['bandwidth_gb_per_s']:g} GB/s of memory beside "
        f"{device}",
    }
    stall, step = timeline["stall_cycles"], timeline["cycles_per_step"]
    return [f"{told[worst]}: the PEs wait in {stall:,} of the {step:,} cycles of a step"]
