"""Something that was looked for, and how it is asked after."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from penstock.errors import PenstockError

OK, MISSING, OLD, BROKEN = "ok", "missing", "too old", "broken"
BASICS = ("compile", "run", "csim")
"""The commands without which nothing is of use."""
LONGEST_SECONDS = 60.0
"""For what is asked of another program."""


@dataclass(frozen=True)
class Item:
    """Something that was looked for.

    found: a version, a path, or what is wrong. costs: what does not work without it, remedy: how to
    get it; both empty where it is ok. needed_by: those of ``BASICS`` that do not work without it.
    """

    name: str
    state: str
    found: str = ""
    costs: str = ""
    remedy: str = ""
    needed_by: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """True if it can be used."""
        return self.state == OK


def tried(
    name: str, find: Callable[[], str], costs: str, remedy: str, needed_by: tuple[str, ...]
) -> Item:
    """What ``find`` says. What it raises is what is wrong: a PenstockError has its own remedy."""
    try:
        return Item(name, OK, find(), needed_by=needed_by)
    except PenstockError as error:
        return Item(name, MISSING, error.what, costs, error.hint, needed_by)
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        return Item(name, BROKEN, first_line(str(error)), costs, remedy, needed_by)


def answer(command: list[str]) -> str:
    """The first line that a program prints. Raises OSError and SubprocessError."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    return first_line(done.stdout)


def first_line(text: str) -> str:
    """Of several, the first."""
    return next(iter(text.strip().splitlines()), "")
