"""``penstock run``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer

from penstock.arrays import StoredArray, read_array, read_arrays
from penstock.atomic import write_files
from penstock.cli.arguments import RAW_INPUT, AsJson, EngineName, Folder
from penstock.cli.files import check_suffix
from penstock.cli.output import print_json, say
from penstock.cli.progress import told_progress
from penstock.errors import PenstockError
from penstock.ir.saturation import Saturation
from penstock_runtime import Interpreter
from penstock_runtime.batches import Results, run_in_pieces
from penstock_runtime.engines import AUTO
from penstock_runtime.saturated import lines

SCHEMA = 1


def run_command(
    folder: Folder,
    source: Annotated[
        Path, typer.Option("-i", "--input", help=".npy: (steps, inputs) or (sequences, ...).")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help=".npy for the results.")],
    lengths: Annotated[
        Path | None,
        typer.Option(help=".npy of each sequence's number of steps; the rest is padding."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help=".npz with the initial state: h_0 and c_0, or by name.")
    ] = None,
    state_output: Annotated[
        Path | None, typer.Option(help=".npz for the final state: h_n and c_n, or by name.")
    ] = None,
    raw: Annotated[bool, typer.Option(help="Write raw integers instead of real numbers.")] = False,
    raw_input: Annotated[bool, typer.Option("--raw-input", help=RAW_INPUT)] = False,
    engine: EngineName = AUTO,
    as_json: AsJson = False,
) -> None:
    """Run the bit-true interpreter on a project, and say what was out of range."""
    check_suffix(output, ".npy")
    if state_output is not None:
        if state_output == output:
            raise PenstockError(
                "both results would go to the same file", str(output), "name another file"
            )
        check_suffix(state_output, ".npz")
    interpreter = Interpreter(folder, engine)
    counts = read_array(lengths) if lengths is not None else None
    given = interpreter.state_from_arrays(read_arrays(state), str(state)) if state else None
    frames, found = StoredArray(source), None

    def save(file: IO[bytes]) -> None:
        nonlocal found
        with told_progress("frames") as tell:
            results = Results(file, raw)
            found = run_in_pieces(
                interpreter, frames, results, counts, given, raw_input,
                progress=lambda done, of: tell(str(source), done, of),
            )  # fmt: skip

    def save_state(file: IO[bytes]) -> None:
        assert found is not None
        final = interpreter.saved_state(found.state)
        np.savez(file, allow_pickle=False, **final)

    write_files({output: save} | ({state_output: save_state} if state_output else {}))
    assert found is not None
    if as_json:
        print_json(run_values(output, state_output, found.shape, found.counted))
        return
    say(f"{output}: {' x '.join(map(str, found.shape))}")
    for line in lines(found.counted):
        say(line)


def run_values(
    output: Path, state_output: Path | None, shape: tuple[int, ...],
    counted: Iterable[Saturation],
) -> dict[str, Any]:  # fmt: skip
    """Plain values: schema (1), output, state_output (the files; null: not asked for), shape (of
    the results); saturations [name, kind (input frame, given state, value, table input), count, of,
    first_step]: values that were out of range, of those that there are.
    """
    return {
        "schema": SCHEMA, "output": os.fspath(output),
        "state_output": None if state_output is None else os.fspath(state_output),
        "shape": list(shape), "saturations": [vars(one) for one in counted if one.count],
    }  # fmt: skip
