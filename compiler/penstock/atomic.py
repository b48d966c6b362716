"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from penstock.errors import PenstockError


def write_files(saves: dict[Path, Callable[[IO[bytes]], None]]) -> None:
    """Write each file beside its place, then move all into place: never half a file, nor only some.

    Raises PenstockError.
    """
    beside: dict[Path, Path] = {}
    path = Path()
    try:
        for path, save in saves.items():
            if path.exists() and not path.is_file():
                raise PenstockError("the output is not a file", str(path), "choose another place")
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            beside[path] = Path(name)
            with os.fdopen(handle, "wb") as file:
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
