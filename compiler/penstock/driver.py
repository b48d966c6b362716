"""The pipeline in reading order: model -> types -> graph -> schedule -> bytes -> project folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from penstock.calibration import Ranges, calibrate, check_ranges
from penstock.calibration_data import frames_of
from penstock.choices import Network
from penstock.codegen.hls import emit_kernel, emit_project_files
from penstock.codegen.hls.bank import columns_of, promises
from penstock.codegen.hls.names import Names
from penstock.codegen.hls.steps import run_fields
from penstock.config import CONFIG, Origin, config_text
from penstock.errors import PenstockError, kind_of, warn
from penstock.fidelity import Fidelity, Trial, Validation, measure, trial_of
from penstock.fixed import FloatArray, IntArray
from penstock.folding import Folded, fold_inputs
from penstock.golden import GOLDEN_STARTS, golden_steps, golden_vectors
from penstock.ir import Graph
from penstock.ir.io import dump_graph
from penstock.ir.verify import verify
from penstock.lowering import lower
from penstock.machine import Machine
from penstock.machine.choose import choose
from penstock.machine.choose_banks import Plan
from penstock.machine.limits import check_memories, check_shapes, check_types
from penstock.machine.program import Touched
from penstock.machine.runs import word_runs
from penstock.model import RecurrentModel
from penstock.packing.manifest import Manifest, pack_group
from penstock.packing.schema import (
    Golden,
    Interface,
    KernelChoices,
    LoopFields,
    ProgramFields,
    WorkFields,
)
from penstock.packing.validate import Proof, validate
from penstock.packing.vectors import pack_parameters
from penstock.project import write_project
from penstock.report.notebook import compiled_line, compiled_table
from penstock.report.report import build_report, render_report
from penstock.report.sparsity import pictures, placed_matrices
from penstock.schedule import Schedule, schedule
from penstock.schedule.plan import constant_of
from penstock.settings import Balance, Hardware, Precision
from penstock.stages import Tell, tell_nobody, tell_stage


@dataclass(frozen=True, repr=False)
class Compiled:
    """What a compile gives. files: path -> content of the whole project folder.

    error: how far the graph is from the float network; None for a graph without one.
    """

    machine: Machine
    manifest: Manifest
    proof: Proof
    report: dict[str, Any]
    notes: list[str]
    error: Fidelity | None
    files: dict[str, bytes]

    @property
    def graph(self) -> Graph:
        """The network in integers."""
        return self.machine.graph

    @property
    def plan(self) -> Schedule:
        """Where everything runs."""
        return self.machine.plan

    def write(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the project folder, over edited files only with ``overwrite``.

        See ``project.write_project``.
        """
        if not isinstance(folder, str | PathLike):
            raise PenstockError(f"{kind_of(folder)} is not a path", "write", "give a folder's name")
        path = Path(folder)
        write_project(self.files, path, overwrite)
        return path

    def __repr__(self) -> str:
        return compiled_line(self.report)

    def _repr_html_(self) -> str:
        """Of a notebook."""
        return compiled_table(self.report, self.notes)


def compile_model(
    model: RecurrentModel,
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    calibration_name: str = "calibration",
    calibration_lengths: IntArray | None = None,
    calibration_states: Any = None,
    validation: Validation | None = None,
    strict: bool = False,
    balanced_for: Balance | None = None,
    origin: Origin | None = None,
    tell: Tell = tell_nobody,
) -> Compiled:
    """Compile a float model into a project.

    calibration: ranges, or typical frames to find them on: real numbers, (steps, inputs) or
    (sequences, steps, inputs), in the order of the model if it has the steps first, or the tokens
    of an embedding; without, normally distributed frames stand in, and a note says so.
    calibration_name: what errors call them. calibration_lengths: (sequences) steps of each; what
    lies beyond is not looked at. calibration_states: where the sequences begin: name -> (sequences,
    n), or PyTorch's (h_0, c_0). The graph is compared with the float network on these frames, or on
    those of ``validation``; beyond the limits of ``penstock.thresholds`` it warns (UserWarning),
    or, if ``strict``, refuses. balanced_for: what the masks are made for, if that is known; where
    none are given, such PEs are taken if they fit, such banks if none are much faster. origin: the
    files and settings behind the model, if it came from any. tell: takes the stage that begins, its
    number, and how many there are. Raises PenstockError for what the user can mend.
    """
    origin = origin or Origin(network=Network(strict=strict), precision=precision or Precision())
    tell_stage(tell, "calibrating")
    about = (calibration_lengths, calibration_states)
    ranges = ranges_of(model, calibration, calibration_name, *about)
    trial = trial_of(model, calibration, calibration_lengths, validation, calibration_name)
    tell_stage(tell, "choosing types")
    folded, graph = quantize(model, ranges, precision or Precision(), calibration_name)
    trial = trial.scaled(folded.exponents)
    notes = [*model.notes, *_notes(model, ranges), *folded.notes]
    compiled = compile_graph(
        graph,
        hardware,
        model.batch_first,
        folded.model,
        notes,
        folded.exponents,
        trial,
        balanced_for,
        origin,
        tell,
    )
    _judge(compiled, calibration_name, strict)
    return compiled


def ranges_of(
    model: RecurrentModel,
    calibration: FloatArray | Ranges | None,
    where: str,
    lengths: IntArray | None,
    states: Any,
) -> Ranges:
    """The ranges that are given, or those of the frames that are. Raises PenstockError."""
    is_frames = calibration is not None and not isinstance(calibration, Ranges)
    if not is_frames and (lengths is not None or states is not None):
        raise PenstockError(
            "calibration lengths or states were given without frames",
            where,
            "give the frames as well (--calibration)",
        )
    if isinstance(calibration, Ranges):
        check_ranges(model, calibration, where)
        return calibration
    return calibrate(model, frames_of(model, calibration, where), where, lengths, states)


def quantize(
    model: RecurrentModel, ranges: Ranges, precision: Precision, where: str
) -> tuple[Folded, Graph]:
    """The network with its inputs scaled, and the graph that it becomes. Raises PenstockError."""
    folded = fold_inputs(model, ranges, precision)
    try:
        return folded, lower(folded.model, folded.ranges, precision)
    except ValueError as error:
        raise PenstockError(
            f"these number formats can't be combined: {error}",
            where,
            "choose other widths or types, or calibrate on typical frames",
        ) from error


def _judge(compiled: Compiled, where: str, strict: bool) -> None:
    """Warn of what is beyond the thresholds, or refuse it."""
    found = compiled.error.warnings if compiled.error is not None else []
    if found and strict:
        raise PenstockError(
            "; ".join(found),
            where,
            "calibrate on typical frames, give more bits, or leave out --strict",
        )
    for warning in found:
        warn(warning)


def compile_graph(
    graph: Graph,
    hardware: Hardware | None = None,
    batch_first: bool = True,
    model: RecurrentModel | None = None,
    notes: Sequence[str] = (),
    input_exponents: tuple[int, ...] = (),
    trial: Trial | None = None,
    balanced_for: Balance | None = None,
    origin: Origin | None = None,
    tell: Tell = tell_nobody,
) -> Compiled:
    """Compile a graph of typed integer operations into a project.

    model: the float network behind it, for the report; trial: what both are compared on.
    input_exponents: k_j of each input, or none: the graph's x_j stands for 2**k_j times as much.
    balanced_for, origin, tell: see ``compile_model``. Raises PenstockError for a graph that is not
    well formed, or that the accelerator can't hold.
    """
    hardware = hardware or Hardware()
    check_graph(graph)
    origin = replace(origin or Origin(), hardware=hardware)
    tell_stage(tell, "choosing hardware and scheduling")
    machine, chosen = build_machine(graph, hardware, balanced_for)
    tell_stage(tell, "packing")
    manifest, weights = pack(machine, batch_first, input_exponents)
    tell_stage(tell, "proving the packed weights")
    proof = validate(graph, manifest, weights[:-1], hardware.hazard_distance)
    graph_json, graph_tensors = dump_graph(graph)
    binaries = dict(zip(manifest.file_bytes(), weights, strict=False))
    binaries["weights/parameters.bin"] = weights[-1]
    binaries["graph.json"] = graph_json.encode()
    binaries["graph.safetensors"] = graph_tensors
    compared = None
    if model is not None and trial is not None:
        tell_stage(tell, "comparing with the float network")
        compared = measure(model, graph, trial)
    tell_stage(tell, "writing the sources")
    report = build_report(
        machine, proof, model, [*notes, *chosen], origin, input_exponents, compared,
        hardware.left_open,
    )  # fmt: skip
    texts = emit_kernel(machine, golden_steps(machine))
    texts |= emit_project_files(machine, texts, input_exponents)
    texts |= render_report(report, pictures(placed_matrices(machine)))
    texts["weights/manifest.json"] = manifest.to_json()
    texts[CONFIG] = config_text(origin, report["hardware"])
    tell_stage(tell, "golden vectors")
    binaries["tb/vectors.dat"] = golden_vectors(machine)
    files = binaries | {name: text.encode() for name, text in texts.items()}
    files = dict(sorted(files.items()))
    return Compiled(machine, manifest, proof, report, report["notes"], compared, files)


def check_graph(graph: Graph) -> None:
    """Raise PenstockError for a graph that no accelerator is made of."""
    try:
        verify(graph)
    except ValueError as error:
        raise PenstockError(
            f"the graph is not well formed: {error}", graph.name, "see penstock.ir.verify"
        ) from error
    check_shapes(graph)
    check_types(graph)


def build_machine(
    graph: Graph, hardware: Hardware, balanced_for: Balance | None = None, plan: Plan = schedule
) -> tuple[Machine, list[str]]:
    """The accelerator of a graph that was checked, and what was chosen: see ``choose``."""
    machine, chosen = choose(graph, hardware, balanced_for, plan)
    check_memories(machine)
    return machine, chosen


def pack(
    machine: Machine, batch_first: bool, input_exponents: tuple[int, ...] = ()
) -> tuple[Manifest, list[bytes]]:
    """The manifest, and the content of each weight file, followed by parameters.bin."""
    plan, kept = machine.plan, machine.kept
    manifest = Manifest(
        plan.hardware.pes, machine.groups.group_pes, plan.hardware.beat_bits,
        "onchip" if machine.on_chip else "stream",
        tuple(product.code for product in plan.products),
        word_runs(machine.stored_runs, {p.name: n for n, p in enumerate(machine.products)}),
        plan.layouts, plan.layout_of,
        tuple(array.name for array in kept.parameters),
        Interface(
            plan.hardware.lanes, plan.hardware.interleave,
            "stream" if machine.streams_io else "memory",
            machine.beats.io_bits, batch_first, machine.max_steps,
            {state.name: plan.layout_of[state.read] for state in kept.states}, input_exponents,
        ),
        KernelChoices(
            plan.hardware.hazard_distance, plan.hardware.cell_units, kept.activations.depth,
            machine.copy_pes, machine.result_chunk, kept.activations.base,
            tuple(phase.operand_bases for phase in machine.products),
            machine.stream("beats").depth, machine.stream("words").depth,
            tuple(result.node.name for result in machine.results), machine.rows.depth,
            tuple(machine.rows.first[phase.name] for phase in machine.products), _runs(machine),
            kept.activations.regions, machine.regions_read, _programs(machine),
        ),
        Golden(len(GOLDEN_STARTS), golden_steps(machine)),
        tuple(LoopFields(loop.name, str(loop.process), loop.when, loop.iterations)
              for loop in machine.loops),
    )  # fmt: skip
    entries = [product.entries for product in plan.products]
    files = [pack_group(manifest, entries, group) for group in range(manifest.groups)]
    if machine.on_chip:
        files = [b"".join(files)]
    vectors = [
        plan.layout(array.name).spread(constant_of(machine.graph, array.name))
        for array in kept.parameters
    ]
    return manifest, [*files, pack_parameters(vectors, plan.hardware.beat_bits)]


def _runs(machine: Machine) -> dict[str, tuple[int, ...]]:
    """What the kernel is told of every run, see ``KernelChoices``."""
    if not machine.hardware.overlaps:
        return {}
    names = Names(machine)
    return {names.run(run): run_fields(machine, run) for run in machine.every_run}


def _programs(machine: Machine) -> tuple[ProgramFields, ...]:
    """The programs of the sweeps, and what the kernel promises of their arrays."""
    names = Names(machine)
    numbers = {phase.name: number for number, phase in enumerate(machine.products, 1)}
    return tuple(
        ProgramFields(
            **columns_of(program),
            units=tuple(
                _work(names, sorted(phase.unit.segments), touched)
                for phase, touched in zip(program.phases, program.by_units, strict=True)
            ),
            sums=tuple(numbers.get(phase.name, 0) for phase in program.phases),
            moves=tuple(map(partial(_work, names), program.segments_of_moves, program.by_moves)),
            promises={one["array"]: one["distance"] for one in promises(machine, names, program)},
        )
        for program in machine.programs.values()
    )


def _work(names: Names, segments: Iterable[str], touched: Touched) -> WorkFields:
    reads, writes = (tuple(map(names.array, arrays)) for arrays in (touched.reads, touched.writes))
    return WorkFields(tuple(segments), reads, writes, touched.later)


def _notes(model: RecurrentModel, ranges: Ranges) -> list[str]:
    if not ranges.is_synthetic:
        return []
    frames = "normally distributed frames" if model.table is None else "random tokens"
    return [
        f"no calibration data: number formats were chosen using {frames} "
        "(give --calibration FILE.npy)"
    ]
