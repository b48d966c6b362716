"""What surrounds the kernel in a project folder: build files, host programs, README."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.codegen.hls.kernel import BACK_END
from penstock.codegen.hls.names import one_line
from penstock.codegen.hls.readme import readme_context
from penstock.codegen.render import render
from penstock.fixed import Overflow, Rounding
from penstock.machine import Machine
from penstock.machine.bandwidth import channel_of
from penstock.version import __version__

TEMPLATES = {
    "README.md": "project/README.md.j2",
    "Makefile": "project/Makefile.j2",
    "hls_config.cfg": "vitis/hls_config.cfg.j2",
    "run_hls.tcl": "vitis/run_hls.tcl.j2",
    "link.cfg": "vitis/link.cfg.j2",
}
HOST = {"host/host.cpp": "host/host.cpp.j2", "host/Makefile": "host/Makefile.j2"}
DRIVER = {"pynq/penstock_driver.py": "pynq/penstock_driver.py.j2"}
OTHER_BANKS = ("DDR", 1)
"""Kind and number of memory banks where no platform is known."""
TOLD_INPUTS = 12
"""So many scaled inputs are written out in the README; the manifest has all."""


def emit_project_files(
    machine: Machine, sources: dict[str, str], input_exponents: Sequence[int] = ()
) -> dict[str, str]:
    """path -> text. ``sources``: the kernel's and the test bench's files, by path."""
    context = {
        **_names(machine, sources),
        **_programs(machine),
        **_device(machine),
        **_ends(machine),
        **_quantization(machine, input_exponents),
        **readme_context(machine),
    }
    templates = TEMPLATES | (HOST if context["has_host"] else {})
    templates |= DRIVER if context["has_driver"] else {}
    return {path: render(BACK_END, template, context) for path, template in templates.items()}


def _programs(machine: Machine) -> dict[str, Any]:
    """Which programs can drive the kernel.

    XRT moves no streams: their other ends are kernels, or a DMA beside a processor, which PYNQ
    drives.
    """
    has_host = not machine.streams_io
    has_driver = has_host or machine.hardware.device.may_have_processor
    return {"streams_io": not has_host, "has_host": has_host, "has_driver": has_driver}


def _names(machine: Machine, sources: dict[str, str]) -> dict[str, Any]:
    """Sizes, and the files that the build files name."""
    hardware, groups = machine.hardware, machine.groups.groups
    cpp = sorted(path for path in sources if path.endswith(".cpp"))
    weights = [f"weights/{name}" for name in machine.weight_files]
    return {
        "version": __version__, "model": one_line(machine.graph.name), "part": hardware.target,
        "clock_mhz": f"{hardware.clock_mhz:g}", "clock_ns": f"{1000 / hardware.clock_mhz:g}",
        "clock_hz": round(hardware.clock_mhz * 1e6),
        "groups": groups, "weight_files": machine.weight_files,
        "lanes": hardware.lanes, "max_steps": machine.max_steps,
        "kernel_sources": [path for path in cpp if path.startswith("kernel/")],
        "tb_sources": ["tb/lstm_tb.cpp"],
        "tb_files": ["tb/vectors.dat", *weights, "weights/parameters.bin"],
    }  # fmt: skip


def _waits_for(machine: Machine) -> str:
    """What must have come before a step gives its result, beside the frame of the step."""
    if machine.output.sweep > 0:
        return "all frames"
    return "next frame" if any(load.is_ahead for load in machine.loads) else "nothing"


def _device(machine: Machine) -> dict[str, Any]:
    """Packaging and linking for the part's family."""
    device = machine.hardware.device
    kind, banks = OTHER_BANKS
    if device.memory is not None and device.memory.has_banks:
        kind, banks = device.memory.kind, device.memory.channels
    ports = [
        {"name": port.name, "bank": f"{kind}[{channel_of(machine, port) % banks}]"}
        for port in machine.memory_ports
    ]
    notes = []
    if device.memory is None or not device.memory.has_banks:
        notes.append(f"No platform for {device.name} is known here: the memory names may differ.")
    elif len(ports) > device.memory.ports:
        notes.append(
            f"{len(ports)} memory ports; a platform has {device.memory.ports}: use fewer PEs."
        )
    return {
        "flow_target": "vitis" if device.is_card else "vivado",
        "package_format": "xo" if device.is_card else "ip_catalog",
        "package_file": "lstm_top.xo" if device.is_card else "lstm_top.zip",
        "package_about": "a kernel for v++ --link" if device.is_card
        else "an IP for Vivado's catalog",
        "no_xo": "there is no .xo yet: make package first" if device.is_card
        else "there is no .xo: this part is packaged as an IP for Vivado, see README.md",
        "memory_ports": ports, "link_notes": notes,
        "slr": "SLR0" if device.slrs > 1 else None,
    }  # fmt: skip


def _quantization(machine: Machine, input_exponents: Sequence[int]) -> dict[str, Any]:
    """How real frames become raw integers."""
    dtype = machine.input.tensor.type
    scaled = [(index, k) for index, k in enumerate(input_exponents) if k]
    told = [f"x_{index} / 2^{k}" for index, k in scaled[:TOLD_INPUTS]]
    return {
        "input_frac": dtype.frac,
        "rounds_and_saturates": (dtype.rounding, dtype.overflow) == (Rounding.RND, Overflow.SAT),
        "scaled_inputs": ", ".join([*told, *["..."] * (len(scaled) > TOLD_INPUTS)]),
    }


def _ends(machine: Machine) -> dict[str, Any]:
    """The input and output frames, as elements, beats and bytes."""
    source, output, beats = machine.input, machine.output, machine.beats
    beat_bytes = beats.port_bits // 8
    return {
        "inputs": source.tensor.length, "input_type": str(source.tensor.type),
        "input_min": source.tensor.type.raw_min, "input_max": source.tensor.type.raw_max,
        "outputs": output.tensor.length, "output_type": str(output.tensor.type),
        "is_once": machine.is_once(output.sweep), "is_argmax": machine.is_argmax,
        "waits_for": _waits_for(machine),
        "port_bits": beats.port_bits, "beat_bytes": beat_bytes, "per_beat": beats.per_beat,
        "io_bits": beats.io_bits, "io_bytes": beats.io_bits // 8,
        "x_beats": machine.port("x").beats, "y_beats": machine.port("y").beats,
        "x_frame_bytes": machine.port("x").beats * beat_bytes,
        "y_frame_bytes": machine.port("y").beats * beat_bytes,
        "state_bytes": machine.state_beats * beat_bytes,
        "has_states": bool(machine.kept.states), "has_parameters": bool(machine.kept.parameters),
    }  # fmt: skip
