"""What the kernel's constants and tables must be, by graph and manifest alone.

The kernel is what is synthesised, and its tables are larger than any simulation visits. So
``penstock check`` has the compiled kernel print all of them, and compares each with what is
worked out here, from the graph and the manifest and from nothing that wrote the kernel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from penstock.fixed import IntArray
from penstock.formats import Bank, PhaseCode
from penstock.formats.kernel import kernel_format
from penstock.formats.rows import CHAIN_DISTANCE
from penstock.ir import Graph, Value
from penstock.ir.op import Step
from penstock.ops import Lut
from penstock.ops.matvec import MatVec
from penstock.packing.manifest import Manifest
from penstock.packing.programs import images_of
from penstock.packing.vectors import (
    PARAMETER_BITS,
    START_CARRIED,
    START_GIVEN,
    START_ZERO,
    parameter_offsets,
    parameter_ports,
)
from penstock_runtime.agreement import activation_bits, results_of
from penstock_runtime.golden import result_bytes
from penstock_runtime.project import Project

HAZARDS = "kernel/pe_array.h"
PROGRAMS = "kernel/cell_unit.h"
"""Where the pipelines of the bank dataflow are."""
TOP = "kernel/lstm_top.cpp"
AXI_PORT = r"^\s*#\s*pragma\s+HLS\s+INTERFACE\s+(.*m_axi.*)$"
NO_OPERAND = 1 << 31
MULTIPLIER_BITS = 27
"""A weight is aligned before it is multiplied where it then is no wider."""
PACKET_DEPTH = 2
FEED_DEPTH = 16
PART_BITS = 64
"""The kernel takes beats apart in integers of a processor."""
Constants = dict[str, list[int]]
Promises = dict[str, tuple[list[str], int | None]]
"""Variable -> DEPENDENCE pragmas of it, as they must be written, and the distance they name."""
ONCE_EACH = (["inter false"], None)
"""Of a memory whose addresses a loop visits once each."""


@dataclass(frozen=True)
class WrongConstant:
    """A constant on which the kernel and the project's graph and manifest disagree."""

    name: str
    index: int | None
    expected: int | None
    kernel: int | None

    def __str__(self) -> str:
        entry = "" if self.index is None else f", entry {self.index}"
        expected, got = (
            "nothing" if value is None else str(value) for value in (self.expected, self.kernel)
        )
        return f"{self.name}{entry}: {expected} by graph and manifest, the kernel has {got}"


def parse_constants(text: str) -> Constants:
    """What the test bench prints with --constants: name -> values."""
    found: Constants = {}
    for line in text.splitlines():
        name, _, values = line.rpartition(":")
        found[name] = [int(value) for value in values.split()]
    return found


def wrong_constants(expected: Constants, kernel: Constants) -> list[WrongConstant]:
    """The first difference of each constant that differs."""
    return [
        found
        for name in (*expected, *sorted(kernel.keys() - expected.keys()))
        if (found := _first_difference(name, expected.get(name), kernel.get(name))) is not None
    ]


def _first_difference(
    name: str, expected: list[int] | None, kernel: list[int] | None
) -> WrongConstant | None:
    if expected is None or kernel is None:
        one = (expected or kernel or [0])[0]
        return WrongConstant(
            name, None, one if kernel is None else None, one if expected is None else None
        )
    for index in range(max(len(expected), len(kernel))):
        pair = [values[index] if index < len(values) else None for values in (expected, kernel)]
        if pair[0] != pair[1]:
            return WrongConstant(name, index if len(expected) > 1 else None, *pair)
    return None


def wrong_pragmas(folder: Path, manifest: Manifest) -> list[WrongConstant]:
    """What the PE array promises the synthesis tool and C++ can't read, read from its text.

    The loop over the words, or over a PE's entries, promises the distances that are proven from the
    packed words, and that no packet overwrites what a word of the same run reads. A drain visits
    each row once. So does what adds up shared rows: their parts are in other rows than those that
    take the sums.
    """
    if manifest.kernel.programs:
        return [*_wrong_in(folder, PROGRAMS, _promises_of_programs(manifest)),
                *_wrong_in(folder, HAZARDS, {})]  # fmt: skip
    overlaps = bool(manifest.kernel.runs)
    words: Promises = {"acc": ([f"inter RAW distance={manifest.kernel.hazard_distance} true"],
                               manifest.kernel.hazard_distance)}  # fmt: skip
    if overlaps:
        words["vector"] = (
            [f"inter RAW distance={CHAIN_DISTANCE} true", "inter WAR false"], CHAIN_DISTANCE,
        )  # fmt: skip
    accumulators = _names("acc", manifest, max(phase.banks for phase in manifest.phases))
    sums = _names("sums", manifest, max(phase.siblings for phase in manifest.phases))
    drained: Promises = dict.fromkeys([*accumulators, *sums], ONCE_EACH) if overlaps else {}
    shares = any(phase.shared for phase in manifest.phases)
    added: Promises = dict.fromkeys(accumulators, ONCE_EACH) if shares else {}
    array = "spmv_group" if manifest.queue_depth is None else "spmv_pe"
    return _wrong_in(folder, HAZARDS, {array: words, "add_parts": added}, drained)


def wrong_depths(project: Project) -> list[WrongConstant]:
    """The memory ports whose ``depth`` is less than what cosimulation moves in a golden call: it
    would read and write beyond the buffer that it makes.
    """
    text = re.sub(r"\\\n\s*", "", (project.folder / TOP).read_text(errors="replace"))
    found = []
    for pragma in re.findall(AXI_PORT, text, re.M | re.I):
        port, depth = (re.search(rf"\b{key}\s*=\s*(\w+)", pragma) for key in ("port", "depth"))
        needed = _beats_of_ports(project).get(port[1] if port else "")
        has = int(depth[1]) if depth and depth[1].isdecimal() else None
        if needed is not None and (has is None or has < needed):
            assert port is not None
            found.append(WrongConstant(f"depth of port {port[1]} in {TOP}", None, needed, has))
    return found


def _beats_of_ports(project: Project) -> dict[str, int]:
    """Beats of each memory port in a golden call."""
    ports, manifest = project.ports, project.manifest
    sizes = result_bytes(project, manifest.golden.steps)
    y, state = (size * 8 // ports.port_bits for size in sizes)
    parameters = [project.layout(name).positions for name in manifest.parameters]
    weights = manifest.file_bytes().values()
    return {
        "x": manifest.golden.steps * ports.beats(project.inputs), "y": y,
        "state_in": state, "state_out": state,
        "parameters": parameter_offsets(parameters, ports.port_bits)[-1],
        **{f"weights_{n}": size * 8 // ports.port_bits for n, size in enumerate(weights)},
    }  # fmt: skip


def _promises_of_programs(manifest: Manifest) -> dict[str, Promises]:
    """The loop of each sweep: what is written is read no sooner than its program was proven for."""
    return {
        f"run_sweep_{sweep}": {
            name: ([f"inter RAW distance={distance} true"], distance)
            for name, distance in program.promises.items()
        }
        for sweep, program in enumerate(manifest.kernel.programs)
    }  # fmt: skip


def _wrong_in(
    folder: Path, file: str, known: dict[str, Promises], drained: Promises | None = None
) -> list[WrongConstant]:
    """The promises of a file's functions that are not the ``known`` ones; drained: of drains."""
    stated = _pragmas((folder / file).read_text(errors="replace"))
    found = []
    for function in dict.fromkeys([*known, *stated]):
        own = stated.get(function, {})
        wanted = known.get(function, drained or {} if function.endswith("_drain") else {})
        for variable in dict.fromkeys([*wanted, *own]):
            promises, distance = wanted.get(variable, ([], None))
            if own.get(variable, []) != promises:
                numbers = re.findall(r"distance\s*=\s*(\d+)", " ".join(own.get(variable, [])))
                name = f"DEPENDENCE pragma of {variable or 'no variable'} in {function}, {file}"
                kernel = int(numbers[0]) if len(numbers) == 1 else None
                found.append(WrongConstant(name, None, distance, kernel))
    return found


def _names(kind: str, manifest: Manifest, memories: int) -> list[str]:
    """The arrays in which every PE has so many memories of a kind."""
    count = len(manifest.pe_groups.in_arrays(memories))
    return [kind] if count == 1 else [f"{kind}_{number}" for number in range(count)]


def _pragmas(text: str) -> dict[str, dict[str, list[str]]]:
    """The DEPENDENCE pragmas of each function of an emitted file, by the variable they name."""
    found: dict[str, dict[str, list[str]]] = {}
    function = ""
    for line in text.splitlines():
        if head := re.match(r"(?:static|inline)\b[^(]*?(\w+)\(", line):
            function = head[1]
        if pragma := re.match(r"\s*#\s*pragma\s+HLS\s+DEPENDENCE\s+(.*\S)", line, re.IGNORECASE):
            variable = re.search(r"variable\s*=\s*(\w+)\s*", pragma[1])
            rest = pragma[1].replace(variable[0], "") if variable else pragma[1]
            own = found.setdefault(function, {})
            own.setdefault(variable[1] if variable else "", []).append(rest)
    return found


def expected_constants(project: Project) -> Constants:
    """Every line that the test bench must print."""
    graph, manifest = project.graph, project.manifest
    found = _sizes(project) | _depths(project) | _widths(graph, manifest)
    if manifest.kernel.programs:
        found |= _programs(manifest)
    else:
        found |= _phases(manifest) | _parts(manifest)
    found |= _operands(graph, manifest)
    found |= {f"segment {name}": [base] for name, base in manifest.kernel.segments.items()}
    for state, layout in project.state_layouts.items():
        filled = [int(element >= 0) for element in layout.order]
        if not all(filled):
            found[f"filled {state}"] = filled
    order, _ = _result_order(project)
    if order != list(range(len(order))):
        found["POSITION_OF"] = order
    return found | dict(_tables(graph))


def _sizes(project: Project) -> Constants:
    manifest, ports = project.manifest, project.ports
    inputs = project.graph.of_kind("input")[0].name
    units = manifest.kernel.elements_per_cycle
    runs = manifest.kernel.runs
    copy_pes = manifest.kernel.copy_pes
    parameters = [project.layout(name).positions for name in manifest.parameters]
    per_beat = parameter_ports(ports.port_bits).per_beat
    values = {
        "PES": manifest.pes, "GROUP_PES": manifest.group_pes, "GROUPS": manifest.groups,
        "LANES": ports.lanes_at_once, "CELL_UNITS": manifest.kernel.elements_per_cycle,
        "BEAT_BITS": ports.port_bits, "PART_BITS": PART_BITS,
        "BEAT_PARTS": ports.port_bits // PART_BITS, "IO_BITS": ports.io_bits,
        "IO_PER_BEAT": ports.per_beat, "PARAMETER_BITS": PARAMETER_BITS,
        "PARAMETERS_PER_BEAT": per_beat,
        "IO_CHUNK": math.gcd(units, ports.per_beat),
        "PARAMETER_CHUNK": math.gcd(units, per_beat), "RESULT_CHUNK": manifest.kernel.result_chunk,
        "RESULT_POSITIONS": _result_order(project)[1],
        "STATE_BEATS": sum(ports.beats(own.positions) for own in project.state_layouts.values()),
        "PARAMETER_BEATS": parameter_offsets(parameters, ports.port_bits)[-1],
        "INPUTS": project.inputs, "INPUT_POSITIONS": project.layout(inputs).positions,
        "OUTPUTS": project.outputs, "X_BEATS": ports.beats(project.inputs),
        "Y_BEATS": ports.beats(project.outputs), "PHASES": len(manifest.phases),
        "START_ZERO": START_ZERO, "START_GIVEN": START_GIVEN, "START_CARRIED": START_CARRIED,
    }  # fmt: skip
    if manifest.interface.max_steps is not None:
        values["MAX_STEPS"] = manifest.interface.max_steps
    form = manifest.phases[0].format
    if isinstance(form, Bank):
        turns = {"INTERLEAVE": ports.interleave} if ports.interleave > 1 else {}
        values |= (
            turns
            | {"ROWS": form.rows, "BANKS": form.banks, "HELD": _held(manifest)}
            | _slots(manifest)
            | _regions(project, form.banks)
        )
    else:
        values |= {
            "VECTOR_DEPTH": manifest.kernel.vector_depth,
            "BANKS": max(phase.banks for phase in manifest.phases),
            "ACC_DEPTH": manifest.kernel.accumulator_rows,
        }
    if isinstance(form, Bank):
        pass
    elif manifest.queue_depth is None:
        values |= {"COPY_PES": copy_pes, "GROUP_COPIES": -(-manifest.group_pes // copy_pes)}
    else:
        values |= {"QUEUE_DEPTH": manifest.queue_depth, "FEED_DEPTH": FEED_DEPTH}
    is_kept = manifest.weights == "onchip"
    values["WEIGHT_PORTS"] = 1 if is_kept else manifest.groups
    if is_kept:
        values["STORED_WORDS"] = sum(run.words for run in manifest.runs)
        size = sum(manifest.file_bytes().values())
        values["WEIGHT_BEATS"] = size * 8 // ports.port_bits
    if runs:
        names = {name for phase in manifest.phases for name, _ in phase.operands}
        longest = max(manifest.layouts[name].positions for name in names)
        values |= {
            "MAX_PACKETS": longest // units,
            "COPIED": max(phase.packet for phase in manifest.phases),
            "KEPT": 1 + max(run[-1] for run in runs.values()),
            "SIBLINGS": max(phase.siblings for phase in manifest.phases),
            "SUM_ROWS": max(phase.rows_per_pe for phase in manifest.phases),
        }  # fmt: skip
    return {name: [value] for name, value in values.items()}


def _regions(project: Project, banks: int) -> dict[str, int]:
    """Addresses of a bank in each region: up to the end of the vectors that are gathered there; a
    power of two where sequences that take turns, or two images, have so many each.
    """
    kernel = project.manifest.kernel
    ends: dict[int, int] = {}
    for number, phase in zip(kernel.reads, project.manifest.phases, strict=True):
        bases = kernel.operand_bases[project.manifest.phases.index(phase)]
        first = 0
        for (layout, columns), base in zip(phase.operands, bases, strict=True):
            positions = project.manifest.layouts[layout].positions
            ends[number] = max(ends.get(number, 0), base + first + -(-positions // banks))
            first += -(-columns // banks)
    images = images_of(project.manifest)
    for number, end in ends.items():
        if project.ports.interleave > 1 or number in images:
            ends[number] = 1 << (end - 1).bit_length()
    return {f"REGION_{number}_DEPTH": end for number, end in ends.items()}


def _slots(manifest: Manifest) -> dict[str, int]:
    """Turns whose sums are kept, in any program."""
    programs = manifest.kernel.programs
    is_needed = any(any(program.begins) for program in programs)
    return {"SLOTS": 1 + max(max(own.slot) for own in programs)} if is_needed else {}


def _held(manifest: Manifest) -> int:
    """Turns that a unit takes at once, in any phase."""
    units = manifest.kernel.elements_per_cycle
    return max(units // code.format.owners(code, manifest.pes) or 1 for code in manifest.phases)


def _programs(manifest: Manifest) -> Constants:
    """The program of each sweep, field by field; of those that are 0 throughout there is none."""
    found: Constants = {}
    for sweep, program in enumerate(manifest.kernel.programs):
        found[f"SWEEP_{sweep}_CYCLES"] = [len(program.phase)]
        for field in (
            "phase",
            "begins",
            "ends",
            "slot",
            "acting",
            "part",
            "move",
            "index",
            "word_sequence",
            "sequence",
            "at",
        ):
            values = list(getattr(program, field))
            if any(values):
                found[f"SWEEP_{sweep}_{field.upper()}"] = values
    return found


def _depths(project: Project) -> Constants:
    """Streams of weights as the compiler chose; of frames and results, those of a step."""
    kernel, turns = project.manifest.kernel, project.ports.interleave
    inputs = project.layout(project.graph.of_kind("input")[0].name).positions
    _, results = _result_order(project)
    return {
        "BEAT_STREAM_DEPTH": [kernel.beat_depth], "WORD_STREAM_DEPTH": [kernel.word_depth],
        "STATE_STREAM_DEPTH": [PACKET_DEPTH], "PARAMETER_STREAM_DEPTH": [PACKET_DEPTH],
        "FRAME_STREAM_DEPTH": [max(2, turns * inputs // kernel.elements_per_cycle)],
        "RESULT_STREAM_DEPTH": [max(2, turns * results // kernel.elements_per_cycle)],
    }  # fmt: skip


def _result_order(project: Project) -> tuple[list[int], int]:
    """Output element -> position among the results, and how many positions there are."""
    first: dict[str, int] = {}
    positions = 0
    for name in project.manifest.kernel.results:
        first[name] = positions
        positions += project.layout(name).positions
    order: list[int] = []
    for node in results_of(project.graph):
        order += (first[node.name] + project.layout(node.name).position_of).tolist()
    return order, positions


def _widths(graph: Graph, manifest: Manifest) -> Constants:
    """Bits of the types through which weights, activations and sums pass."""
    phases = manifest.phases
    acc_bits = max(node.tensor.type.width for node in graph.of_kind("matvec"))
    fields = kernel_format(phases).fields
    weight_bits = next(field.bits for field in fields if field.name == "weight")
    shift = max((max(MatVec.aligns(*(node.tensor for node in graph.inputs(product))))
                 for product in graph.of_kind("matvec")), default=0)  # fmt: skip
    factor_bits = weight_bits + shift if weight_bits + shift <= MULTIPLIER_BITS else weight_bits
    found = {
        **{f"{field.name}_t": [field.bits] for field in fields},
        "ENTRY_BITS": [sum(field.bits for field in fields)],
        "activation_t": [activation_bits(graph)],
        "io_t": [manifest.interface.io_bits],
        **({"axis_t": [manifest.port_bits]} if manifest.interface.io == "stream" else {}),
        "acc_t": [acc_bits],
        "factor_t": [factor_bits],
        "product_t": [min(factor_bits + activation_bits(graph), acc_bits)],
    }
    if manifest.kernel.programs:
        return found
    found["slot_t"] = [(2 * max(phase.slots for phase in phases)).bit_length()]
    if manifest.queue_depth is None:
        found["column_t"] = [max(phase.columns for phase in phases).bit_length()]
    return found


def _phases(manifest: Manifest) -> Constants:
    """Each phase's sizes, and the tables by which its entries are read."""
    form = kernel_format(manifest.phases)
    ends = np.cumsum([run.words for run in manifest.runs]).tolist()
    stored_at = {
        (run.phase, run.first): end - run.words
        for run, end in zip(manifest.runs, ends, strict=True)
    }
    found: Constants = {
        f"{form.name}_{table}".upper(): [value for own in form.tables for value in own[table]]
        for table in form.tables[0]
    }
    for index, phase in enumerate(manifest.phases):
        found[f"phase {phase.name}"] = [
            index, phase.words, manifest.kernel.operand_bases[index][0], phase.slots,
            *([] if manifest.queue_depth is None else [phase.columns]),
            phase.siblings.bit_length() - 1, phase.ways.bit_length() - 1,
        ]  # fmt: skip
        if manifest.kernel.runs:
            found[f"phase {phase.name}"].append(manifest.kernel.first_rows[index])
        elif manifest.weights == "onchip":
            found[f"phase {phase.name}"].append(stored_at[index, 0])
    for name, fields in manifest.kernel.runs.items():
        index, first, words, *_ = fields
        at = [stored_at[index, first] if words else 0] * (manifest.weights == "onchip")
        found[f"run {name}"] = [*fields, *at]
    return found


def _parts(manifest: Manifest) -> Constants:
    """Of shared rows: where the parts are in every PE, and the PE and row where their sum goes."""
    found: Constants = {}
    owners: list[int] = []
    rows: list[int] = []
    for index, phase in enumerate(manifest.phases):
        first = manifest.kernel.first_rows[index]
        slots, pes = np.divmod(
            manifest.layouts[phase.rows].position_of[list(phase.shared)], manifest.pes
        )
        if phase.shared:
            found[f"parts {phase.name}"] = [
                first + phase.rows_per_pe, len(phase.shared), len(owners)
            ]  # fmt: skip
        owners += pes.tolist()
        rows += (first + slots).tolist()
    if owners:
        found |= {"SHARED_ROWS": [len(owners)], "OWNER": owners, "OWN_ROW": rows}
        found |= {"LEVELS": [(manifest.pes - 1).bit_length()]}
        found |= {"SHARED_BANKS": [max(p.banks for p in manifest.phases if p.shared)]}
    return found


def _operands(graph: Graph, manifest: Manifest) -> Constants:
    """Where operands end and lie, and left shifts of products of different scales, if needed."""
    operands = max(len(phase.operands) for phase in manifest.phases)
    siblings = max(phase.siblings for phase in manifest.phases)
    shifts = np.zeros((len(manifest.phases), siblings, operands), dtype=np.int64)
    ends = np.full((len(manifest.phases), operands), NO_OPERAND)
    bases = np.zeros((len(manifest.phases), operands), dtype=np.int64)
    for index, phase in enumerate(manifest.phases):
        for m, (matvec, own) in enumerate(zip(phase.matvecs, phase.gathers, strict=True)):
            aligns = MatVec.aligns(*(node.tensor for node in graph.inputs(graph[matvec])))
            shifts[index, m, list(own)] = aligns
        ends[index, : len(phase.operands) - 1] = _first_columns(phase)[1:]
        bases[index, : len(phase.operands)] = manifest.kernel.operand_bases[index]
    found: Constants = {}
    is_scattered = any(len(set(own)) > 1 for own in manifest.kernel.operand_bases)
    if shifts.any() or is_scattered:
        found |= {"OPERANDS": [operands], "OPERAND_END": ends.ravel().tolist()}
    if shifts.any():
        found["ALIGN"] = shifts.ravel().tolist()
        if manifest.kernel.programs:
            found["SIBLINGS_OF"] = [phase.siblings for phase in manifest.phases]
    if is_scattered:
        found["OPERAND_BASE"] = bases.ravel().tolist()
    return found


def _first_columns(phase: PhaseCode) -> list[int]:
    """The first column of each operand, or its first address in a bank."""
    if not isinstance(phase.format, Bank):
        return phase.first_columns()
    depths = [-(-columns // phase.format.banks) for _, columns in phase.operands]
    return [sum(depths[:k]) for k in range(len(depths))]


def _tables(graph: Graph) -> Iterator[tuple[str, list[int]]]:
    """Every entry of every table, and what its function makes of them."""
    for node in graph.of_kind("lut"):
        x, *tables = graph.inputs(node)
        op = cast(Lut, node.op)
        values = [Value(cast(IntArray, table.tensor.constant), table.tensor.type)
                  for table in tables]  # fmt: skip
        for table, value in zip(tables, values, strict=True):
            yield f"table {table.name}", value.raw.tolist()
        width = x.tensor.type.width
        entry = np.arange(0, 1 << width, 1 << op.interpolate_bits)
        codes = np.stack([entry, entry + (1 << op.interpolate_bits) - 1], axis=1).ravel()
        raw = codes - ((codes >> (width - 1)) << width)
        result = op.eval(cast(Step, None), Value(raw, x.tensor.type), *values)
        yield f"function {tables[0].name}", result.tolist()
