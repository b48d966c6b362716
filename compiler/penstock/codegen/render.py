"""The Jinja environment of a back end. Templates lay out; every decision was taken before."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penstock.templating import template_folder


@cache
def environment(back_end: str) -> Environment:
    """Templates of templates/``back_end``; a name that is not defined is an error."""
    return Environment(
        loader=FileSystemLoader(template_folder() / back_end),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(back_end: str, template: str, context: dict[str, Any]) -> str:
    """One file from its template, a path below templates/``back_end``."""
    return environment(back_end).get_template(template).render(**context)
