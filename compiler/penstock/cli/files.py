"""Names of the files that a command writes."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import PenstockError


def check_suffix(path: Path, suffix: str) -> None:
    """Refuse a name that promises another kind of file; one without a suffix promises none."""
    if path.suffix not in ("", suffix):
        raise PenstockError(
            f"results can't be written as {path.suffix}",
            str(path),
            f"name it {path.stem}{suffix}; numpy.load reads it",
        )
