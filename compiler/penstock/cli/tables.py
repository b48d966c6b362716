"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.cli.output import CONTROLS

WIDE = 160
"""Columns of a wide table in a file or a pipe; a terminal has its own."""


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    words: int = 1,
    is_wide: bool = False,
) -> None:
    """Print a table. words: so many columns, the first, hold words; all others hold numbers."""
    table = Table(*columns, title=escape(title.translate(CONTROLS)), title_justify="left")
    for column in table.columns[:words]:
        column.overflow = "fold"
    for column in table.columns[words:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*(escape(cell.translate(CONTROLS)) for cell in row))
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    if is_wide and not console.is_terminal:
        console.width = WIDE
    console.print(table)
