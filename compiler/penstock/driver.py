"""The pipeline in reading order: model -> types -> graph -> schedule -> bytes -> project folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from penstock.calibration import Ranges, calibrate, check_ranges
from penstock.codegen.hls import emit_kernel, emit_project_files
from penstock.compress.saved import load_formats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend import HeadOptions, from_state_dict, read_checkpoint
from penstock.frontend.given import check_arguments, model_of
from penstock.golden import GOLDEN_STARTS, GOLDEN_STEPS, golden_vectors
from penstock.ir import Graph
from penstock.ir.io import dump_graph
from penstock.ir.verify import verify
from penstock.lowering import lower
from penstock.machine import Machine, describe
from penstock.machine.limits import check_memories, check_shapes, check_types
from penstock.model import RecurrentModel
from penstock.packing.manifest import Manifest, pack_group
from penstock.packing.schema import Golden, Interface, KernelChoices
from penstock.packing.validate import Proof, validate
from penstock.packing.vectors import pack_parameters
from penstock.project import write_project
from penstock.report.report import build_report, render_report
from penstock.schedule import Schedule, schedule
from penstock.schedule.plan import constant_of
from penstock.settings import Hardware, Precision


@dataclass(frozen=True)
class Compiled:
    """What a compile gives. files: path -> content of the whole project folder."""

    machine: Machine
    manifest: Manifest
    proof: Proof
    report: dict[str, Any]
    notes: list[str]
    files: dict[str, bytes] = field(repr=False)

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
        path = Path(folder)
        write_project(self.files, path, overwrite)
        return path


def compile_model(
    model: RecurrentModel,
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    calibration_name: str = "calibration",
) -> Compiled:
    """Compile a float model into a project.

    calibration: ranges, or typical frames to find them on, (steps, inputs) or (sequences, steps,
    inputs); without, normally distributed frames stand in, and a note says so. calibration_name:
    what errors call them. Raises PenstockError for what the user can mend.
    """
    ranges = calibration
    if not isinstance(ranges, Ranges):
        ranges = calibrate(model, ranges, calibration_name)
    else:
        check_ranges(model, ranges, calibration_name)
    try:
        graph = lower(model, ranges, precision or Precision())
    except ValueError as error:
        raise PenstockError(
            f"these number formats can't be combined: {error}",
            calibration_name,
            "choose other widths or types, or calibrate on typical frames",
        ) from error
    notes = [*model.notes, *_notes(ranges)]
    return compile_graph(graph, hardware, model.batch_first, model, notes)


def compile_graph(
    graph: Graph,
    hardware: Hardware | None = None,
    batch_first: bool = True,
    model: RecurrentModel | None = None,
    notes: Sequence[str] = (),
) -> Compiled:
    """Compile a graph of typed integer operations into a project.

    model: the float network behind it, for the report. Raises PenstockError for a graph that is not
    well formed, or that the accelerator can't hold.
    """
    hardware = hardware or Hardware()
    try:
        verify(graph)
    except ValueError as error:
        raise PenstockError(
            f"the graph is not well formed: {error}", graph.name, "see penstock.ir.verify"
        ) from error
    check_shapes(graph)
    check_types(graph)
    machine = describe(graph, schedule(graph, hardware))
    check_memories(machine)
    manifest, weights = pack(machine, batch_first)
    proof = validate(graph, manifest, weights[:-1], hardware.hazard_distance)
    graph_json, graph_tensors = dump_graph(graph)
    binaries = {f"weights/group_{g}.bin": content for g, content in enumerate(weights[:-1])}
    binaries["weights/parameters.bin"] = weights[-1]
    binaries["graph.json"] = graph_json.encode()
    binaries["graph.safetensors"] = graph_tensors
    report = build_report(machine, proof, model, notes)
    texts = emit_kernel(machine, GOLDEN_STEPS)
    texts |= emit_project_files(machine, texts)
    texts |= render_report(report)
    texts["weights/manifest.json"] = manifest.to_json()
    binaries["tb/vectors.dat"] = golden_vectors(machine)
    files = binaries | {name: text.encode() for name, text in texts.items()}
    return Compiled(machine, manifest, proof, report, report["notes"], dict(sorted(files.items())))


def pack(machine: Machine, batch_first: bool) -> tuple[Manifest, list[bytes]]:
    """The manifest, and the content of each group's weight file followed by parameters.bin."""
    plan, kept = machine.plan, machine.kept
    manifest = Manifest(
        plan.hardware.pes, machine.groups.group_pes, plan.hardware.port_bits,
        tuple(product.code for product in plan.products), plan.layouts, plan.layout_of,
        tuple(array.name for array in kept.parameters),
        Interface(
            plan.hardware.lanes, machine.beats.io_bits, batch_first, machine.max_steps,
            {state.name: plan.layout_of[state.read] for state in kept.states},
        ),
        KernelChoices(
            plan.hardware.hazard_distance, plan.hardware.cell_units, kept.activations.depth,
            kept.activations.base, tuple(phase.operand_bases for phase in machine.products),
            machine.stream("beats").depth, machine.stream("words").depth,
            tuple(result.node.name for result in machine.results),
        ),
        Golden(len(GOLDEN_STARTS), GOLDEN_STEPS),
    )  # fmt: skip
    entries = [product.entries for product in plan.products]
    files = [pack_group(manifest, entries, group) for group in range(manifest.groups)]
    vectors = [
        plan.layout(array.name).spread(constant_of(machine.graph, array.name))
        for array in kept.parameters
    ]
    return manifest, [*files, pack_parameters(vectors, plan.hardware.port_bits)]


def _notes(ranges: Ranges) -> list[str]:
    if not ranges.is_synthetic:
        return []
    return [
        "no calibration data: number formats were chosen using normally distributed frames "
        "(give --calibration FILE.npy)"
    ]


def compile(
    module: Any,
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
) -> Compiled:
    """Compile a live ``torch.nn.Module``, its state dict, a checkpoint's path or a RecurrentModel.

    calibration: typical frames, (steps, inputs) or (sequences, steps, inputs), or the ranges found
    on some. The result's ``write(folder)`` makes the project. Raises PenstockError.
    """
    if isinstance(module, str | PathLike):
        return compile_checkpoint(module, calibration, hardware, precision, head)
    _check_settings(hardware, precision, head)
    return compile_model(model_of(module, head), calibration, hardware, precision)


def _check_settings(hardware: Any, precision: Any, head: Any) -> None:
    check_arguments({
        "hardware": (hardware, Hardware), "precision": (precision, Precision),
        "head": (head, HeadOptions),
    })  # fmt: skip


def compile_checkpoint(
    path: str | PathLike[str],
    calibration: FloatArray | Ranges | None = None,
    hardware: Hardware | None = None,
    precision: Precision | None = None,
    head: HeadOptions | None = None,
    *,
    batch_first: bool = True,
    name: str | None = None,
    calibration_name: str | None = None,
) -> Compiled:
    """Compile a checkpoint file. One that ``penstock compress`` saved carries its number formats.

    Raises PenstockError, also for formats given to a checkpoint that has its own.
    """
    _check_settings(hardware, precision, head)
    if not isinstance(path, str | PathLike):
        raise PenstockError(
            f"a {type(path).__name__} is not a path", "compile_checkpoint", "use penstock.compile"
        )
    path = Path(path)
    formats = load_formats(path)
    if formats is not None:
        if calibration is not None or precision is not None:
            raise PenstockError(
                "the checkpoint carries the number formats it was trained for",
                str(path),
                "leave out --calibration and the options for bits and tables",
            )
        calibration, precision, head = formats.ranges, formats.precision, head or formats.head
    model = from_state_dict(read_checkpoint(path), str(path), head, batch_first, name or path.stem)
    return compile_model(model, calibration, hardware, precision, calibration_name or str(path))
