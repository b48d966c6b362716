"""What the compiler says when the user's input can't be worked with, or looks wrong."""

import sys
import warnings

LONGEST = 1000
"""Characters of each part of an error: a name in a damaged file can be of any length."""


class PenstockError(Exception):
    """A fault in what the user gave: what is wrong, where, and what to try.

    Faults of Penstock itself are ordinary exceptions with a traceback.
    """

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = map(_shortened, (what, where, hint))
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message on one line, as the command line prints it after ``error:``."""
        where = f" ({self.where})" if self.where else ""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.what}{where}{hint}"


class UnreadableError(PenstockError):
    """A file that is missing, damaged or of another kind, or a library to read it that is missing.

    Of anything else that is refused it is known what it is.
    """


def kind_of(value: object) -> str:
    """``an int``, ``a dict``, ``an LSTM``: what a value is, with its article."""
    noun = type(value).__name__
    is_acronym = noun[:2].isupper() and noun[0] in "AEFHILMNORSX"
    article = "an" if is_acronym or noun[0] in "aeioAEIO" else "a"
    return "None" if value is None else f"{article} {noun}"


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def warn(message: str) -> None:
    """A UserWarning at the line, outside of Penstock, from which it was called."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("penstock", "penstock_runtime")
