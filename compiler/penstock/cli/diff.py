"""``penstock diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import AsJson
from penstock.cli.output import print_json, say
from penstock.cli.tables import print_table
from penstock.differences import FILES, Differences, Row, Scalar, Section, differences
from penstock.report.text import NOTHING, number, significant

LARGE = 1000
"""From here on, a number needs no digits behind the point."""


def diff_command(
    a: Annotated[Path, typer.Argument(metavar="A", help="A project folder.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    everything: Annotated[bool, typer.Option("--all", help="Print what is equal, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what differs between two projects: settings, formats, cycles, bits, fit, error.

    Exit status 0: equal, file by file. 1: different. 2: a folder is no project, or is damaged.
    """
    found = differences(a, b)
    if as_json:
        print_json(found.as_values(everything))
    else:
        _print(found, everything)
    if not found.is_equal:
        raise typer.Exit(1)


def _print(found: Differences, everything: bool) -> None:
    say(f"A: {found.a}\nB: {found.b}")
    for section in found.sections:
        rows = [row for row in section.rows if everything or not row.is_equal]
        if section.name == FILES:
            _say_files(section)
        elif rows:
            print_table(
                section.name, ("", "A", "B", "change"),
                [(row.name, _text(row.a), _text(row.b), _change(row)) for row in rows],
            )  # fmt: skip
    count = sum(len(section.rows) for section in found.sections)
    differing = sum(not row.is_equal for section in found.sections for row in section.rows)
    say(f"{differing:,} of {count:,} values and files differ" if differing
        else f"equal: {count:,} values and files")  # fmt: skip


def _say_files(files: Section) -> None:
    """By name alone: nobody compares digests by eye."""
    names = []
    for row in files.rows:
        only = "A" if row.b is None else "B" if row.a is None else ""
        if not row.is_equal:
            names.append(f"{row.name} (only in {only})" if only else row.name)
    if names:
        say(f"files that differ: {', '.join(names)}")


def _text(value: Scalar) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return number(value) if abs(value) >= LARGE else significant(value)
    return value


def _change(row: Row) -> str:
    """From A to B, of two numbers."""
    a, b = row.a, row.b
    if not _is_number(a) or not _is_number(b) or a == b or not a:
        return ""
    assert isinstance(a, int | float) and isinstance(b, int | float)
    return f"{100 * (b / a - 1):+,.1f} %"


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
