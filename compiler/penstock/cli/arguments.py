"""Arguments that several commands take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.output import Interrupted, Talk, set_talk
from penstock.errors import PenstockError

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A project folder written by penstock compile.")
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine", metavar="NAME", help="What computes: auto, native or numpy; the same bits.",
        autocompletion=lambda: ["auto", "native", "numpy"],
    ),
]  # fmt: skip
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON value, and nothing else: see docs/command-line.md."
    ),
]
RAW_INPUT = "The input holds raw integers of the input type, not real numbers."
Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Print only what is wrong; the exit status says the rest."),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", help="Print each stage of the work to standard error, in pipes as well."
    ),
]


def with_talk(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with --quiet and --verbose."""
    signature = inspect.signature(command, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("verbose", Verbose))
    ]

    @functools.wraps(command)
    def run(*, quiet: bool, verbose: bool, **values: Any) -> Any:
        if quiet and verbose:
            raise PenstockError(
                "--quiet and --verbose were both given", "command line", "give one of them"
            )
        set_talk(Talk.QUIET if quiet else Talk.VERBOSE if verbose else Talk.USUAL)
        try:
            return command(**values)
        except KeyboardInterrupt as stop:
            raise Interrupted(*stop.args) from stop

    parameters = [*signature.parameters.values(), *more]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run
