"""An exploration as one page of HTML that needs nothing else."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penstock.exploration.charts import charts, devices_of
from penstock.exploration.result import Exploration, State
from penstock.exploration.texts import columns, missed, row, settings_of
from penstock.report.text import number, percent, significant
from penstock.templating import template_folder
from penstock.version import __version__


@cache
def _environment() -> Environment:
    """Strict, and everything is escaped: names come from other people's files."""
    folders = [template_folder() / "explore", template_folder() / "report"]
    return Environment(
        loader=FileSystemLoader(folders), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=True,
    )  # fmt: skip


def render_page(found: Exploration) -> str:
    """The page's text."""
    return _environment().get_template("explore.html.j2").render(**_context(found))


def _context(found: Exploration) -> dict[str, Any]:
    headings = columns(found)
    kinds = ["number"] * len(headings)
    return {
        "name": Path(found.name).name, "version": __version__,
        "points": number(len(found.points)),
        "axes": [(axis.field.option, ", ".join(map(axis.field.shown, axis.values)))
                 for axis in found.axes],
        "limits": _limits(found),
        "tiles": [(str(state), number(found.counts[state])) for state in State],
        "charts": charts(found), "devices": devices_of(found),
        "front": {"columns": dict(zip(headings, kinds, strict=True)), "kinds": kinds,
                  "rows": [row(found, one) for one in found.front], "total": None},
        "nearest": None if found.nearest is None else {
            "number": found.nearest.point.number, "settings": settings_of(found, found.nearest),
            "missed": missed(found),
        },
        "commands": [(one.point.number, shlex.join(
            ["penstock", "compile", found.model(one), "-o", "DIR", *found.options(one)]
        )) for one in found.front],
        "reasons": {
            "columns": {"state": "text", "reason": "text", "points": "number"},
            "kinds": ["text", "text", "number"], "total": None,
            "rows": [(str(state), reason, number(count))
                     for state, reason, count in found.reasons],
        },
        "frames": next((one.error.frames for one in found.points if one.error), ""),
    }  # fmt: skip


def _limits(found: Exploration) -> list[str]:
    """The constraints, in words."""
    limits = found.constraints
    told = {
        "a step of at most {} us": significant(limits.target_us) if limits.target_us else None,
        "an error of at most {}": percent(limits.max_error, 2) if limits.max_error else None,
        "a loss of at most {}": None if limits.max_loss is None
        else significant(limits.max_loss, 3),
    }  # fmt: skip
    words = [text.format(value) for text, value in told.items() if value is not None]
    return words + ["whatever fits for certain"] * limits.fits
