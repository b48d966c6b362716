"""Figures that long runs put into docs/results.md."""

from __future__ import annotations

import os
import platform
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from story import RESULTS, replace_section


def show_figures(name: str, command: str, text: str, is_written: bool) -> None:
    """Print ``text``; with ``is_written``, also between the page's marks ``name``.

    command: what printed it.
    """
    print(text)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    note = f"Printed by `{command}` on {date.today()}, {machine}."
    if is_written:
        replace_section(RESULTS, name, f"{text.rstrip()}\n\n{note}")


def row(*cells: object) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"
