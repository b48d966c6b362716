"""Options of a command that come from the fields of the settings themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.errors import PenstockError
from penstock.option import OF_NAMES, Kind, Setting, settings_of

GIVEN = "given"
"""The parameter of a command in whose place the options come."""
ASKED: dict[Kind, Any] = {
    Kind.FLAG: bool, Kind.INTEGER: int, Kind.NUMBER: float, Kind.TEXT: str, Kind.FILE: Path,
    Kind.BITS: str, Kind.TEXTS: list[str], Kind.TYPES: list[str], Kind.EXPONENTS: list[str],
}  # fmt: skip
PANELS = {"network": "Network", "hardware": "Hardware", "precision": "Number formats"}
"""Of the help; all other options stand together."""
METAVARS = {
    Kind.BITS: "INTEGER|TYPE", Kind.TYPES: "TENSOR=TYPE", Kind.EXPONENTS: "MATRIX=K,K,...",
}  # fmt: skip


def with_options(**tables: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each field of these classes, in place of ``given``.

    ``given`` is then table -> field -> value, of the options that were used and no others.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            parameters += _parameters(tables) if parameter.name == GIVEN else [parameter]

        @functools.wraps(command)
        def run(**values: Any) -> Any:
            given: dict[str, dict[str, Any]] = {table: {} for table in tables}
            for table, owner in tables.items():
                for name, setting in settings_of(owner).items():
                    value = values.pop(name, None)
                    if value is not None and value != []:
                        given[table][name] = _read(setting, value)
            return command(**values, given=given)

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        return run

    return decorate


def _read(setting: Setting, value: Any) -> Any:
    try:
        return setting.from_words(value)
    except ValueError as error:
        raise PenstockError(
            f"{setting.names[-1]} can't be read: {error}", "command line",
            f"give {METAVARS[setting.kind]}",
        ) from error  # fmt: skip


def _parameters(tables: dict[str, type[Any]]) -> list[inspect.Parameter]:
    return [
        _parameter(setting, PANELS.get(table))
        for table, owner in tables.items()
        for setting in settings_of(owner).values()
    ]


def _parameter(setting: Setting, panel: str | None) -> inspect.Parameter:
    """None stands for an option that was not used; the help names the field's own default."""
    names, option = list(setting.names), setting.option
    more: dict[str, Any] = {
        "help": option.help, "metavar": option.metavar or METAVARS.get(setting.kind),
        "show_default": False,
    }  # fmt: skip
    if option.choices:
        more["autocompletion"] = lambda: list(option.choices)
    if not names[-1].startswith("-"):
        about: Any = typer.Argument(**more | {"metavar": names[-1]})
    else:
        if setting.kind is Kind.FLAG:
            names[-1] += "/--no-" + names[-1].removeprefix("--")
        default = setting.default
        if default is not None and setting.kind not in (Kind.FLAG, Kind.TEXTS, *OF_NAMES):
            told = f"{default:g}" if isinstance(default, float) else default
            more["help"] += f" Default: {told}."
        about = typer.Option(*names, **more, rich_help_panel=panel)
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None,
        annotation=Annotated[ASKED[setting.kind] | None, about],
    )  # fmt: skip
