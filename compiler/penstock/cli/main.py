"""``penstock`` and its commands.

A command is loaded when it is called, with all of the compiler or the runtime that it needs; to
list the commands, ``COMMANDS`` is enough.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from penstock.cli.output import (
    COMPLETE,
    INTERRUPTED,
    PROGRAM,
    Interrupted,
    Talk,
    printable,
    set_talk,
)
from penstock.errors import PenstockError
from penstock.version import __version__

COMMANDS = {
    "inspect": (
        "inspect",
        "Print what a checkpoint, program or project holds, and whether it compiles.",
    ),
    "compress": (
        "compress",
        "Train, prune, retrain and quantize a model; save a checkpoint that compiles as it is.",
    ),
    "sensitivity": (
        "compress",
        "Measure validation accuracy with one matrix at a time pruned or quantized.",
    ),
    "compile": (
        "compile",
        "Compile a checkpoint, an ONNX model or a program of torch.export into a Vitis HLS "
        "project.",
    ),
    "run": (
        "run",
        "Run the bit-true interpreter on a project, and say what was out of range.",
    ),
    "csim": (
        "check",
        "C simulation of a project's golden vectors: Vitis if it is on PATH, else g++.",
    ),
    "check": (
        "check",
        "Compare the interpreter with C simulation, every value of every step.",
    ),
    "lint": (
        "lint",
        "Look in a kernel's syntax tree for what Vitis HLS would stumble over.",
    ),
    "export": (
        "export",
        "Write the pruned, quantized network back as a state dict or as an ONNX model.",
    ),
    "report": (
        "report",
        "Print what a compile found out, or hold it against the reports of Vitis HLS.",
    ),
    "explore": (
        "explore",
        "Price many settings as compile would, and print those that no other betters.",
    ),
    "diff": (
        "diff",
        "Print what differs between two projects: settings, formats, cycles, bits, fit, error.",
    ),
    "bench": (
        "bench",
        "Print the performance table of a project: as planned, as measured here, as ESE published.",
    ),
    "doctor": (
        "doctor",
        "Look for what Penstock needs here, and say what each missing part costs.",
    ),
    "completion": (
        "completion",
        "Print what completes commands, options and values in bash, zsh or fish.",
    ),
}
"""Command -> the module of its function, ``<command>_command``; what the list says of it."""

OF_SMALL_PRODUCTS = tuple(name for name in COMMANDS if name not in ("compress", "sensitivity"))
"""Commands whose matrix products are too small to be shared: BLAS has one thread for them."""
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""On a busy machine, threads that wait for each other take several times as long as one alone."""

EXIT_STATUS = (
    "Exit status: 0 done; 1 the answer is no: bits, rules or projects differ (csim, check, lint, "
    "report, diff), a file does not compile (inspect), no point meets the constraints (explore), "
    "a basic part is missing (doctor); 2 bad input, said in one line; 130 interrupted, nothing "
    "half-written."
)
"""Of every command, as the help says it."""

UsageError: Any = typer.BadParameter.__base__
"""What typer raises for a wrong command, option or value: click's, wherever it is kept."""


class Commands(TyperGroup):
    """The commands, by their names and help alone until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that ``args`` begin with: only now is it loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _loaded(name), rest


def _typer(**more: Any) -> typer.Typer:
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, **more)


def command_of(name: str) -> Callable[..., None]:
    """The function of a command, with all that it imports."""
    module = import_module(f"penstock.cli.{COMMANDS[name][0]}")
    function: Callable[..., None] = getattr(module, f"{name}_command")
    return function


def _loaded(name: str) -> Any:
    if name in OF_SMALL_PRODUCTS:
        os.environ.setdefault(BLAS_THREADS, "1")  # what the user has set stays
    from penstock.cli.arguments import with_talk

    alone = _typer()
    alone.command(name)(with_talk(command_of(name)))
    return get_command(alone)


app = _typer(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_STATUS,
    help="Compile trained, pruned recurrent networks into sparse accelerators, proven bit-true.",
)
for _name, (_, _summary) in COMMANDS.items():
    app.command(_name, help=_summary)(lambda: None)


def main() -> None:
    """Run the command line. Invalid input gives one line on stderr and exit status 2.

    Raises KeyboardInterrupt at Ctrl-C, with what to do about it: see ``penstock.program``.
    """
    set_talk(Talk.USUAL)
    if COMPLETE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()  # typer's classes of the shells, which only its own options load
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # paths need not be text of the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _warning_line
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except Interrupted as stop:
        raise KeyboardInterrupt(*stop.args) from stop
    except PenstockError as error:
        status = _refuse(error.line())
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        status = _refuse(f"{error.strerror or error}{place}; hint: check the path and the disk")
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "penstock"
        status = _refuse(f"{error.format_message()}; hint: see {command} --help")
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        sys.exit(status)


def _refuse(line: str) -> int:
    """Print one line without control characters. -> the exit status."""
    print(f"error: {printable(' '.join(line.split()), '?')}", file=sys.stderr)
    return 2


def _warning_line(message: Warning | str, *where: Any, **more: Any) -> str:
    return f"warning: {printable(str(message), '?')}\n"


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
