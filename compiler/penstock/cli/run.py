"""``penstock run``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated

import numpy as np
import typer

from penstock.arrays import read_array, read_arrays
from penstock.atomic import write_files
from penstock.cli.arguments import RAW_INPUT, Folder
from penstock.cli.files import check_suffix
from penstock.cli.output import say
from penstock.errors import PenstockError
from penstock_runtime import Interpreter
from penstock_runtime.saturated import lines


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
) -> None:
    """Run the bit-true interpreter on a project, and say what was out of range."""
    check_suffix(output, ".npy")
    if state_output is not None:
        if state_output == output:
            raise PenstockError(
                "both results would go to the same file", str(output), "name another file"
            )
        check_suffix(state_output, ".npz")
    interpreter = Interpreter(folder)
    result = interpreter.run(
        read_array(source),
        read_array(lengths) if lengths is not None else None,
        interpreter.state_from_arrays(read_arrays(state), str(state)) if state else None,
        raw_input=raw_input,
    )
    values = result.arranged_raw if raw else result.values
    saves: dict[Path, Callable[[IO[bytes]], None]] = {output: lambda file: np.save(file, values)}
    if state_output is not None:
        final = interpreter.saved_state(result.state)
        saves[state_output] = lambda file: np.savez(file, allow_pickle=False, **final)
    write_files(saves)
    say(f"{output}: {' x '.join(map(str, values.shape))}")
    for line in lines(result.counted):
        say(line)
