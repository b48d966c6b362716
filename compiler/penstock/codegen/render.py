"""The Jinja environment. Templates lay out; every decision was taken before."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penstock.templating import template_folder


@cache
def environment() -> Environment:
    """Strict: a name that is not defined is an error, never an empty string."""
    return Environment(
        loader=FileSystemLoader(template_folder() / "hls"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, context: dict[str, Any]) -> str:
    """One file from its template, a path below templates/hls."""
    return environment().get_template(template).render(**context)
