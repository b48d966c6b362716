"""What surrounds the kernel in a project folder: build files, host programs, README."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.codegen.render import render
from penstock.codegen.storage import Storage
from penstock.ir import Direction, Node
from penstock.packing.manifest import Manifest
from penstock.packing.vectors import PARAMETER_BITS
from penstock.schedule import Phase
from penstock.version import __version__

TEMPLATES = {
    "README.md": "project/README.md.j2",
    "Makefile": "project/Makefile.j2",
    "hls_config.cfg": "vitis/hls_config.cfg.j2",
    "run_hls.tcl": "vitis/run_hls.tcl.j2",
    "link.cfg": "vitis/link.cfg.j2",
    "host/host.cpp": "host/host.cpp.j2",
    "host/Makefile": "host/Makefile.j2",
    "pynq/penstock_driver.py": "pynq/penstock_driver.py.j2",
}


@dataclass(frozen=True)
class Device:
    """A card's memory as ``v++ --link`` names it, and the regions of its die."""

    memory: str
    banks: int
    slrs: int


DEVICES = {
    "xcu55c": Device("HBM", 32, 3),
    "xcu280": Device("HBM", 32, 3),
    "xcu50": Device("HBM", 32, 2),
    "xcu200": Device("DDR", 4, 3),
    "xcu250": Device("DDR", 4, 4),
    "xcvu9p": Device("DDR", 4, 3),
    "xcku060": Device("DDR", 2, 1),
}
OTHER_DEVICE = Device("DDR", 1, 1)
KERNEL_FAMILIES = ("xcu", "xcv")
"""Data-centre parts, packaged for ``v++ --link``; others become an IP for Vivado."""
SHELL_PORTS = 32
"""Memory ports that an HBM platform has for kernels."""


def emit_project_files(
    keep: Storage, manifest: Manifest, sources: dict[str, str], report: dict[str, Any]
) -> dict[str, str]:
    """path -> text. ``sources``: the kernel's and the test bench's files, by path."""
    context = {
        **_names(keep, manifest, sources),
        **_device(keep.plan.hardware.part, manifest.groups),
        **_ends(keep),
        **_memories(keep, manifest),
        **_timeline(keep),
        "phases": [_phase(keep, phase) for phase in keep.plan.phases],
        "tensors": [_tensor(keep, node) for node in _named_tensors(keep)],
    }
    return {path: render(template, context) for path, template in TEMPLATES.items()}


def _names(keep: Storage, manifest: Manifest, sources: dict[str, str]) -> dict[str, Any]:
    """Sizes, and the files that the build files name."""
    hardware = keep.plan.hardware
    cpp = sorted(path for path in sources if path.endswith(".cpp"))
    weights = [f"weights/group_{group}.bin" for group in range(manifest.groups)]
    most_steps = hardware.max_steps if keep.frames() else None
    widest = max(node.tensor.type.width for node in keep.graph.of_kind("matvec"))
    return {
        "version": __version__, "model": keep.graph.name, "part": hardware.part,
        "clock_mhz": f"{hardware.clock_mhz:g}", "clock_ns": f"{1000 / hardware.clock_mhz:g}",
        "clock_hz": round(hardware.clock_mhz * 1e6),
        "pes": hardware.pes, "groups": manifest.groups, "group_pes": manifest.group_pes,
        "groups_about": _count(manifest.groups, "group"), "lanes": hardware.lanes,
        "cell_units_about": _count(hardware.elements_per_cycle, "element"), "acc_bits": widest,
        "lanes_about": "independent sequences that share the weight stream"
        if hardware.lanes > 1 else "one sequence at a time",
        "most_steps": most_steps,
        "most_steps_note": f"; at most {most_steps}" if most_steps else "",
        "kernel_sources": [path for path in cpp if path.startswith("kernel/")],
        "tb_sources": ["tb/lstm_tb.cpp"],
        "tb_files": ["tb/vectors.dat", *weights, "weights/parameters.bin"],
    }  # fmt: skip


def _device(part: str, groups: int) -> dict[str, Any]:
    """Packaging and linking for the part's family."""
    name = part.partition("-")[0]
    device = DEVICES.get(name, OTHER_DEVICE)
    is_kernel = name.startswith(KERNEL_FAMILIES)
    ports = _memory_ports(device, groups)
    notes = []
    if name not in DEVICES:
        notes.append(f"No platform for {name} is known here: the memory names may differ.")
    if device.memory == "HBM" and len(ports) > SHELL_PORTS:
        notes.append(f"{len(ports)} memory ports; a platform has {SHELL_PORTS}: use fewer PEs.")
    return {
        "flow_target": "vitis" if is_kernel else "vivado",
        "package_format": "xo" if is_kernel else "ip_catalog",
        "package_file": "lstm_top.xo" if is_kernel else "lstm_top.zip",
        "package_about": "a kernel for v++ --link" if is_kernel else "an IP for Vivado's catalog",
        "no_xo": "there is no .xo yet: make package first" if is_kernel
        else "there is no .xo: this part is packaged as an IP for Vivado, see README.md",
        "memory_ports": ports, "link_notes": notes,
        "slr": "SLR0" if device.slrs > 1 else None,
    }  # fmt: skip


def _memory_ports(device: Device, groups: int) -> list[dict[str, str]]:
    """Each m_axi port and its bank: the weights are spread over all of them, the rest is small."""
    banks = {f"weights_{group}": (group + 1) % device.banks for group in range(groups)}
    ports = ("x", *banks, "parameters", "state", "y")
    return [{"name": port, "bank": f"{device.memory}[{banks.get(port, 0)}]"} for port in ports]


def _ends(keep: Storage) -> dict[str, Any]:
    """The input and output frames, as elements, beats and bytes."""
    graph, ports = keep.graph, keep.ports
    (source,), (output,) = graph.of_kind("input"), graph.of_kind("output")
    beat_bytes = ports.port_bits // 8
    is_once = graph.sweeps[output.sweep] is Direction.ONCE
    y_frame_bytes = ports.beats(output.tensor.length) * beat_bytes
    return {
        "inputs_about": _count(source.tensor.length, "element"),
        "outputs_about": _count(output.tensor.length, "element"),
        "inputs": source.tensor.length, "input_type": str(source.tensor.type),
        "input_min": source.tensor.type.raw_min, "input_max": source.tensor.type.raw_max,
        "outputs": output.tensor.length, "output_type": str(output.tensor.type),
        "output_about": "once a sequence" if is_once else "for every step",
        "is_once": is_once, "y_frames": 1 if is_once else "steps",
        "y_about": y_frame_bytes if is_once else f"steps x {y_frame_bytes}",
        "is_argmax": any(node.op.kind == "argmax" for node in graph.inputs(output)),
        "beat_bytes": beat_bytes, "io_bits": ports.io_bits, "io_bytes": ports.io_bits // 8,
        "per_beat": ports.per_beat, "y_frame_bytes": y_frame_bytes,
        "x_frame_bytes": ports.beats(source.tensor.length) * beat_bytes,
    }  # fmt: skip


def _memories(keep: Storage, manifest: Manifest) -> dict[str, Any]:
    """What lies behind the ports state, parameters and weights_*."""
    beat_bytes = keep.ports.port_bits // 8
    states = [
        {"name": block.state, "first_byte": block.first_beat * beat_bytes,
         "positions": block.positions, "elements": layout.length, "type": block.type,
         "order": "the model's" if layout.is_identity else "see the manifest"}
        for block in keep.states()
        for layout in [keep.plan.layouts[keep.plan.layout_of[f"{block.state}_before"]]]
    ]  # fmt: skip
    vectors, end = [], 0
    for node in keep.parameters():
        positions = keep.positions(node.name)
        vectors.append({"name": node.name, "first_byte": end, "positions": positions,
                        "type": node.tensor.type})  # fmt: skip
        end += -(-positions * PARAMETER_BITS // keep.ports.port_bits) * beat_bytes
    weight_bytes = manifest.beat_offsets()[-1] * beat_bytes
    return {
        "states": states, "vectors": vectors, "parameter_bytes": end,
        "state_bytes": sum(block.beats for block in keep.states()) * beat_bytes,
        "weight_files": [
            {"index": group, "bytes": weight_bytes} for group in range(manifest.groups)
        ],
    }  # fmt: skip


def _timeline(keep: Storage) -> dict[str, Any]:
    """Stretches and their sums. Weights of a sweep that runs once are not streamed every step."""
    graph, plan, ports = keep.graph, keep.plan, keep.ports
    once = {index for index, way in enumerate(graph.sweeps) if way is Direction.ONCE}
    step_cycles = plan.step_cycles(graph)
    step_beats = sum(
        -(-phase.code.words * plan.group_pes * phase.code.entry_bits // ports.port_bits)
        for phase in plan.phases
        if phase.code.sweep not in once
    )
    about = {"load": "load of {}", "spmv": "{}: SpMV", "cells": "{}: cell unit"}
    return {
        "stretches": [
            {"name": about[stretch.kind].format(stretch.name), "cycles": stretch.cycles,
             "sweep": f"{stretch.sweep}, {graph.sweeps[stretch.sweep]}",
             "bound": stretch.bound if stretch.kind == "spmv" else ""}
            for stretch in plan.stretches
        ],
        "step_cycles": step_cycles,
        "bound_cycles": plan.bound_cycles(graph),
        "step_time": f"{step_cycles / plan.hardware.clock_mhz:.2f}",
        "once_cycles": sum(s.cycles for s in plan.stretches if s.sweep in once),
        "step_bytes": step_beats * ports.port_bits // 8,
    }  # fmt: skip


def _phase(keep: Storage, phase: Phase) -> dict[str, Any]:
    code, part = phase.code, phase.part
    columns = " + ".join(str(keep.graph[source].tensor.length) for source in part.operands)
    bound = -(-phase.nonzeros // keep.plan.hardware.pes)
    return {
        "name": code.name, "sweep": code.sweep,
        "matrices": f"{len(part.matvecs)} of {part.rows} x ({columns})",
        "nonzeros": phase.nonzeros, "words": code.words, "bound": bound,
        "entry_bits": f"{code.weight_bits} + {code.index_bits}",
        "utilization": f"{100 * bound / code.words:.1f} %" if code.words else "-",
    }  # fmt: skip


def _named_tensors(keep: Storage) -> list[Node]:
    """What a reader may look for: the ends, states, matrices and vectors, in graph order."""
    vectors = keep.parameters()
    return [
        node
        for node in keep.graph.nodes()
        if node.op.kind in ("input", "state_read", "output")
        or node in vectors
        or (node.op.kind == "const" and len(node.tensor.shape) == 2)
    ]


def _tensor(keep: Storage, node: Node) -> dict[str, Any]:
    tensor = node.tensor
    weights = tensor.constant if len(tensor.shape) == 2 else None
    name = vars(node.op)["state"] if node.op.kind == "state_read" else node.name
    return {
        "name": name, "type": tensor.type, "shape": " x ".join(map(str, tensor.shape)),
        "nonzeros": "" if weights is None else np.count_nonzero(weights),
    }  # fmt: skip


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
