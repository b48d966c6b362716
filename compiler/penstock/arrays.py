"""Arrays as users have them: NumPy's, torch's, lists, and files of them."""

from __future__ import annotations

import math
import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from penstock.errors import PenstockError
from penstock.fixed import FloatArray

if TYPE_CHECKING:
    import zipfile

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
DEFLATED = 1100
"""A deflated byte stands for fewer than this."""


def as_array(values: Any, where: str) -> NDArray[Any]:
    """``values`` as a NumPy array. Raises PenstockError for what can't be one.

    A tensor of torch is detached and brought to the host, whatever its device and layout; its
    bfloat16 and float16 are widened to float32, which holds all of them.
    """
    if isinstance(values, np.ndarray):
        return values
    kind = type(values).__name__
    what = "None" if values is None else f"this {kind}"
    if getattr(values, "is_meta", False):
        raise PenstockError(
            f"the {kind} is on the meta device, which holds no values", where, "give real values"
        )
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu().to_dense()
            if values.is_floating_point() and values.element_size() <= 2:
                values = values.float()
        found = np.asarray(values)
        if found.dtype.kind in "OUS":
            raise TypeError("no numbers")
    except (AttributeError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise PenstockError(
            f"{what} can't be read as an array", where,
            "read the file: numpy.load(path)" if isinstance(values, str | PathLike)
            else "give a NumPy array or a torch tensor",
        ) from error  # fmt: skip
    return found


def as_floats(values: NDArray[Any]) -> FloatArray:
    """Numbers as float64; a signalling NaN becomes a quiet one, without a warning."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def read_array(path: Path) -> NDArray[Any]:
    """The array of an .npy file, or the only one of an .npz file. Raises PenstockError."""
    loaded = _load(path, "save it with numpy.save")
    if isinstance(loaded, np.ndarray):
        return loaded
    if len(loaded) != 1:
        names = ", ".join(sorted(loaded)[:3]) + (", ..." if len(loaded) > 3 else "")
        what = f"the file holds {len(loaded)} arrays{f': {names}' if names else ''}"
        raise PenstockError(what, str(path), "save one with numpy.save")
    return next(iter(loaded.values()))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name. Raises PenstockError."""
    loaded = _load(path, "save it with numpy.savez")
    if isinstance(loaded, np.ndarray):
        raise PenstockError("the file holds one array", str(path), "save them with numpy.savez")
    return loaded


def _load(path: Path, hint: str) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Pickles are refused, and so are headers that claim more than the file holds."""
    import zipfile  # for files alone, and it loads every compression

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an error that follows is to stand alone
            if not zipfile.is_zipfile(path):
                return np.array(npy.open_memmap(path, mode="r"))
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    _check_member(archive, member)
            with np.load(path, allow_pickle=False) as file:
                return {str(name): file[name] for name in file.files}
    except OSError as error:
        reason = error.strerror or str(error)
        raise PenstockError(
            f"the file can't be read: {reason}", str(path), "check the path"
        ) from error
    except Exception as error:  # numpy, zipfile and zlib raise their own, and advise pickles
        raise PenstockError("not a complete NumPy file of numbers", str(path), hint) from error


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise ValueError or KeyError if it is no .npy file, or claims more than it can hold."""
    with archive.open(member) as file:
        shape, _, kind = HEADERS[npy.read_magic(file)](file)
    if math.prod(shape) * kind.itemsize > member.file_size:
        raise ValueError(f"{member.filename} claims an array of {shape}")
    if member.file_size > DEFLATED * member.compress_size:
        raise ValueError(f"{member.filename} claims {member.file_size} bytes")
