"""The timeline of a step and of a call, and the memory bandwidth that they ask for."""

from __future__ import annotations

from typing import Any

from penstock.machine import Machine
from penstock.machine.order import Work
from penstock.machine.timeline import LONG, Timeline
from penstock.report.text import percent, ratio


def timeline_section(machine: Machine) -> dict[str, Any]:
    """All that compute issues, one step of every sweep after the other; steps and calls."""
    order, hardware, whole = machine.order, machine.hardware, machine.timeline
    microseconds = whole.step / hardware.clock_mhz
    by_kind = {str(work): 0 for work in (Work.LOAD, Work.SPMV, Work.CELLS)}
    for issue in order.of_step:
        by_kind[issue.work] = by_kind.get(issue.work, 0) + issue.cycles
    return {
        "spans": [
            {
                "name": issue.name, "kind": str(issue.work), "sweep": issue.sweep,
                "direction": str(machine.graph.sweeps[issue.sweep]),
                "start": issue.start, "cycles": issue.cycles, "bound": issue.bound,
                "is_beside": issue.is_beside, "is_first": issue.is_first,
            }
            for issue in order.issues
        ],
        "cycles_per_step": whole.step,
        "slowest": whole.slowest.what,
        "processes": [{"name": busy.what, "cycles": busy.cycles} for busy in whole.busy],
        "compute_cycles": order.step_cycles,
        "stall_cycles": whole.stall,
        "cycles_by_kind": by_kind,
        "bound_per_step": order.bound_cycles,
        "utilization": ratio(order.bound_cycles, whole.step),
        "cycles_once": order.once_cycles,
        "call": _call(whole),
        "clock_mhz": hardware.clock_mhz,
        "microseconds_per_step": microseconds,
        "steps_per_second": hardware.lanes * 1e6 / microseconds,
        **_bandwidth(machine, microseconds),
    }  # fmt: skip


def _call(whole: Timeline) -> dict[str, Any]:
    """What a call takes beside its steps, in cycles; and three calls as examples."""
    return {
        "begin": whole.begin, "reload": whole.reload, "given": whole.given, "zero": whole.zero,
        "once": whole.once, "store": whole.store, "end": whole.end,
        "first": whole.call(1, "zero", reload=True),
        "one_step": whole.call(1, "carried", store=False),
        "long": whole.call(LONG, "zero"), "long_steps": LONG,
    }  # fmt: skip


def _bandwidth(machine: Machine, microseconds: float) -> dict[str, Any]:
    """GB/s (10**9 bytes) over all weight ports: at one word a cycle, and averaged over a step."""
    hardware = machine.hardware
    step_bytes = machine.step_weight_beats * machine.groups.groups * hardware.beat_bits // 8
    entry_bits = max(product.code.entry_bits for product in machine.plan.products)
    word_bytes = 0.0 if machine.on_chip else hardware.pes * entry_bits / 8
    return {
        "weight_bytes_per_step": step_bytes,
        "weight_gb_per_s_peak": word_bytes * hardware.clock_mhz / 1e3,
        "weight_gb_per_s_mean": step_bytes / microseconds / 1e3,
    }


def stream_notes(machine: Machine) -> list[str]:
    """Who has to move frames and results, where they are AXI streams."""
    if not machine.streams_io:
        return []
    told = "frames and results are AXI streams (--io stream)"
    hardware = machine.hardware
    if not hardware.device.may_have_processor:
        return [
            f"{told}, which no host moves on {hardware.device.name}: there is no host program and "
            "no driver; connect x and y to kernels of yours (link.cfg)"
        ]
    beats = sum(port.beats for port in machine.ports if port.is_stream and port.is_per_step)
    microseconds = machine.timeline.step / hardware.clock_mhz
    moved = beats * hardware.beat_bits / 8 / microseconds / 1e3
    return [
        f"{told}: the PYNQ driver moves them by an AXI DMA, whose two memory ports and "
        f"{moved:.2g} GB/s are in no figure here"
    ]


def timing_notes(machine: Machine) -> list[str]:
    """A sentence if something else than compute decides how long a step takes."""
    whole, compute = machine.timeline, machine.order.step_cycles
    notes = []
    if whole.slowest.cycles > whole.busy[0].cycles:
        more = percent(whole.step / compute - 1, 0)
        notes.append(
            f"a step takes {whole.step:,} cycles because of {whole.slowest.what}; the PEs and the "
            f"cell unit alone would need {compute:,} (+{more})"
        )
    return notes
