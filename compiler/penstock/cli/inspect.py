"""``penstock inspect``."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.choices import Choices
from penstock.cli.arguments import AsJson
from penstock.cli.options import with_options
from penstock.cli.output import print_json, say
from penstock.cli.tables import print_table
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.inspection import Inspection, MatrixRow, Outcome

OF_EVERY_LAYER = ("name", "kind", "direction", "sources", "inputs", "outputs", "weights")
SHOWN = 6
"""So many numbers of a list are shown; of a longer one, the first and the last."""


@with_options(choices=Choices)
def inspect_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A checkpoint, an .onnx or .pt2 file, or a project's folder."
        ),
    ],
    *,
    given: dict[str, dict[str, Any]],
    as_json: AsJson = False,
) -> None:
    """Print what a checkpoint, program or project holds, and whether it compiles.

    A file is compiled in memory, on synthetic frames; nothing is written.
    """
    from penstock.inspection import inspect_file

    choices = Choices(**given["choices"])
    found = _of_project(file, choices) if file.is_dir() else inspect_file(file, choices)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    if not found.compiles:
        raise typer.Exit(1)


def _of_project(folder: Path, choices: Choices) -> Inspection:
    from penstock.inspection import inspect_project
    from penstock.project import reading
    from penstock.reported import read_report
    from penstock_runtime import load_project

    if choices != Choices():
        raise PenstockError(
            "a project is compiled, and leaves nothing to choose", str(folder),
            "leave the options out",
        )  # fmt: skip
    with reading(folder):
        graph = load_project(folder).graph
        return inspect_project(str(folder), graph, read_report(folder))


def _print(found: Inspection) -> None:
    from penstock.report.text import plural

    sizes = f", {plural(found.inputs, 'input')}" if found.inputs is not None else ""
    sizes += f", {plural(found.outputs, 'output')}" if found.outputs is not None else ""
    say(f"{found.file}: {found.form}{sizes}")
    if found.layers:
        _print_layers(found.layers)
    if found.matrices:
        rows = [(row.name, _pattern(row), f"{row.rows:,} x {row.columns:,}", f"{row.nonzeros:,}",
                 f"{100 * row.density:.1f} %", f"{row.imbalance:.2f}")
                for row in found.matrices]  # fmt: skip
        print_table(
            "matrices (imbalance: the heaviest PE over the mean)",
            ("matrix", "pattern", "size", "non-zeros", "density", "imbalance"), rows, words=2,
        )  # fmt: skip
    if found.banks:
        say(f"balanced for {_listed(found.banks)} banks of --dataflow bank")
    if found.tensors:
        shapes = [(row["name"], " x ".join(map(str, row["shape"])) or "one number")
                  for row in found.tensors]  # fmt: skip
        print_table("tensors", ("tensor", "shape"), shapes)
    for note in found.notes:
        say(f"note: {note}")
    _say_outcome(found)


def _print_layers(layers: list[dict[str, Any]]) -> None:
    rows = [
        (row["name"], f"{row['kind']}, {row['direction']}", ", ".join(row["sources"]), _about(row),
         f"{row['inputs']:,}", f"{row['outputs']:,}")
        for row in layers
    ]  # fmt: skip
    print_table("layers", ("layer", "kind", "reads", "about", "inputs", "outputs"), rows, words=4)


def _about(row: dict[str, Any]) -> str:
    """What a layer of its kind has: ``8 cells, projection, 4 gates``."""
    told = []
    for name, value in row.items():
        if name in OF_EVERY_LAYER or value in (None, False, "none"):
            continue
        is_count = isinstance(value, int) and value is not True
        text = f"reset {value} the product" if name == "resets" else str(value)
        told.append(name if value is True else f"{value:,} {name}" if is_count else text)
    return ", ".join(told)


def _pattern(row: MatrixRow) -> str:
    if row.nonzeros == 0:
        return "all zero"
    if row.density == 1:
        return "dense"
    kinds = {
        "PE-balanced": (row.pe_balanced, "PEs"), "column-balanced": (row.column_balanced, "PEs"),
        "bank-balanced": (row.bank_balanced, "columns"),
    }  # fmt: skip
    told = [f"{name} ({_listed(numbers)} {of})" for name, (numbers, of) in kinds.items() if numbers]
    return ", ".join(told) or "not balanced"


def _listed(numbers: list[int]) -> str:
    if len(numbers) > SHOWN:
        return f"{numbers[0]}, {numbers[1]} ... {numbers[-1]:,}"
    return ", ".join(f"{number:,}" for number in numbers)


def _say_outcome(found: Inspection) -> None:
    if found.refusal is not None:
        say(f"does not compile: {found.refusal.line()}")
    for way in found.ways:
        says = "is followed" if way.refusal is None else f"does not compile: {way.refusal.line()}"
        say(f"with {shlex.join(way.options)}: {says}")
    if found.outcome is not None:
        is_made = found.form == "project"
        say(f"{'compiled' if is_made else 'compiles'}: {_told(found.outcome)}")
    if found.command is not None:
        say(f"next: {found.command}")


def _told(outcome: Outcome) -> str:
    from penstock.report.text import plural

    least = [name for name, verdict in outcome.fit.items() if verdict == "does not fit"]
    unsure = [name for name, verdict in outcome.fit.items() if verdict == "unsure"]
    fit = "fits"
    if least:
        fit = f"does not fit ({', '.join(least)})"
    elif unsure:
        fit = f"may fit (unsure: {', '.join(unsure)})"
    return (
        f"{outcome.cycles_per_step:,} cycles per step on {plural(outcome.pes, 'PE')}, "
        f"{outcome.microseconds_per_step:,.1f} us at {outcome.clock_mhz:g} MHz; {fit} "
        f"{outcome.part} by estimate"
    )
