"""The program ``penstock``: the command line, which Ctrl-C ends at any moment.

That gives one line and exit status 130, so the command line itself is loaded within.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""The exit status: 128 and the number of SIGINT."""


def main() -> None:
    """Run the command line in a process of its own."""
    interrupts = _Interrupts()
    try:
        from penstock.cli import main as command_line

        command_line()
        interrupts.ignore()
    except BaseException as error:
        interrupts.ignore()
        has_ended = isinstance(error, SystemExit) and error.code == INTERRUPTED
        if has_ended or not interrupts.came:
            raise
        print("interrupted", file=sys.stderr)  # while it was loaded, or by way of another error
        raise SystemExit(INTERRUPTED) from None


class _Interrupts:
    """SIGINT while a command runs. Whoever catches what it raises can't make the command succeed.

    Where SIGINT is ignored, as by nohup, it stays so.
    """

    def __init__(self) -> None:
        self.came = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._raise)
            sys.unraisablehook = self._unraisable

    def ignore(self) -> None:
        """The command has ended: there is nothing to interrupt."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _unraisable(self, unraisable: Any) -> None:
        """It came in a destructor or a callback, which can't raise: once more, where one can."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        else:
            sys.__unraisablehook__(unraisable)
