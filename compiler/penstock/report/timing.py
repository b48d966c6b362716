"""The timeline of a step, and the memory bandwidth that it asks for."""

from __future__ import annotations

from typing import Any

from penstock.packing.manifest import Manifest
from penstock.report.kernel import Kernel, is_every_step, ratio


def timeline_section(keep: Kernel, manifest: Manifest) -> dict[str, Any]:
    """Stretches in order, one step of every sweep after the other; then the sums of a step."""
    plan, graph, hardware = keep.plan, keep.graph, keep.plan.hardware
    cycles, bound = plan.step_cycles(graph), plan.bound_cycles(graph)
    microseconds = cycles / hardware.clock_mhz
    by_kind: dict[str, int] = {"load": 0, "spmv": 0, "cells": 0}
    for stretch in plan.stretches:
        if is_every_step(keep, stretch.sweep):
            by_kind[stretch.kind] = by_kind.get(stretch.kind, 0) + stretch.cycles
    return {
        "stretches": _stretches(keep),
        "cycles_per_step": cycles,
        "cycles_by_kind": by_kind,
        "bound_per_step": bound,
        "utilization": ratio(bound, cycles),
        "cycles_once": sum(stretch.cycles for stretch in plan.stretches) - cycles,
        "clock_mhz": hardware.clock_mhz,
        "microseconds_per_step": microseconds,
        "steps_per_second": hardware.lanes * 1e6 / microseconds,
        **_bandwidth(keep, manifest, microseconds),
    }


def _stretches(keep: Kernel) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    start = 0
    for stretch in keep.plan.stretches:
        rows.append({
            "name": stretch.name, "kind": stretch.kind, "sweep": stretch.sweep,
            "direction": str(keep.graph.sweeps[stretch.sweep]),
            "start": start, "cycles": stretch.cycles, "bound": stretch.bound,
        })  # fmt: skip
        start += stretch.cycles
    return rows


def _bandwidth(keep: Kernel, manifest: Manifest, microseconds: float) -> dict[str, Any]:
    """GB/s (10**9 bytes) over all weight ports: at one word a cycle, and averaged over a step."""
    offsets = manifest.beat_offsets()
    beats = sum(
        offsets[index + 1] - offsets[index]
        for index, phase in enumerate(manifest.phases)
        if is_every_step(keep, phase.sweep)
    )
    step_bytes = beats * manifest.groups * manifest.port_bits // 8
    word_bytes = manifest.pes * max(phase.entry_bits for phase in manifest.phases) / 8
    return {
        "weight_bytes_per_step": step_bytes,
        "weight_gb_per_s_peak": word_bytes * keep.plan.hardware.clock_mhz / 1e3,
        "weight_gb_per_s_mean": step_bytes / microseconds / 1e3,
    }
