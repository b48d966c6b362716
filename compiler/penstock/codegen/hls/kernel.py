"""The machine description -> the kernel's sources: everything that the templates are told."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import Any

from penstock.codegen.hls.bank import bank_code, no_bank, program_texts
from penstock.codegen.hls.group_arrays import (
    GroupArray,
    acc_arrays,
    arrays_code,
    group_arrays,
    spans_of,
)
from penstock.codegen.hls.names import Names, lengths_of_lanes, one_line, plain_cpp
from penstock.codegen.hls.steps import (
    StateCode,
    has_packets,
    packets_code,
    parts_codes,
    phase_code,
    run_codes,
    storage_code,
    sweep_code,
    write_code,
)
from penstock.codegen.hls.tables import numbers, table_functions, table_texts
from penstock.codegen.hls.units import unit_code
from penstock.codegen.render import render
from penstock.formats.kernel import KernelFormat, kernel_format
from penstock.ir.walk import empty_capture
from penstock.machine import Machine
from penstock.machine.depths import PARTS_INTERVAL
from penstock.machine.loops import turns_of
from penstock.machine.machine import operand_bits
from penstock.machine.phases import tree_levels
from penstock.machine.ports import BURST_BEATS, OUTSTANDING
from penstock.packing.vectors import parameter_offsets, parameter_ports
from penstock.version import __version__

BACK_END = "hls"
KERNEL_FILES = (
    "kernel/config.h", "kernel/raw.h", "kernel/trace.h", "kernel/tables.h", "kernel/pe_array.h",
    "kernel/cell_unit.h", "kernel/compute.h", "kernel/ports.h", "kernel/lstm_top.h",
    "kernel/lstm_top.cpp", "tb/lstm_tb.cpp", "tb/lstm_constants.cpp",
)  # fmt: skip
NEVER = 2**31
MULTIPLIER_BITS = 27
"""The wider operand of a DSP48E2."""


def emit_kernel(machine: Machine, golden_steps: int) -> dict[str, str]:
    """path -> text of the kernel's and the test bench's files.

    golden_steps: the longest call of the test bench's own vectors.
    """
    names = Names(machine)
    context = kernel_context(machine, names, golden_steps)
    files = {path: render(BACK_END, f"{path}.j2", context) for path in KERNEL_FILES}
    files |= table_texts(machine.graph, names.table)
    for state in machine.kept.states:
        if not all(state.filled):
            path = f"kernel/tables/{names.state(state.name).lower()}_filled.inc"
            files[path] = numbers([int(filled) for filled in state.filled])
    files |= program_texts(machine)
    if context["output_order"]:
        files["kernel/tables/output_order.inc"] = numbers(context["output_order"])
    return files


def kernel_context(machine: Machine, names: Names, golden_steps: int) -> dict[str, Any]:
    """All names that the kernel's templates use."""
    hardware, groups = machine.hardware, machine.groups.groups
    lengths = lengths_of_lanes(hardware.lanes)
    steps = "steps" if machine.max_steps is None else "bounded(steps)"
    ids = {node.name: number for number, node in enumerate(machine.graph.nodes())}
    units = {phase.name: unit_code(machine, names, phase, ids) for phase in machine.phases}
    states = [StateCode.of(machine, names, state) for state in machine.kept.states]
    context: dict[str, Any] = {
        "version": __version__, "model": one_line(machine.graph.name), "hw": hardware,
        "group_pes": machine.groups.group_pes, "groups": groups, "lanes": hardware.lanes_at_once,
        "copy_pes": machine.copy_pes,
        "group_copies": -(-machine.groups.group_pes // machine.copy_pes),
        "is_broadcast": hardware.is_broadcast,
        "neighbours_share": machine.groups.neighbours_share, "cell_units": hardware.cell_units,
        "weight_ports": machine.weight_ports, "on_chip": machine.on_chip,
        "loops": names.loops, "burst": BURST_BEATS, "outstanding": OUTSTANDING,
        "banks": machine.plan.banks, "hazard_distance": hardware.hazard_distance,
        "phases": [phase_code(machine, names, phase, index)
                   for index, phase in enumerate(machine.products)],
        "sweeps": [sweep_code(machine, names, units, states, index)
                   for index in range(len(machine.graph.sweeps))],
        **run_codes(machine, names), **_parts(machine, names),
        "units": list(units.values()), "states": states,
        "state_beats": machine.state_beats,
        "captures": _captures(machine, names), "parameters": _parameters(machine, names),
        "clamps": bool(machine.graph.of_kind("clamp")),
        "takes_means": bool(machine.graph.of_kind("mean")),
        "step_arrays": _step_arrays(machine, names),
        "frame_arrays": [
            {"name": names.array(array), "positions": array.positions,
             "about": one_line(array.name), "storage": storage_code(machine.memory_of(array))}
            for array in machine.kept.frames
        ],
        "buffers_frames": bool(machine.kept.frames), "max_steps": machine.max_steps,
        "limits_steps": machine.max_steps is not None,
        "all_steps": steps,
        "all_frames": f"{steps} * INTERLEAVE" if hardware.interleave > 1 else steps,
        "frames_of_once": "INTERLEAVE" if hardware.interleave > 1 else "1",
        "length_names": lengths,
        "length_parameters": [f"unsigned {length}" for length in lengths],
        "scalars": ["steps", *lengths, "start", "reload", "store"],
        "ports": [port.name for port in machine.memory_ports],
        "streams_io": machine.streams_io,
        "tables": table_functions(machine.graph, names.table, machine.table_copies),
        "segments": [
            {"name": one_line(segment), "constant": names.segment(segment), "base": base}
            for segment, base in machine.kept.activations.base.items()
        ],
        **{f"{stream.name.removesuffix('s')}_stream_depth": stream.depth
           for stream in machine.streams},
        "io_bits": machine.beats.io_bits,
    }  # fmt: skip
    context |= _widths(machine) | _operands(machine) | _ends(machine, golden_steps)
    context |= _chunks(machine) | _stored(machine)
    context |= bank_code(machine, names, units, states) if machine.programs else no_bank()
    return context | {"constant_names": _constant_names(context)}


def _constant_names(context: dict[str, Any]) -> list[str]:
    """The constants of config.h and ports.h that have one name in every kernel."""
    names = [
        "PES", "GROUP_PES", "GROUPS", "LANES", "CELL_UNITS", "IO_CHUNK",
        "PARAMETER_CHUNK", "RESULT_CHUNK", "RESULT_POSITIONS",
        "STATE_BEATS", "PARAMETER_BEATS", "STATE_STREAM_DEPTH", "PARAMETER_STREAM_DEPTH",
        "BANKS", "BEAT_BITS", "PART_BITS", "BEAT_PARTS", "ENTRY_BITS", "IO_BITS",
        "IO_PER_BEAT", "PARAMETER_BITS", "PARAMETERS_PER_BEAT", "INPUTS", "INPUT_POSITIONS",
        "OUTPUTS", "X_BEATS", "Y_BEATS", "BEAT_STREAM_DEPTH", "WORD_STREAM_DEPTH",
        "FRAME_STREAM_DEPTH", "RESULT_STREAM_DEPTH", "START_ZERO", "START_GIVEN", "START_CARRIED",
        "PHASES",
    ]  # fmt: skip
    form: KernelFormat = context["format"]
    if context["is_bank"]:
        return names + _constants_of_banks(context)
    names += ["VECTOR_DEPTH", "ACC_DEPTH"]
    names += [f"{form.name}_{table}".upper() for table in form.tables[0]]
    is_broadcast = context["is_broadcast"]
    names += ["QUEUE_DEPTH", "FEED_DEPTH"] if is_broadcast else ["COPY_PES", "GROUP_COPIES"]
    names += ["WEIGHT_PORTS"] + ["STORED_WORDS", "WEIGHT_BEATS"] * context["on_chip"]
    names += ["MAX_STEPS"] if context["limits_steps"] else []
    names += (
        ["MAX_PACKETS", "COPIED", "KEPT", "SIBLINGS", "SUM_ROWS"] if context["overlaps"] else []
    )
    names += (
        ["SHARED_ROWS", "SHARED_BANKS", "LEVELS", "OWNER", "OWN_ROW"] if context["parts"] else []
    )
    names += _names_of_operands(context)
    return names + (["POSITION_OF"] if context["output_order"] else [])


def _constants_of_banks(context: dict[str, Any]) -> list[str]:
    names = ["ROWS", "HELD", *["INTERLEAVE"] * context["takes_turns"]]
    names += ["SLOTS"] * bool(context["slots"])
    names += [*(region["constant"] for region in context["regions"])]
    for sweep in context["programs"]:
        names += [sweep["constant"], *(table["name"] for table in sweep["tables"])]
    names += ["WEIGHT_PORTS"] + ["STORED_WORDS", "WEIGHT_BEATS"] * context["on_chip"]
    names += ["MAX_STEPS"] if context["limits_steps"] else []
    names += _names_of_operands(context)
    names += ["SIBLINGS_OF"] if context["is_aligned"] else []
    return names + (["POSITION_OF"] if context["output_order"] else [])


def _names_of_operands(context: dict[str, Any]) -> list[str]:
    has_operands = context["is_aligned"] or context["is_scattered"]
    names = ["OPERANDS", "OPERAND_END"] if has_operands else []
    names += ["ALIGN"] if context["is_aligned"] else []
    return names + (["OPERAND_BASE"] if context["is_scattered"] else [])


def _step_arrays(machine: Machine, names: Names) -> list[dict[str, Any]]:
    """Arrays with an element of every lane at each position: states, and what a step keeps."""
    kept = machine.kept
    arrays = [kept.array_of(state) for state in kept.states if state.has_array]
    arrays += [kept.next_of(state) for state in kept.states if state.is_deferred]
    arrays += [*kept.carries, *kept.captures]
    return [
        {"name": names.array(array), "cpp": plain_cpp(array.type), "positions": array.positions,
         "storage": storage_code(machine.memory_of(array))}
        for array in arrays
    ]  # fmt: skip


def _parts(machine: Machine, names: Names) -> dict[str, Any]:
    """The tables of shared rows, and the adder over all PEs."""
    codes = parts_codes(machine, names)
    pes = machine.hardware.pes
    return {
        "parts": codes, "parts_interval": PARTS_INTERVAL, "levels": tree_levels(pes),
        "shared_banks": machine.shared_banks,
        "most_parts": max((code["rows"] for code in codes), default=0),
        "parts_bits": {
            "first": machine.rows.depth.bit_length(),
            "rows": sum(code["rows"] for code in codes).bit_length(),
        },
    }  # fmt: skip


def _captures(machine: Machine, names: Names) -> list[dict[str, Any]]:
    kept, found = machine.kept, []
    for node in machine.graph.of_kind("capture"):
        kept_in = kept.find(kept.captures, node)
        array = names.array(kept_in) if kept_in is not None else None
        segment = kept.segment(node.sweep, node.name)
        base = names.segment(segment) if segment is not None else None
        if not base and not array:
            continue
        found.append({
            "base": base, "array": array, "label": base or array,
            "positions": machine.plan.positions(node.name), "empty": empty_capture(node),
            "cpp": plain_cpp(node.tensor.type), "loop": names.loop("clear", node.name),
            "packets": packets_code(machine, names, segment)
            if has_packets(machine) and segment else None,
            "write": write_code(machine, segment)
            if machine.hardware.is_bank and segment else None,
        })  # fmt: skip
    return found


def _parameters(machine: Machine, names: Names) -> list[dict[str, Any]]:
    kept = machine.kept.parameters
    offsets = parameter_offsets([array.positions for array in kept], machine.hardware.beat_bits)
    return [
        {"name": names.array(array), "cpp": plain_cpp(array.type), "positions": array.positions,
         "first_beat": beat, "storage": storage_code(machine.memory_of(array))}
        for array, beat in zip(kept, offsets, strict=False)
    ]  # fmt: skip


def _widths(machine: Machine) -> dict[str, Any]:
    graph = machine.graph
    deepest = max(graph.of_kind("matvec"), key=lambda node: node.tensor.type.width)
    widest = kernel_format(codes := [product.code for product in machine.plan.products])
    factor_bits, aligns_weight = factor_width(machine)
    slots = max(code.slots for code in codes)
    return {
        "format": widest, "entry_bits": sum(field.bits for field in widest.fields),
        "field_places": _field_places(widest),
        "activation_bits": machine.activation_bits, "acc_bits": machine.accumulator_bits,
        "factor_bits": factor_bits, "aligns_weight": aligns_weight,
        "product_bits": min(factor_bits + machine.activation_bits, machine.accumulator_bits),
        "proof": {"name": one_line(deepest.name), "lo": deepest.tensor.lo, "hi": deepest.tensor.hi},
        "vector_depth": machine.kept.activations.depth,
        "acc_depth": machine.rows.depth,
        **_arrays_of_groups(machine),
        "streams_in_luts": [
            memory.name for memory in machine.memories_of("streams") if memory.impl == "lutram"
        ],
        "column_bits": max(code.columns for code in codes).bit_length(),
        "slot_bits": (2 * slots).bit_length(),
        "max_columns": max(code.columns for code in codes),
        "max_words": max(code.words for code in codes),
        "phase_bits": {
            "id": max(len(codes) - 1, 1).bit_length(),
            "words": max(code.words for code in codes).bit_length(),
            "base": machine.kept.activations.depth.bit_length(),
            "slots": slots.bit_length(),
            "columns": max(code.columns for code in codes).bit_length(),
            "sibling_bits": 3, "way_bits": 3, "row": machine.rows.depth.bit_length(),
        },
    }  # fmt: skip


def factor_width(machine: Machine) -> tuple[int, bool]:
    """Bits of what an activation is multiplied by, and whether it is the aligned weight.

    Where it still fits a multiplier the weight is shifted before the product; its sum is the same.
    """
    widest = kernel_format([product.code for product in machine.plan.products])
    weight_bits = next(field.bits for field in widest.fields if field.name == "weight")
    most = max((shift for phase in machine.products for row in phase.aligns for shift in row),
               default=0)  # fmt: skip
    if weight_bits + most <= MULTIPLIER_BITS:
        return weight_bits + most, True
    return weight_bits, False


def _stored(machine: Machine) -> dict[str, Any]:
    """The memories of the weights, if they stay on chip; turns of the loop that unpacks words."""
    word_bits = machine.groups.group_pes * max(
        product.code.entry_bits for product in machine.plan.products
    )
    turns = max(turns_of(machine, run) for run in machine.stored_runs)
    found: dict[str, Any] = {"is_wide": word_bits > machine.hardware.beat_bits, "max_turns": turns}
    if machine.on_chip:
        memory = machine.memory("weights")
        found |= {"stored_words": memory.depth, "stored_impl": memory.impl,
                  "stored_bits": memory.depth.bit_length()}  # fmt: skip
    return found


def _arrays_of_groups(machine: Machine) -> dict[str, Any]:
    """Copies of the activations and accumulators: each group has its own."""
    if machine.hardware.is_bank:
        return {"vectors": [], "acc_arrays": []}
    vectors, accs = _vectors(machine), acc_arrays(machine)
    return {
        "vectors": vectors, "vector_storage": _vector_storage(machine),
        "acc_storage": storage_code(machine.memory("accumulators")),
        "spans": spans_of(machine.groups.groups, vectors, accs), **arrays_code("acc", accs),
    }  # fmt: skip


def _vectors(machine: Machine) -> list[GroupArray]:
    """The arrays of the activations' copies: one, or one for the groups of each kind of memory."""
    parts = machine.memories_of("activations")
    of_group = sum(part.count for part in parts) // machine.groups.groups or 1
    ends = accumulate(part.count // of_group for part in parts)
    return group_arrays("vector", [range(first, end) for first, end in pairwise([0, *ends])])


def _vector_storage(machine: Machine) -> list[dict[str, Any]]:
    """Of each of them. All groups run the same function, so where kinds of memory differ all are
    read as late as the slowest."""
    parts = machine.memories_of("activations")
    slowest = {"latency": 2} if len(parts) > 1 else {}
    return [{**(storage_code(part) or {}), **slowest} for part in parts]


def _chunks(machine: Machine) -> dict[str, Any]:
    """How many elements move in a cycle between beats and packets."""
    units, bits = machine.hardware.cell_units, machine.hardware.beat_bits
    io = math.gcd(units, machine.beats.per_beat)
    parameter = math.gcd(units, parameter_ports(bits).per_beat)
    return {
        "io_chunk": io,
        "parameter_chunk": parameter,
        "result_chunk": machine.result_chunk,
        "sizes": {"IO_CHUNK": io, "PARAMETER_CHUNK": parameter},
        "parameter_beats": next(
            (port.beats for port in machine.ports if port.name == "parameters"), 0
        ),
    }


def _field_places(form: KernelFormat) -> list[str]:
    """The lowest bit of each field of an entry, in C++."""
    widths = [f"{field.name}_t::width" for field in form.fields]
    return [f"({' + '.join(widths[:index])})" for index in range(len(widths))]


def _operands(machine: Machine) -> dict[str, Any]:
    """Tables of the phases' operands, padded to the same size: shifts, ends and bases."""
    phases = machine.products
    operands = max(len(phase.nodes.operands) for phase in phases)
    siblings = max(phase.product.code.siblings for phase in phases if phase.product)
    rows = []
    for phase in phases:
        missing = operands - len(phase.nodes.operands)
        aligns = [[*row, *([0] * missing)] for row in phase.aligns]
        rows.append({
            "name": one_line(phase.name),
            "aligns": aligns + [[0] * operands] * (siblings - len(aligns)),
            "ends": [*phase.operand_ends[:-1], *([NEVER] * (missing + 1))],
            "bases": [*phase.operand_bases, *([0] * missing)],
        })  # fmt: skip
    return {
        "operand_tables": rows, "max_operands": operands, "max_siblings": siblings,
        "operand_bits": operand_bits(phases),
        "is_aligned": any(shift for phase in phases for row in phase.aligns for shift in row),
        "is_scattered": any(phase.is_scattered for phase in phases),
    }  # fmt: skip


def _ends(machine: Machine, golden_steps: int) -> dict[str, Any]:
    """The network's two ends: input and output frames, and the depths of the ports."""
    source, output = machine.input, machine.output
    order = list(machine.output_order)
    is_once = machine.is_once(output.sweep)
    depths = {
        port.name: port.beats * (golden_steps if port.is_per_step else 1) for port in machine.ports
    }
    return {
        "inputs": source.tensor.length, "input_positions": machine.plan.positions(source.name),
        "outputs": output.tensor.length,
        "x_beats": machine.port("x").beats, "y_beats": machine.port("y").beats,
        "is_once": is_once, "result_positions": machine.result_positions,
        "output_order": [] if order == list(range(len(order))) else order,
        "position_type": "unsigned short" if machine.result_positions <= 1 << 16 else "unsigned",
        "is_argmax": machine.is_argmax, "argmax_length": len(order),
        "depth": {**depths, "weights": machine.port("weights_0").beats},
    }  # fmt: skip
