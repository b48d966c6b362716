"""The program ``penstock``: the command line, which Ctrl-C ends at any moment.

That gives one line and exit status 130, so the command line itself is loaded within.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any

INTERRUPTED = 130
"""The exit status: 128 and the number of SIGINT."""


class _Interrupts:
    """SIGINT while a command runs. Whoever catches what it raises can't make the command go on."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> _Interrupts:
        self._before = signal.getsignal(signal.SIGINT)
        self._hook = sys.unraisablehook
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._raise)
            sys.unraisablehook = self._unraisable
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        signal.signal(signal.SIGINT, self._before)
        sys.unraisablehook = self._hook

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _unraisable(self, unraisable: Any) -> None:
        """It came in a destructor or a callback, which can't raise: once more, where one can."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        else:
            self._hook(unraisable)


def main() -> None:
    """Run the command line in a process of its own."""
    try:
        _run()
    finally:  # it has ended, and nothing is left to interrupt
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run() -> None:
    with _Interrupts() as interrupts:
        try:
            from penstock.cli import main as command_line

            command_line()
        except BaseException as error:
            has_ended = isinstance(error, SystemExit) and error.code == INTERRUPTED
            if has_ended or not (interrupts.came or isinstance(error, KeyboardInterrupt)):
                raise
            print("interrupted", file=sys.stderr)  # while it was loaded, or by way of another error
            raise SystemExit(INTERRUPTED) from None
