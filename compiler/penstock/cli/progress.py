"""How far a command is, on standard error: a line on the terminal, gone when it has ended.

Elsewhere nothing, unless --verbose asks for lines that stay. Results go to standard output.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.cli.output import Talk, say_aside, talk

PATIENCE_SECONDS = 1.0
"""What takes no longer needs no bar."""
STARTING = "starting"
EVERY_SECONDS = 5.0
"""How often --verbose says how far a long stage is."""


class Bar:
    """Takes what is being done, how much of it is, and of how much.

    unit: of what is counted; if given, the rate is shown, too.
    """

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._start = self._since = self._said = time.monotonic()
        self._work, self._done, self._of, self._detail = "", 0, 1, ""
        self._bar: Any = None
        self._task: Any = None
        self._lock = threading.RLock()
        self._timer = threading.Timer(PATIENCE_SECONDS, self._open)
        self._timer.daemon = True
        if sys.stderr.isatty() and talk() is Talk.USUAL:
            self._timer.start()

    def __call__(self, work: str, done: int, of: int, detail: str = "") -> None:
        """Show it; detail: what changes within the same work."""
        with self._lock:
            is_new = work != self._work
            if is_new:
                self._since = time.monotonic()
            self._work, self._done, self._of, self._detail = work, done, of, detail
            self._update()
        if talk() is Talk.VERBOSE:
            self._say(is_new)

    def _say(self, is_new: bool) -> None:
        now = time.monotonic()
        if is_new or now - self._said >= EVERY_SECONDS:
            self._said = now
            far = f" {self._done:,}/{self._of:,}" if self._of > 1 else ""
            say_aside(f"{now - self._start:8.1f} s  {self._work}{far} {self._rate()}".rstrip())

    def _rate(self) -> str:
        """Of the present work."""
        seconds = time.monotonic() - self._since
        if not self._unit or not self._done or seconds <= 0:
            return ""
        return f"{self._done / seconds:,.0f} {self._unit}/s"

    def _open(self) -> None:
        """Draw it: the patience is over."""
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}", markup=False), progress.BarColumn(),
            progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(), progress.TimeRemainingColumn(),
        )  # fmt: skip
        with self._lock:
            if self._timer.finished.is_set():  # closed meanwhile
                return
            self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=1, rate="")
            self._bar.start()
            self._update()

    def _update(self) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task, description=f"{self._work or STARTING} {self._detail}".rstrip(),
                completed=self._done, total=self._of, rate=self._rate(),
            )  # fmt: skip

    def close(self) -> None:
        """Take it off the terminal."""
        self._timer.cancel()
        with self._lock:
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
