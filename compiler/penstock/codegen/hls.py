"""Graph + schedule -> the kernel's sources: everything that the templates are told."""

from __future__ import annotations

import dataclasses
from typing import Any

from penstock.codegen.names import constant, identifier, local, native, storage
from penstock.codegen.render import render
from penstock.codegen.storage import Storage, signed_bits
from penstock.codegen.units import build_unit
from penstock.ir import Direction, Graph
from penstock.packing.manifest import Manifest
from penstock.packing.vectors import PARAMETER_BITS
from penstock.schedule import Phase
from penstock.schedule.memory import segment_of
from penstock.schedule.plan import constant_of, frames_loaded
from penstock.version import __version__

KERNEL_FILES = (
    "kernel/config.h", "kernel/raw.h", "kernel/trace.h", "kernel/tables.h", "kernel/pe_array.h",
    "kernel/cell_unit.h", "kernel/compute.h", "kernel/ports.h", "kernel/lstm_top.h",
    "kernel/lstm_top.cpp", "tb/lstm_tb.cpp", "tb/lstm_constants.cpp",
)  # fmt: skip
BEAT_STREAM_DEPTH, WORD_STREAM_DEPTH = 64, 32
LUTRAM_DEPTH = 64
NEVER = 2**31


def emit_kernel(keep: Storage, manifest: Manifest, golden_steps: int) -> dict[str, str]:
    """path -> text of the kernel's and the test bench's files."""
    context = kernel_context(keep, manifest, golden_steps)
    files = {path: render(f"{path}.j2", context) for path in KERNEL_FILES}
    files |= table_texts(keep.graph)
    for block in context["states"]:
        if block.has_empty:
            path = f"kernel/tables/{block.constant.lower()}_filled.inc"
            files[path] = _numbers([int(filled) for filled in block.filled])
    if context["output_order"]:
        files["kernel/tables/output_order.inc"] = _numbers(context["output_order"])
    return files


def kernel_context(keep: Storage, manifest: Manifest, golden_steps: int) -> dict[str, Any]:
    """All names that the kernel's templates use."""
    graph, plan, ports = keep.graph, keep.plan, keep.ports
    hardware = plan.hardware
    offsets = manifest.beat_offsets()
    numbers = {node.name: number for number, node in enumerate(graph.nodes())}
    phases = [
        _phase(keep, phase, index, offsets, numbers) for index, phase in enumerate(plan.phases)
    ]
    states = keep.states()
    sweeps = [_sweep(keep, index, phases, offsets) for index in range(len(graph.sweeps))]
    lanes = range(hardware.lanes)
    context: dict[str, Any] = {
        "version": __version__, "model": graph.name, "hw": hardware,
        "group_pes": plan.group_pes, "groups": manifest.groups,
        "group_copies": -(-plan.group_pes // 2), "cell_units": hardware.elements_per_cycle,
        "banks": plan.banks, "raw_distance": hardware.raw_distance,
        "phases": phases, "sweeps": sweeps, "units": [phase["unit"] for phase in phases],
        "states": states, "state_arrays": _state_arrays(states),
        "state_beats": sum(block.beats for block in states),
        "captures": _captures(keep),
        "parameters": _parameters(keep),
        "frame_arrays": [
            {"name": keep.frame_array(node), "positions": keep.positions(node.name),
             "about": node.name}
            for node in keep.frames()
        ],
        "buffers_frames": bool(keep.frames()),
        "length_names": [f"length_{lane}" for lane in lanes],
        "length_parameters": [f"unsigned length_{lane}" for lane in lanes],
        "scalars": ["steps", *(f"length_{lane}" for lane in lanes), "start", "reload"],
        "ports": ["x", *(f"weights_{g}" for g in range(manifest.groups)), "parameters", "state",
                  "y"],
        "tables": table_functions(graph),
        "segments": [
            {"name": segment, "constant": keep.base(segment), "base": base}
            for segment, base in plan.memory.base.items()
        ],
        "beat_stream_depth": BEAT_STREAM_DEPTH, "word_stream_depth": WORD_STREAM_DEPTH,
        "io_bits": ports.io_bits,
    }  # fmt: skip
    context.update(_widths(keep, plan.phases))
    context.update(_aligns(plan.phases, phases))
    context.update(_ends(keep, context, offsets[-1], golden_steps))
    context["constant_names"] = _constant_names(context)
    return context


def _constant_names(context: dict[str, Any]) -> list[str]:
    """The constants of config.h and ports.h that have one name in every kernel."""
    names = [
        "PES", "GROUP_PES", "GROUPS", "LANES", "CELL_UNITS", "GROUP_COPIES", "VECTOR_DEPTH",
        "BANKS", "ACC_DEPTH", "BEAT_BITS", "IO_BITS", "IO_PER_BEAT", "PARAMETER_BITS",
        "PARAMETERS_PER_BEAT", "INPUTS", "INPUT_POSITIONS", "OUTPUTS", "X_BEATS", "Y_BEATS",
        "BEAT_STREAM_DEPTH", "WORD_STREAM_DEPTH", "FRAME_STREAM_DEPTH", "RESULT_STREAM_DEPTH",
        "START_ZERO", "START_GIVEN", "START_CARRIED", "PHASES", "GAP_COLUMNS", "GAP_SLOTS",
    ]  # fmt: skip
    names += ["MAX_STEPS"] if context["buffers_frames"] else []
    names += ["OPERANDS", "OPERAND_END", "ALIGN"] if context["is_aligned"] else []
    return names + (["POSITION_OF"] if context["output_order"] else [])


def _phase(
    keep: Storage, phase: Phase, index: int, offsets: list[int], numbers: dict[str, int]
) -> dict[str, Any]:
    code = phase.code
    gaps = range(1 << max(other.code.index_bits for other in keep.plan.phases))
    return {
        "name": code.name, "constant": constant(code.name), "id": index, "sweep": code.sweep,
        "words": code.words, "base": phase.base, "slots": code.slots,
        "sibling_bits": code.siblings.bit_length() - 1, "way_bits": code.ways.bit_length() - 1,
        "first_beat": offsets[index],
        "end_beat": offsets[index + 1],
        "weight_bits": code.weight_bits, "index_bits": code.index_bits,
        "gap_columns": [gap // code.slots for gap in gaps],
        "gap_slots": [gap % code.slots for gap in gaps],
        "unit": build_unit(keep, phase, numbers),
    }  # fmt: skip


def _sweep(
    keep: Storage, index: int, phases: list[dict[str, Any]], offsets: list[int]
) -> dict[str, Any]:
    mine = [phase for phase in phases if phase["sweep"] == index]
    loads = [_load(keep, index, source) for source in frames_loaded(keep.graph, index)]
    arguments = {argument for phase in mine for argument in phase["unit"].arguments}
    return {
        "index": index, "direction": str(keep.graph.sweeps[index]),
        "is_once": keep.graph.sweeps[index] is Direction.ONCE,
        "phases": mine, "loads": loads,
        "first_beat": mine[0]["first_beat"] if mine else 0,
        "end_beat": mine[-1]["end_beat"] if mine else 0,
        "needs_valid": "valid" in arguments or any(load["to_results"] for load in loads),
        "needs_last": "last" in arguments,
    }  # fmt: skip


def _load(keep: Storage, sweep: int, source: str) -> dict[str, Any]:
    """A frame comes in: from the input port or a buffer, to the activation memory or further."""
    node = keep.graph[source]
    is_input = node.op.kind == "input" and node.sweep == sweep
    users = [user for user in keep.graph.users(source) if user.sweep == sweep]
    is_gathered = any(user.op.kind == "matvec" for user in users)
    return {
        "label": f"{constant(source)}_{sweep}", "positions": keep.positions(source),
        "is_input": is_input, "array": keep.frame_array(node),
        "to_array": keep.frame_array(node) if is_input else None,
        "to_base": keep.base(segment_of(keep.graph, sweep, source)) if is_gathered else None,
        "to_results": any(user.op.kind == "output" for user in users),
    }  # fmt: skip


def _state_arrays(states: list[Any]) -> list[dict[str, Any]]:
    return [
        {"name": block.array, "cpp": storage(block.type), "positions": block.positions}
        for block in states
        if block.array is not None
    ]


def _captures(keep: Storage) -> list[dict[str, Any]]:
    return [
        {"base": keep.base(node.name), "positions": keep.positions(node.name)}
        for node in keep.graph.of_kind("capture")
    ]


def _parameters(keep: Storage) -> list[dict[str, Any]]:
    found, beat = [], 0
    per_beat = keep.plan.hardware.port_bits // PARAMETER_BITS
    for node in keep.parameters():
        positions = keep.positions(node.name)
        found.append({"name": identifier(node.name), "cpp": storage(node.tensor.type),
                      "positions": positions, "first_beat": beat})  # fmt: skip
        beat += -(-positions // per_beat)
    return found


def _widths(keep: Storage, phases: tuple[Phase, ...]) -> dict[str, Any]:
    graph = keep.graph
    gathered = [graph[source] for phase in phases for source in phase.part.operands]
    widest = max(graph.of_kind("matvec"), key=lambda node: node.tensor.type.width)
    acc_depth = max(phase.code.rows_per_pe for phase in phases)
    return {
        "weight_bits": max(phase.code.weight_bits for phase in phases),
        "index_bits": max(phase.code.index_bits for phase in phases),
        "gaps": 1 << max(phase.code.index_bits for phase in phases),
        "activation_bits": max(
            signed_bits(node.tensor.type) for node in [*gathered, *keep.frames()]
        ),
        "acc_bits": widest.tensor.type.width,
        "proof": {"name": widest.name, "lo": widest.tensor.lo, "hi": widest.tensor.hi},
        "vector_depth": keep.plan.memory.length,
        "acc_depth": acc_depth,
        "acc_storage": "lutram" if acc_depth <= LUTRAM_DEPTH else "bram",
        "column_bits": max(phase.code.columns for phase in phases).bit_length(),
        "slot_bits": (2 * max(phase.code.slots for phase in phases)).bit_length(),
        "most_words": max(phase.code.words for phase in phases),
    }


def _aligns(phases: tuple[Phase, ...], contexts: list[dict[str, Any]]) -> dict[str, Any]:
    """Shift tables, padded to the same size for every phase."""
    operands = max(len(phase.code.operands) for phase in phases)
    siblings = max(phase.code.siblings for phase in phases)
    for phase, context in zip(phases, contexts, strict=True):
        rows = [[*row, *([0] * (operands - len(row)))] for row in phase.aligns]
        context["aligns"] = rows + [[0] * operands] * (siblings - len(rows))
        ends, column = [], 0
        for _, positions in phase.code.operands:
            column += positions
            ends.append(column)
        context["operand_end"] = ends[:-1] + [NEVER] * (operands - len(ends) + 1)
    return {
        "most_operands": operands, "most_siblings": siblings,
        "is_aligned": any(shift for phase in phases for row in phase.aligns for shift in row),
    }  # fmt: skip


def _ends(
    keep: Storage, context: dict[str, Any], weight_beats: int, golden_steps: int
) -> dict[str, Any]:
    """The network's two ends: input and output frames, and the depths of the ports."""
    graph, ports = keep.graph, keep.ports
    (source,) = graph.of_kind("input")
    (output,) = graph.of_kind("output")
    results = keep.results()
    order, start = [], 0
    for node in results:
        layout = keep.plan.layouts[keep.plan.layout_of[node.name]]
        order += [start + int(position) for position in layout.position_of]
        start += layout.positions
    is_once = graph.sweeps[output.sweep] is Direction.ONCE
    x_beats, y_beats = ports.beats(source.tensor.length), ports.beats(output.tensor.length)
    per_packet = context["cell_units"]
    last = context["parameters"][-1] if context["parameters"] else None
    per_beat = ports.port_bits // PARAMETER_BITS
    parameter_beats = last["first_beat"] - (-last["positions"] // per_beat) if last else 1
    return {
        "inputs": source.tensor.length, "input_positions": keep.positions(source.name),
        "outputs": output.tensor.length, "x_beats": x_beats, "y_beats": y_beats,
        "is_once": is_once, "result_positions": start,
        "output_order": [] if order == list(range(len(order))) else order,
        "position_type": "unsigned short" if start <= 1 << 16 else "unsigned",
        "is_argmax": any(node.op.kind == "argmax" for node in graph.inputs(output)),
        "argmax_length": len(order),
        "frame_stream_depth": max(2, keep.positions(source.name) // per_packet),
        "result_stream_depth": max(2, start // per_packet),
        "depth": {
            "x": golden_steps * x_beats, "y": (1 if is_once else golden_steps) * y_beats,
            "weights": weight_beats, "parameters": parameter_beats,
            "state": context["state_beats"],
        },
    }  # fmt: skip


def table_functions(graph: Graph) -> list[dict[str, Any]]:
    """One function for each table that a node uses."""
    found: dict[str, dict[str, Any]] = {}
    for node in graph.of_kind("lut"):
        x, table, *rises = graph.inputs(node)
        op = dataclasses.asdict(node.op)  # type: ignore[call-overload]
        kind, width = node.tensor.type, x.tensor.type.width
        found[table.name] = {
            "name": local(table.name), "node": table.name, "function": op["function"],
            "parts": [(part.name, local(part.name)) for part in (table, *rises)],
            "reach": 2.0 ** (width - x.tensor.type.frac - 1), "entries": table.tensor.length,
            "type": str(kind), "cpp": kind.cpp, "native": native(kind),
            "input_cpp": x.tensor.type.cpp, "input_width": width,
            "index_bits": width - op["interpolate_bits"],
            "interpolate_bits": op["interpolate_bits"], "exact_cpp": storage(kind),
            "rise_cpp": storage(rises[0].tensor.type) if rises else "",
            "rise_native": native(rises[0].tensor.type) if rises else "",
        }  # fmt: skip
    return list(found.values())


def table_texts(graph: Graph) -> dict[str, str]:
    """path -> text of every table, as a list of numbers."""
    names = {table for node in graph.of_kind("lut") for table in node.inputs[1:]}
    return {
        f"kernel/tables/{local(node.name)}.inc": _numbers(constant_of(graph, node.name).tolist())
        for node in graph.of_kind("const")
        if node.name in names
    }


def _numbers(values: list[int], per_line: int = 16) -> str:
    lines = [values[start : start + per_line] for start in range(0, len(values), per_line)]
    return ",\n".join(", ".join(map(str, line)) for line in lines) + "\n"
