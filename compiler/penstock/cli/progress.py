"""How far a command is: a line on the terminal, gone when it has ended; elsewhere nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function that takes what is being done, how much of it is, and of how much.

    Written to standard error, and only if that is a terminal: results go to standard output.
    """
    if not sys.stderr.isatty():
        yield lambda work, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=1)

        def tell(work: str, done: int, of: int) -> None:
            progress.update(task, description=work, completed=done, total=of)

        yield tell
