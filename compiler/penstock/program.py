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
AGAIN_SECONDS = 0.3


def main() -> None:
    """Run the command line in a process of its own."""
    interrupts = _Interrupts()
    try:
        from penstock.cli import main as command_line

        command_line()
        interrupts.ignore()
    except BaseException as error:
        interrupts.ignore()
        if not interrupts.came:
            raise
        advice = str(error) if isinstance(error, KeyboardInterrupt) else ""
        print("; ".join(filter(None, ("interrupted", advice))), file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


class _Interrupts:
    """SIGINT while a command runs.

    Whoever catches what it raises does not get away with it: extension modules drop exceptions
    while they are loaded, and destructors can't raise any. It is raised again until the program
    ends; but not while what it has raised is on its way, and files are tidied up. Where SIGINT is
    ignored, as by nohup, it stays so.
    """

    def __init__(self) -> None:
        self.came = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            for number in (signal.SIGINT, signal.SIGALRM):
                signal.signal(number, self._raise)
            sys.unraisablehook = self._unraisable

    def ignore(self) -> None:
        """The command has ended: there is nothing to interrupt."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        if not _is_on_its_way():
            raise KeyboardInterrupt

    def _unraisable(self, unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)


def _is_on_its_way() -> bool:
    """Whether a ``finally``, an ``except`` or an ``__exit__`` runs because of KeyboardInterrupt."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False
