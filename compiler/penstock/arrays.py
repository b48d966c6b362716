"""Arrays as users have them: NumPy's, torch's, lists, and files of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


class StoredArray:
    """The array of a file, of which parts are read when they are asked for.

    shape, dtype: of all of it. An .npz file is read at once. Raises PenstockError.
    """

    def __init__(self, path: Path) -> None:
        import zipfile

        self._path, self._whole = path, None
        if zipfile.is_zipfile(path):
            self._whole = read_array(path)
            self.shape, self.dtype = self._whole.shape, self._whole.dtype
        else:
            mapped = _opened(path)
            self.shape, self.dtype = mapped.shape, mapped.dtype

    def part(self, *index: slice) -> NDArray[Any]:
        """A copy of a part; no more of the file is kept in memory."""
        whole = _opened(self._path) if self._whole is None else self._whole
        return np.array(whole[index])


def _opened(path: Path) -> NDArray[Any]:
    with _readable(path, "save it with numpy.save"):
        return npy.open_memmap(path, mode="r")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name. Raises PenstockError."""
    loaded = _load(path, "save it with numpy.savez")
    if isinstance(loaded, np.ndarray):
        raise PenstockError("the file holds one array", str(path), "save them with numpy.savez")
    return loaded


def _load(path: Path, hint: str) -> NDArray[Any] | dict[str, NDArray[Any]]:
    """Pickles are refused, and so are headers that claim more than the file holds."""
    import zipfile  # for files alone, and it loads every compression

    with _readable(path, hint):
        if not zipfile.is_zipfile(path):
            return np.array(npy.open_memmap(path, mode="r"))
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(archive, member)
        with np.load(path, allow_pickle=False) as file:
            return {str(name): file[name] for name in file.files}


@contextmanager
def _readable(path: Path, hint: str) -> Iterator[None]:
    """What a file can do to its reader becomes a PenstockError, without a warning beside it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
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
