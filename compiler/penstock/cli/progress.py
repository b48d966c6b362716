"""A bar on the terminal for what takes longer than a second; elsewhere, nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_SECONDS = 1.0


class Bar:
    """Called with how much is done, and of how much."""

    def __init__(self, what: str, unit: str) -> None:
        self._what, self._unit = what, unit
        self._start = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, done: int, of: int) -> None:
        """Show it, with its rate and what is left."""
        seconds = time.monotonic() - self._start
        if self._bar is None and sys.stderr.isatty() and seconds > PATIENCE_SECONDS:
            self._open(of)
        if self._bar is not None:
            rate = f"{done / seconds:,.0f} {self._unit}/s"
            self._bar.update(self._task, completed=done, rate=rate)

    def _open(self, of: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Left

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), Left(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(self._what, total=of, rate="")
        self._bar.start()

    def close(self) -> None:
        """Take it off the terminal."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def progress(what: str, unit: str) -> Iterator[Bar]:
    """A bar that is gone when the block ends, however it ends."""
    bar = Bar(what, unit)
    try:
        yield bar
    finally:
        bar.close()
