"""A checkpoint or a program: read by the frontends, compiled in memory by the driver."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from penstock.choices import Choices
from penstock.compress.constants import float_constants
from penstock.compress.recognize import NonZeros
from penstock.compress.saved import Formats, load_formats
from penstock.driver import Compiled, compile_model
from penstock.entry import follow_program, is_program, model_of_tensors
from penstock.errors import PenstockError, UnreadableError
from penstock.fixed import FloatArray
from penstock.frontend import HeadOptions, is_onnx, read_checkpoint
from penstock.frontend.recurrent import find_modules
from penstock.inspection.suggest import FRAMES, compile_command, inspect_command, suggested_pes
from penstock.inspection.values import (
    Inspection,
    MatrixRow,
    Outcome,
    Refusal,
    Way,
    banks_of,
    nonzeros_of,
)
from penstock.layers.head import PLACES
from penstock.model import RecurrentModel
from penstock.option import words_of
from penstock.report.network import layer_row
from penstock.settings import Balance, Hardware

MOST_TRIED = 32
"""So many modules are tried alone: a damaged file may have any number."""


def inspect_file(path: Path, choices: Choices | None = None) -> Inspection:
    """Read a file as ``penstock compile`` does, and compile it in memory on synthetic frames.

    What the compiler refuses is told. Raises PenstockError for what can't be read: a missing or
    damaged file, one of another kind, options that it has no use for.
    """
    choices = choices or Choices()
    if is_program(path):
        return _program(path, choices)
    formats = load_formats(path)
    tensors = read_checkpoint(path, choices.key, keeps_narrow=True)
    form = "state dict" if formats is None else "compressed checkpoint"
    try:
        model = _model_of(tensors, path, formats, choices)
    except PenstockError as error:
        ways = [] if formats is not None else _ways(tensors, path, choices)
        followed = [way.options for way in ways if way.refusal is None]
        return Inspection(
            str(path), form, False,
            tensors=[{"name": name, "shape": list(one.shape)} for name, one in tensors.items()],
            refusal=Refusal.of(error), ways=ways,
            command=inspect_command(str(path), followed[0]) if len(followed) == 1 else None,
        )  # fmt: skip
    return _compiled(path, form, model, formats, choices)


def _program(path: Path, choices: Choices) -> Inspection:
    if choices.key is not None or choices.only:
        raise PenstockError(
            "key and only choose in a state dict, and the file holds a program",
            str(path),
            "leave them out",
        )
    form = "ONNX model" if is_onnx(path) else "program of torch.export"
    try:
        model = follow_program(path, HeadOptions.of(choices))
    except UnreadableError:
        raise
    except PenstockError as error:
        return Inspection(str(path), form, False, refusal=Refusal.of(error))
    return _compiled(path, form, model, None, choices)


def _model_of(
    tensors: Mapping[str, FloatArray], path: Path, formats: Formats | None, choices: Choices
) -> RecurrentModel:
    head = HeadOptions.of(choices)
    return model_of_tensors(dict(tensors), path, formats, head, only=choices.only)


def _ways(tensors: Mapping[str, FloatArray], path: Path, choices: Choices) -> list[Way]:
    """What the user may have left to say: where the head runs, or which module is meant."""
    heads = [replace(choices, head=at) for at in PLACES if HeadOptions.of(choices) is None]
    found = [_way(tensors, path, choice) for choice in heads]
    prefixes = dict.fromkeys(module.prefix.rstrip(".") for module in find_modules(tensors))
    names = [name for name in prefixes if name and not choices.only][:MOST_TRIED]
    alone = [replace(choices, only=(name,)) for name in names]
    return [
        *(way for way in found if way.refusal is None),
        *(_way(tensors, path, choice) for choice in alone),
    ]


def _way(tensors: Mapping[str, FloatArray], path: Path, choices: Choices) -> Way:
    try:
        _model_of(tensors, path, None, choices)
    except PenstockError as error:
        return Way(words_of(choices), Refusal.of(error))
    return Way(words_of(choices), None)


def _compiled(
    path: Path, form: str, model: RecurrentModel, formats: Formats | None, choices: Choices
) -> Inspection:
    found = nonzeros_of(model.weights())
    own_pes = None if formats is None else formats.pes
    is_in_banks = formats is not None and formats.banks is not None
    pes = own_pes or (None if is_in_banks else suggested_pes(found.values()))
    told = Inspection(
        str(path), form, True, model.inputs, sum(map(model.width, model.outputs)), model.states(),
        [layer_row(model, place) for place in model.places],
        _rows(found, pes or 1), notes=list(model.notes),
    )  # fmt: skip
    try:
        compiled, notes = _compile(model, formats, pes)
    except PenstockError as error:
        return replace(told, compiles=False, refusal=Refusal.of(error))
    outcome, takes_frames = Outcome.of(compiled.report), formats is None
    if takes_frames:
        notes.append(f"{FRAMES} in the command stands for typical frames of your own, "
                     f"(sequences, steps, {model.inputs})")  # fmt: skip
    words = words_of(choices) + ["--dataflow", "bank"] * is_in_banks
    command = compile_command(str(path), None if own_pes else pes, words, takes_frames)
    return replace(
        told, matrices=_rows(found, outcome.pes), outcome=outcome, notes=notes, command=command,
        banks=banks_of(compiled.graph, float_constants(model, compiled.graph)),
    )  # fmt: skip


def _rows(found: dict[str, NonZeros], pes: int) -> list[MatrixRow]:
    return [MatrixRow.of(name, one, pes) for name, one in found.items()]


def _compile(
    model: RecurrentModel, formats: Formats | None, pes: int | None
) -> tuple[Compiled, list[str]]:
    """-> the project, and what the compiler notes and warns of."""
    ranges, precision = (None, None) if formats is None else (formats.ranges, formats.precision)
    banks = None if formats is None else formats.banks
    hardware = Hardware() if banks is None else Hardware(dataflow="bank")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled = compile_model(
            model, ranges, hardware if pes is None else replace(hardware, pes=pes), precision,
            balanced_for=Balance(banks=banks),
        )  # fmt: skip
    return compiled, [*compiled.notes, *(str(one.message) for one in caught)]
