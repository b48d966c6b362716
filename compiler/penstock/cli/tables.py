"""Tables on the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.cli.output import CONTROLS, Talk, say, talk

BORDER = 3
"""Columns of the terminal beside each cell; one more at the end."""


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> None:
    """Print a title and a table, never a part of one.

    words: so many columns, the first, hold words; all others hold numbers. In a file or a pipe a
    row is a line, however long, unless COLUMNS says how wide a line may be. Where a table is too
    wide, its headings are broken, and then a row becomes a line for each of its cells.
    """
    if talk() is Talk.QUIET:
        return
    say(title)
    cells = [[cell.translate(CONTROLS) for cell in row] for row in rows]
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    whole = _widths(cells, [[name] for name in columns])
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = max(console.width, _total(whole))
    tight = _widths(cells, [name.split() for name in columns])
    if _total(tight) > console.width:
        _say_rows(columns, cells)
        return
    table = Table(*map(escape, columns))
    widths = whole if _total(whole) <= console.width else tight
    for number, (column, width) in enumerate(zip(table.columns, widths, strict=True)):
        column.width = width
        column.justify = "left" if number < words else "right"
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def _widths(cells: list[list[str]], headings: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column, whose heading may be broken into these parts."""
    return [
        max(map(cell_len, (*parts, *(row[number] for row in cells))), default=0)
        for number, parts in enumerate(headings)
    ]


def _total(widths: list[int]) -> int:
    return sum(widths) + BORDER * len(widths) + 1


def _say_rows(columns: Sequence[str], cells: list[list[str]]) -> None:
    """The same, a cell a line; what has no value is left out."""
    width = max(map(cell_len, columns[1:]), default=0)
    for row in cells:
        say(f"{columns[0]} {row[0]}".strip())
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell:
                say(f"  {name:{width}}  {cell}")
