"""Files that are written whole or not at all."""

from __future__ import annotations

import fcntl
import glob
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from penstock.errors import PenstockError

UNFINISHED = ".unfinished"
IDLE_SECONDS = 60.0


def write_files(saves: Mapping[Path, Callable[[IO[bytes]], None]]) -> None:
    """Write each file beside its place, then move all into place: never half a file.

    On a failure none is moved. Only a kill between two moves can leave some files old and some
    new. What a killed run left beside a file (``.name.*.unfinished``) is removed by the next one.
    Raises PenstockError.
    """
    beside: dict[Path, Path] = {}
    path = Path()
    try:
        for path, save in saves.items():
            if path.exists() and not path.is_file():
                raise PenstockError("the output is not a file", str(path), "choose another place")
            _remove_unfinished(path)
            handle, name = tempfile.mkstemp(UNFINISHED, f".{path.name}.", path.parent)
            beside[path] = Path(name)
            with os.fdopen(handle, "wb") as file:
                _lock(handle)
                save(file)
            beside[path].chmod(0o644)
        for path, written in beside.items():
            written.replace(path)
    except OSError as error:
        raise PenstockError(
            f"the file can't be written: {error.strerror}", str(path), "choose another place"
        ) from error
    finally:
        for written in beside.values():
            written.unlink(missing_ok=True)


def _lock(handle: int) -> bool:
    """Whether the open file is now ours alone; where there are no locks, it is not."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_unfinished(path: Path) -> None:
    """Remove what killed runs left beside ``path``: nobody holds it or has just begun it."""
    for stray in path.parent.glob(f".{glob.escape(path.name)}.*{UNFINISHED}"):
        with suppress(OSError), stray.open("rb") as file:
            idle_seconds = time.time() - os.fstat(file.fileno()).st_mtime
            if idle_seconds > IDLE_SECONDS and _lock(file.fileno()):
                stray.unlink()
