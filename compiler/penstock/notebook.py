"""What notebooks show of an object: a caption and a small table, every text of it escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(caption: str, rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """HTML for ``_repr_html_``. rows: what it is, its value, and more; notes: a line each."""
    head = f"<caption>{escape(caption)}</caption>"
    body = "".join(map(_row, rows))
    below = "".join(f"<p>note: {escape(note)}</p>" for note in notes)
    return f"<table>{head}<tbody>{body}</tbody></table>{below}"


def _row(cells: Sequence[str]) -> str:
    what, *more = (escape(cell) for cell in cells)
    return f'<tr><th scope="row">{what}</th>{"".join(f"<td>{cell}</td>" for cell in more)}</tr>'
