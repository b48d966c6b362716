"""Arrays from and to files, with errors that a user can mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
