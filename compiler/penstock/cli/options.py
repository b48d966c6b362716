"""Options of a command that come from the fields of the settings themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_args, get_type_hints

import typer

from penstock.settings import Hardware, Option, Precision

SETTINGS = {"hardware": Hardware, "precision": Precision}


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """``command`` with an option for each field, in place of ``hardware`` and ``precision``.

    The command is given the settings; ``precision`` is None if no option of it was used, so that
    the formats of a checkpoint count. Fields without an ``Option`` have none.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        settings = SETTINGS.get(parameter.name)
        parameters += [parameter] if settings is None else _parameters(settings)

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        for name, settings in SETTINGS.items():
            options = {field: given.pop(field) for field in _options(settings)}
            used = {
                field: options[field]
                for field, (_, default, _) in _options(settings).items()
                if not _is_unused(options[field], default)
            }
            given[name] = settings(**used) if used or settings is Hardware else None
        return command(**given)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def _is_unused(value: Any, default: Any) -> bool:
    return value is None or (value is False and default is False)  # 0 is a value


def _options(settings: type[Any]) -> dict[str, tuple[Option, Any, type[Any]]]:
    """Field -> what the command line says of it, its default, and the type that it asks for."""
    defaults = {item.name: item.default for item in fields(settings)}
    found = {}
    for name, hint in get_type_hints(settings, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Option):
                found[name] = note, defaults[name], _asked_for(hint.__origin__)
    return found


def _asked_for(hint: Any) -> type[Any]:
    """``int`` of ``int | Fixed``, ``str`` of ``str | None``."""
    kinds: list[type[Any]] = [
        kind for kind in get_args(hint) or (hint,) if kind in (bool, int, float, str)
    ]
    assert len(kinds) == 1, hint
    return kinds[0]


def _parameters(settings: type[Any]) -> list[inspect.Parameter]:
    return [_parameter(field, *told) for field, told in _options(settings).items()]


def _parameter(field: str, option: Option, default: Any, dtype: type[Any]) -> inspect.Parameter:
    """None stands for an option that was not used; the help names the field's own default."""
    name = option.name or "--" + field.replace("_", "-")
    is_flag = default is False
    if dtype is bool and not is_flag:
        name += "/--no-" + name.removeprefix("--")
    text = option.help
    if not is_flag and default is not None:
        text += f" Default: {default:g}." if isinstance(default, float) else f" Default: {default}."
    return inspect.Parameter(
        field, inspect.Parameter.KEYWORD_ONLY, default=False if is_flag else None,
        annotation=Annotated[dtype | None, typer.Option(name, help=text)],
    )  # fmt: skip
