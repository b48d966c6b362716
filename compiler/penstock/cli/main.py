"""``penstock``: compress, compile, run, csim, check."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.arrays import read_array, read_arrays
from penstock.atomic import write_files
from penstock.cli.compress import compress_command, sensitivity_command
from penstock.cli.files import check_suffix
from penstock.cli.options import with_settings
from penstock.cli.progress import told_progress
from penstock.driver import Compiled
from penstock.entry import compile_checkpoint
from penstock.errors import PenstockError
from penstock.fidelity import Validation
from penstock.frontend import HeadOptions
from penstock.project import check_target, reading
from penstock.report.error import error_lines
from penstock.settings import Hardware, Precision
from penstock.version import __version__

app = typer.Typer(
    help="Compile trained, pruned recurrent networks into sparse accelerators, proven bit-true.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False, soft_wrap=True)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A project folder written by penstock compile.")
]
RAW_INPUT = "The input holds raw integers of the input type, not real numbers."

UsageError: Any = typer.BadParameter.__base__
"""What typer raises for a wrong command, option or value: click's, wherever it is kept."""


def main() -> None:
    """Run the command line. Invalid input gives one line on stderr and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # paths need not be text of the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _warning_line
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="penstock", standalone_mode=False)
    except PenstockError as error:
        status = _refuse(error.line())
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        status = _refuse(f"{error.strerror or error}{place}; hint: check the path and the disk")
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "penstock"
        status = _refuse(f"{error.format_message()}; hint: see {command} --help")
    if status:
        sys.exit(status)


def _refuse(line: str) -> int:
    """Print one line without control characters. -> the exit status."""
    print(f"error: {_printable(' '.join(line.split()), '?')}", file=sys.stderr)
    return 2


def _warning_line(message: Warning | str, *where: Any, **more: Any) -> str:
    return f"warning: {_printable(str(message), '?')}\n"


def _printable(text: str, instead: str) -> str:
    return "".join(letter if letter.isprintable() else instead for letter in text)


def _version(asked: bool) -> None:
    if asked:
        print(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def penstock(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile trained, pruned recurrent networks into sparse accelerators, proven bit-true."""


app.command("compress")(compress_command)
app.command("sensitivity")(sensitivity_command)


@app.command("compile")
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
    chosen: frozenset[str],
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
    check_target(output, overwrite)
    options = None
    if head is not None or head_activation is not None:
        options = HeadOptions(head, head_activation or "none")
    compiled = compile_checkpoint(
        model, None if calibration is None else read_array(calibration), hardware,
        precision, options,
        batch_first=not time_first,
        name=_printable(model.stem, "_"),  # goes into comments of the sources
        calibration_name=str(calibration or model), takes_pes="pes" not in chosen,
        key=key, only=only or (),
        calibration_lengths=read_array(calibration_lengths) if calibration_lengths else None,
        calibration_states=read_arrays(calibration_state) if calibration_state else None,
        validation=None if validate is None
        else Validation.of(read_arrays(validate), str(validate)),
        strict=strict, regression=regression,
    )  # fmt: skip
    compiled.write(output, overwrite)
    _print_summary(compiled, output)


def _print_summary(compiled: Compiled, output: Path) -> None:
    machine, hardware = compiled.machine, compiled.plan.hardware
    products = compiled.plan.products
    table = Table(
        "phase", "words", "bound", "non-zeros", *products[0].waste, "entry bits",
        title=f"{escape(str(output))}: {hardware.pes} PEs", title_justify="left",
    )  # fmt: skip
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"
    for product in products:
        cells = (product.code.words, product.bound, product.nonzeros, *product.waste.values(),
                 product.code.entry_bits)  # fmt: skip
        table.add_row(product.code.name, *(f"{cell:,}" for cell in cells))
    out.print(table)
    cycles = machine.order.step_cycles
    out.print(
        f"{cycles:,} cycles per step by the timeline (bound {machine.order.bound_cycles:,}), "
        f"{cycles / hardware.clock_mhz:,.1f} us at {hardware.clock_mhz:g} MHz; "
        f"{compiled.proof.weights:,} weights proven to be packed"
    )
    if compiled.error is not None:
        for line in error_lines(compiled.report["error"]):
            out.print(escape(line))
    for note in compiled.notes:
        out.print(f"note: {escape(note)}")


@app.command()
def run(
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
    from penstock_runtime import Interpreter
    from penstock_runtime.saturated import lines

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
    out.print(f"{escape(str(output))}: {' x '.join(map(str, values.shape))}")
    for line in lines(result.counted):
        out.print(escape(line))


@app.command()
def csim(folder: Folder) -> None:
    """C simulation of a project's golden vectors: Vitis if it is on PATH, else g++."""
    from penstock_runtime.csim import csim as simulate

    with reading(folder):
        done = simulate(folder)
    out.print(escape(done.output.strip()))
    if not done.passed:
        raise typer.Exit(1)


@app.command()
def check(
    folder: Folder,
    steps: Annotated[int, typer.Option(min=1, help="Steps per call.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")] = 1,
    source: Annotated[
        Path | None, typer.Option("-i", "--input", help=".npy of sequences to check as well.")
    ] = None,
    lengths: Annotated[
        Path | None, typer.Option(help=".npy of each sequence's number of steps.")
    ] = None,
    raw_input: Annotated[bool, typer.Option("--raw-input", help=RAW_INPUT)] = False,
) -> None:
    """Compare the interpreter with C simulation, every value of every step."""
    from penstock_runtime import Interpreter
    from penstock_runtime.compare import check as compare
    from penstock_runtime.saturated import lines, warn_of

    if lengths is not None and source is None:
        raise PenstockError("--lengths was given without --input", "check", "give both, or neither")
    with reading(folder):
        interpreter, frames = Interpreter(folder), None
        if source is not None:
            counts = read_array(lengths) if lengths is not None else None
            frames = interpreter.given_frames(read_array(source), counts, raw_input=raw_input)
        own = (frames.raw, frames.lengths) if frames is not None else None
        with told_progress() as tell:
            result = compare(interpreter.project, steps, seed, own, tell=tell)
    values = ", ".join(f"{count:,} {kind}" for kind, count in result.values.items())
    total = sum(result.values.values())
    for name in result.edited:
        out.print(f"note: {escape(name)} was edited after the compiler wrote it")
    out.print(f"{result.constants:,} constants and table entries compared")
    out.print(f"{total:,} values compared in {result.calls} calls: {values or 'none'}")
    if not result.passed:
        out.print(f"FAIL: first difference: {escape(str(result.difference))}")
        raise typer.Exit(1)
    if result.saturated:
        out.print(f"{result.saturated:,} values were out of range in our own calls, as is meant")
    if frames is not None:
        counted = [*frames.saturations, *result.saturations]
        for line in lines(counted):
            out.print(f"{escape(str(source))}: {escape(line)}")
        warn_of(counted, str(source))
    out.print("PASS: interpreter and C simulation agree to the last bit")
