"""The pipeline in reading order: model -> types -> graph -> schedule -> bytes -> project folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from penstock.calibration import Ranges, calibrate, check_ranges
from penstock.codegen.hls import emit_kernel
from penstock.codegen.project_files import emit_project_files
from penstock.codegen.storage import Storage
from penstock.compress.saved import load_formats
from penstock.errors import PenstockError
from penstock.fixed import FloatArray, IntArray
from penstock.frontend import HeadOptions, from_state_dict, read_checkpoint
from penstock.frontend.given import check_arguments, model_of
from penstock.ir import Graph
from penstock.ir.evaluate import evaluate
from penstock.ir.io import dump_graph
from penstock.layers import lower
from penstock.model import RecurrentModel
from penstock.packing.manifest import Manifest, pack_group, sha256_of
from penstock.packing.validate import Proof
from penstock.packing.vectors import (
    START_CARRIED,
    START_ZERO,
    Call,
    pack_parameters,
    vector_file,
)
from penstock.project import write_project
from penstock.report.report import build_report, render_report
from penstock.schedule import Schedule, schedule, validate
from penstock.settings import Hardware, Precision

GOLDEN_STEPS = 3
GOLDEN_SEED = 7


@dataclass(frozen=True)
class Compiled:
    """What a compile gives. files: path -> content of the whole project folder."""

    graph: Graph
    plan: Schedule
    manifest: Manifest
    proof: Proof
    report: dict[str, Any]
    notes: list[str]
    files: dict[str, bytes] = field(repr=False)

    def write(self, folder: str | Path) -> Path:
        """Write the project folder; see ``project.write_project``."""
        path = Path(folder)
        write_project(self.files, path)
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
    hardware = hardware or Hardware()
    ranges = calibration
    if not isinstance(ranges, Ranges):
        ranges = calibrate(model, ranges, calibration_name)
    else:
        check_ranges(model, ranges, calibration_name)
    try:
        graph = lower(model, ranges, precision or Precision())
    except ValueError as error:
        raise PenstockError(
            f"these number formats do not go together: {error}",
            calibration_name,
            "choose other widths or types, or calibrate on typical frames",
        ) from error
    plan = schedule(graph, hardware)
    keep = Storage.of(graph, plan)
    check_ports(keep)
    graph_json, graph_tensors = dump_graph(graph)
    manifest, weights = pack(model, keep)
    proof = validate(graph, manifest, weights[:-1], hardware.raw_distance)

    binaries = {f"weights/group_{g}.bin": content for g, content in enumerate(weights[:-1])}
    binaries["weights/parameters.bin"] = weights[-1]
    binaries["graph.json"] = graph_json.encode()
    binaries["graph.safetensors"] = graph_tensors
    manifest.sha256.update({name: sha256_of(content) for name, content in binaries.items()})
    notes = [*model.notes, *_notes(ranges)]
    report = build_report(keep, manifest, proof, model.weights(), notes)
    texts = emit_kernel(keep, manifest, GOLDEN_STEPS)
    texts |= emit_project_files(keep, manifest, texts, report)
    texts |= render_report(report)
    texts["weights/manifest.json"] = manifest.to_json()
    binaries["tb/vectors.dat"] = golden_vectors(keep)
    files = binaries | {name: text.encode() for name, text in texts.items()}
    return Compiled(
        graph, plan, manifest, proof, report, report["notes"], dict(sorted(files.items()))
    )


def pack(model: RecurrentModel, keep: Storage) -> tuple[Manifest, list[bytes]]:
    """The manifest, and the content of each group's weight file followed by parameters.bin."""
    plan = keep.plan
    manifest = Manifest(
        plan.hardware.pes, plan.group_pes, plan.hardware.port_bits,
        tuple(phase.code for phase in plan.phases), plan.layouts, plan.layout_of,
        tuple(node.name for node in keep.parameters()),
        {
            "lanes": plan.hardware.lanes, "io_bits": keep.ports.io_bits,
            "raw_distance": plan.hardware.raw_distance, "batch_first": model.batch_first,
            "max_steps": plan.hardware.max_steps if keep.frames() else None,
            "states": [block.state for block in keep.states()],
        },
        {},
    )  # fmt: skip
    entries = [phase.entries for phase in plan.phases]
    files = [pack_group(manifest, entries, group) for group in range(manifest.groups)]
    files.append(pack_parameters(_parameter_vectors(keep), plan.hardware.port_bits))
    return manifest, files


def _parameter_vectors(keep: Storage) -> list[IntArray]:
    plan = keep.plan
    vectors = []
    for node in keep.parameters():
        raw = node.tensor.constant
        assert raw is not None
        vectors.append(plan.layouts[plan.layout_of[node.name]].spread(raw))
    return vectors


def golden_vectors(keep: Storage) -> bytes:
    """The test bench's own vectors: two calls, the second going on where the first ended."""
    graph, ports, plan = keep.graph, keep.ports, keep.plan
    (source,) = graph.of_kind("input")
    kind = source.tensor.type
    generator = np.random.default_rng(GOLDEN_SEED)
    shape = (ports.lanes, GOLDEN_STEPS, source.tensor.length)
    lengths = np.maximum(GOLDEN_STEPS - np.arange(ports.lanes), 1)
    layouts = {
        block.state: plan.layouts[plan.layout_of[f"{block.state}_before"]]
        for block in keep.states()
    }
    calls, state = [], None
    for start in (START_ZERO, START_CARRIED):
        x = generator.integers(kind.raw_min // 2, kind.raw_max // 2, shape, endpoint=True)
        result = evaluate(graph, x, lengths, state)
        state = result.state
        calls.append(
            Call(x, lengths, start, start == START_ZERO, b"", ports.to_beats(result.y),
                 ports.state_to_beats(state, layouts))
        )  # fmt: skip
    return vector_file(calls, ports)


def check_ports(keep: Storage) -> None:
    """One element with all its lanes must fit a beat."""
    ports = keep.ports
    if ports.per_beat < 1:
        raise PenstockError(
            f"{ports.lanes} lanes of {ports.io_bits} bits do not fit a port of {ports.port_bits}",
            "hardware settings",
            "use fewer lanes or a wider port",
        )


def _notes(ranges: Ranges) -> list[str]:
    if not ranges.is_synthetic:
        return []
    return [
        "no calibration data: number formats were chosen on normally distributed frames "
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
            f"a {type(path).__name__} is no path", "compile_checkpoint", "use penstock.compile"
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
