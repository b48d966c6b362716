"""Arrays from and to files, with errors that a user can mend."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from penstock.errors import PenstockError


def read_array(path: Path) -> NDArray[Any]:
    """One .npy array. Pickled objects are refused. Raises PenstockError."""
    loaded = _load(path)
    if not isinstance(loaded, np.ndarray):
        raise PenstockError("the file holds several arrays", str(path), "save one with numpy.save")
    return loaded


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name. Raises PenstockError."""
    loaded = _load(path)
    if isinstance(loaded, np.ndarray):
        raise PenstockError("the file holds one array", str(path), "save them with numpy.savez")
    try:
        return {str(name): loaded[name] for name in loaded.files}
    except Exception as error:  # zipfile, zlib and numpy each raise their own
        raise _unreadable(path) from error


def _load(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PenstockError(
            f"the file can't be read: {reason}", str(path), "check the path"
        ) from error
    except Exception as error:  # numpy's words advise to load pickles
        raise _unreadable(path) from error


def _unreadable(path: Path) -> PenstockError:
    return PenstockError(
        "this is no whole NumPy file of numbers", str(path), "save it with numpy.save"
    )


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
