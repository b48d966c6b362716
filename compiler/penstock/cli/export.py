"""``penstock export``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.arguments import AsJson, Folder
from penstock.cli.output import print_json, say
from penstock.export import Saved, save
from penstock.export.files import check_name
from penstock_runtime import load_project

SCHEMA = 1


def export_command(
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help=".safetensors for the weights; .onnx for the whole network."
        ),
    ],
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="The checkpoint that was compiled: the weights get its names.",
        ),
    ] = None,
    lengths: Annotated[
        bool, typer.Option("--lengths", help="The ONNX model takes the sequences' lengths, too.")
    ] = False,
    states: Annotated[
        bool, typer.Option("--states", help="It takes the initial states and gives the final ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the pruned, quantized network back as a state dict or as an ONNX model."""
    check_name(output, lengths or states, like is not None)
    project = load_project(folder)
    saved = save(project, output, like=like, lengths=lengths, states=states)
    if as_json:
        print_json(export_values(output, saved))
        return
    for line in saved.lines:
        say(f"{output}: {line}")
    for note in saved.notes:
        say(f"note: {note}")


def export_values(output: Path, saved: Saved) -> dict[str, Any]:
    """Plain values: schema (1), output (the file), holds [what goes in and out, or its tensors, in
    words], notes [sentences]."""
    return {
        "schema": SCHEMA, "output": os.fspath(output), "holds": saved.lines, "notes": saved.notes,
    }  # fmt: skip
