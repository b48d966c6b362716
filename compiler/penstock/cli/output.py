"""What a command says, where plain lines will do: rich takes longer to load than a run."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Any

CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""What a terminal would obey; names of files and nodes can hold it."""

PROGRAM, COMPLETE = "penstock", "_PENSTOCK_COMPLETE"
"""The name of the program, and the variable in which a shell asks it what could follow."""
INTERRUPTED = 130
"""The exit status of Ctrl-C, and typer's word for it."""


class Interrupted(BaseException):
    """Ctrl-C in a command, and what to do about it: typer would drop the words."""


class Talk(Enum):
    """How much a command says."""

    QUIET = "what is wrong"
    USUAL = "what was found"
    VERBOSE = "what was found, and each stage of the work"


_talk = Talk.USUAL


def set_talk(talk: Talk) -> None:
    """Of the command that runs in this process."""
    global _talk
    _talk = talk


def talk() -> Talk:
    """How much the command says."""
    return _talk


def say(text: str) -> None:
    """Print a line, or several. Whoever reads them may have closed the pipe: that is told here."""
    if _talk is not Talk.QUIET:
        say_wrong(text)


def say_wrong(text: str) -> None:
    """The same of what is wrong, which --quiet does not hide."""
    print(text.translate(CONTROLS), flush=True)


def say_aside(text: str) -> None:
    """A line on standard error, of what is under way: standard output is for what was found."""
    sys.stderr.write(text.translate(CONTROLS) + "\n")  # in one piece, whatever comes between
    sys.stderr.flush()


def print_json(values: Any) -> None:
    """The one JSON value of a command."""
    print(json.dumps(values, indent=1, allow_nan=False), flush=True)


def printable(text: str, instead: str) -> str:
    """``text`` with ``instead`` in the place of each character that is not printable."""
    return "".join(letter if letter.isprintable() else instead for letter in text)
