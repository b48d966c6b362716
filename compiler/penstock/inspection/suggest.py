"""What to run next: the PEs that a network is balanced for, and the command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from penstock.compress.recognize import NonZeros

FRAMES = "frames.npy"
"""What the command calls the user's own frames."""


def suggested_pes(matrices: Iterable[NonZeros]) -> int | None:
    """The greatest number of PEs for which every matrix is balanced.

    One whose rows all have as many leaves it open. None if all do, or one is balanced for none: it
    is the compiler's choice.
    """
    common: set[int] | None = None
    for found in matrices:
        if found.count and not found.is_row_balanced:
            own = set(found.pe_balanced)
            common = own if common is None else common & own
    return max(common) if common else None


def compile_command(file: str, pes: int | None, choices: Sequence[str], takes_frames: bool) -> str:
    """The command that compiles a file. pes: None where the file or the compiler says it."""
    words = ["penstock", "compile", file, "-o", "project", *choices]
    words += [] if pes is None else ["--pes", str(pes)]
    words += ["--calibration", FRAMES] if takes_frames else []
    return shlex.join(words)


def inspect_command(file: str, choices: Sequence[str]) -> str:
    """The command that looks at a part of a file."""
    return shlex.join(["penstock", "inspect", file, *choices])
