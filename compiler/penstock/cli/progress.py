"""How far a command is: a line on the terminal, gone when it has ended; elsewhere nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_SECONDS = 1.0
"""What takes no longer needs no bar."""


class Bar:
    """Takes what is being done, how much of it is, and of how much.

    unit: of what is counted; if given, the rate is shown, too. The bar is written to standard
    error, and only if that is a terminal: results go to standard output.
    """

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._start = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, work: str, done: int, of: int) -> None:
        """Show it."""
        seconds = time.monotonic() - self._start
        if self._bar is None and sys.stderr.isatty() and seconds > PATIENCE_SECONDS:
            self._open()
        if self._bar is not None:
            rate = f"{done / seconds:,.0f} {self._unit}/s" if self._unit else ""
            self._bar.update(self._task, description=work, completed=done, total=of, rate=rate)

    def _open(self) -> None:
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}", markup=False), progress.BarColumn(),
            progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
        )  # fmt: skip
        self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=1, rate="")
        self._bar.start()

    def close(self) -> None:
        """Take it off the terminal."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def told_progress(unit: str = "") -> Iterator[Bar]:
    """A bar that is gone when the block ends, however it ends."""
    bar = Bar(unit)
    try:
        yield bar
    finally:
        bar.close()
