"""``penstock compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.options import with_settings
from penstock.cli.output import printable
from penstock.settings import Hardware, Precision


@with_settings
def compile_command(
    *,
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A checkpoint of any suffix, an .onnx or .pt2 file."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Project folder to write.")
    ],
    calibration: Annotated[
        Path | None,
        typer.Option(
            help=".npy of typical frames: real numbers, (steps, inputs) or (sequences, ...)."
        ),
    ] = None,
    calibration_lengths: Annotated[
        Path | None,
        typer.Option(help=".npy of each calibration sequence's number of steps."),
    ] = None,
    calibration_state: Annotated[
        Path | None,
        typer.Option(help=".npz with the states in which they begin: h_0 and c_0, or by name."),
    ] = None,
    hardware: Hardware,
    precision: Precision | None,
    head: Annotated[
        str | None, typer.Option(help="Where a Linear head runs: step, last or final.")
    ] = None,
    head_activation: Annotated[
        str | None, typer.Option(help="What follows the head: none, sigmoid or argmax.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which dictionary of a checkpoint holds the network."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Compile only the tensors under it; may be repeated."),
    ] = None,
    time_first: Annotated[
        bool, typer.Option(help="Arrays are (steps, sequences, inputs), PyTorch's default.")
    ] = False,
    validate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Compare with the float network on x, of lengths, against y (labels or targets).",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse to write what the comparison warns of.")
    ] = False,
    regression: Annotated[
        bool,
        typer.Option("--regression", help="The outputs are quantities, no scores that decide."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace emitted files even if they were edited.")
    ] = False,
) -> None:
    """Compile a checkpoint, an ONNX model or a program of torch.export into a Vitis HLS project.

    Then compare it with the float network.
    """
    from penstock import HeadOptions, Validation, compile_checkpoint
    from penstock.arrays import read_array, read_arrays
    from penstock.cli.summary import print_summary
    from penstock.project import check_target

    check_target(output, overwrite)
    options = None
    if head is not None or head_activation is not None:
        options = HeadOptions(head, head_activation or "none")
    compiled = compile_checkpoint(
        model, None if calibration is None else read_array(calibration), hardware,
        precision, options,
        batch_first=not time_first,
        name=printable(model.stem, "_"),  # goes into comments of the sources
        calibration_name=str(calibration or model),
        key=key, only=only or (),
        calibration_lengths=read_array(calibration_lengths) if calibration_lengths else None,
        calibration_states=read_arrays(calibration_state) if calibration_state else None,
        validation=None if validate is None
        else Validation.of(read_arrays(validate), str(validate)),
        strict=strict, regression=regression,
    )  # fmt: skip
    compiled.write(output, overwrite)
    print_summary(compiled.report, str(output))
