"""The timeline of a step, and the memory bandwidth that it asks for."""

from __future__ import annotations

from typing import Any

from penstock.machine import Machine
from penstock.machine.order import Work
from penstock.report.text import ratio


def timeline_section(machine: Machine) -> dict[str, Any]:
    """All that is issued, one step of every sweep after the other; then the sums of a step."""
    order, hardware = machine.order, machine.hardware
    microseconds = order.step_cycles / hardware.clock_mhz
    by_kind = {str(work): 0 for work in (Work.LOAD, Work.SPMV, Work.CELLS)}
    for issue in order.of_step:
        by_kind[issue.work] = by_kind.get(issue.work, 0) + issue.cycles
    return {
        "spans": [
            {
                "name": issue.name, "kind": str(issue.work), "sweep": issue.sweep,
                "direction": str(machine.graph.sweeps[issue.sweep]),
                "start": issue.start, "cycles": issue.cycles, "bound": issue.bound,
            }
            for issue in order.issues
        ],
        "cycles_per_step": order.step_cycles,
        "cycles_by_kind": by_kind,
        "bound_per_step": order.bound_cycles,
        "utilization": ratio(order.bound_cycles, order.step_cycles),
        "cycles_once": order.once_cycles,
        "clock_mhz": hardware.clock_mhz,
        "microseconds_per_step": microseconds,
        "steps_per_second": hardware.lanes * 1e6 / microseconds,
        **_bandwidth(machine, microseconds),
    }  # fmt: skip


def _bandwidth(machine: Machine, microseconds: float) -> dict[str, Any]:
    """GB/s (10**9 bytes) over all weight ports: at one word a cycle, and averaged over a step."""
    hardware = machine.hardware
    step_bytes = machine.step_weight_beats * machine.groups.groups * hardware.port_bits // 8
    entry_bits = max(product.code.entry_bits for product in machine.plan.products)
    return {
        "weight_bytes_per_step": step_bytes,
        "weight_gb_per_s_peak": hardware.pes * entry_bits / 8 * hardware.clock_mhz / 1e3,
        "weight_gb_per_s_mean": step_bytes / microseconds / 1e3,
    }
