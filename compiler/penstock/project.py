"""Where a project may be written, and what must not be written over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from penstock.errors import PenstockError, warn
from penstock.journal import WRITING, WRITTEN, clean, finish, is_pending, replace_files
from penstock.locking import locked
from penstock.marker import MARKER, Marker, read_marker

ANOTHER = "choose another folder"
NAMED = 4
"""So many edited files are named in an error; the others are counted."""


def write_project(files: dict[str, bytes], folder: Path, overwrite: bool = False) -> None:
    """Write ``files`` (path -> content) as the project ``folder``.

    A folder that is not empty and not a Penstock project is never touched. In a project, the files
    that the compiler made are replaced, those that the user edited only with ``overwrite``, and
    the user's own stay where they are. On a failure everything is as it was; killed at any moment,
    the folder is the old project or the new one (see ``journal``). Warns if what Vitis made of an
    earlier kernel was set aside. Raises PenstockError.
    """
    try:
        _refuse_no_folder(folder)
        with _made(folder), locked(folder):
            old = _prepare(folder, overwrite, files)
            _warn(folder, replace_files(folder, old, files))
    except OSError as error:
        raise PenstockError(
            f"the project can't be written: {error.strerror}", str(folder), ANOTHER
        ) from error


def check_target(folder: Path, overwrite: bool = False, files: Iterable[str] = ()) -> None:
    """Refuse, before anything is compiled, what ``write_project`` would refuse.

    A target that holds something else than a Penstock project; one with edited files, unless
    ``overwrite``; one that another command works in; one where ``files`` would go through links
    or over the user's own files.
    """
    try:
        _refuse_no_folder(folder)
        if folder.is_dir():
            with locked(folder):
                _prepare(folder, overwrite, files)
    except OSError as error:
        raise PenstockError(
            f"the target can't be written: {error.strerror}", str(folder), ANOTHER
        ) from error


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Keep the project as it is while it is read or run: compiles wait, other readers do not.

    What a killed compile left to do is done first. Raises PenstockError.
    """
    while folder.is_dir():
        with locked(folder, shared=True):
            if not is_pending(folder):
                yield
                return
        with locked(folder):
            _complete(folder)
    yield


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder and those above it; remove them again if the block fails."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in missing:
            with suppress(OSError):  # it holds something
                path.rmdir()
        raise


def _prepare(folder: Path, overwrite: bool, files: Iterable[str]) -> Marker:
    """Finish what a killed compile left, and check the folder. -> what the project holds."""
    _refuse_strangers(folder)
    _complete(folder)
    clean(folder)
    old = read_marker(folder) if (folder / MARKER).exists() else Marker({})
    if not overwrite:
        _refuse_edited(folder, old)
    _refuse_names(folder, sorted(set(files) - old.files.keys()))
    for name in sorted({*files, *old.files}):
        _refuse_path(folder, PurePosixPath(name))
    return old


def _complete(folder: Path) -> None:
    """Do what a killed compile left to do; the caller holds the lock."""
    if not is_pending(folder):
        return
    try:
        _warn(folder, finish(folder))
    except OSError as error:
        raise PenstockError(
            f"a compile into this folder was interrupted and can't be completed: {error.strerror}",
            str(folder),
            "grant write access to the folder and everything in it",
        ) from error


def _warn(folder: Path, notes: list[str]) -> None:
    for note in notes:
        warn(f"{folder}: {note}")


def _refuse_no_folder(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PenstockError("the target is not a folder", str(folder), ANOTHER)


def _refuse_strangers(folder: Path) -> None:
    ours = {WRITING, WRITTEN}
    is_empty = all(path.name in ours for path in folder.iterdir())
    if not is_empty and not is_pending(folder) and not (folder / MARKER).is_file():
        raise PenstockError(
            "the target folder is neither empty nor a Penstock project",
            str(folder),
            "choose a new or empty folder",
        )


def _refuse_edited(folder: Path, old: Marker) -> None:
    edited = [name for name in old.edited(folder) if os.path.lexists(folder / name)]
    if edited:
        more = f" and {len(edited) - NAMED} more" if len(edited) > NAMED else ""
        raise PenstockError(
            f"files of the project were edited: {', '.join(edited[:NAMED])}{more}",
            str(folder),
            "choose another folder, or discard the edits: --overwrite (in Python: overwrite=True)",
        )


def _refuse_names(folder: Path, names: list[str]) -> None:
    """Refuse to write over files that are not ours."""
    for name in names:
        if os.path.lexists(folder / name):
            raise PenstockError(
                f"the project contains {name}, which the compiler did not write",
                str(folder),
                "move it away, or choose another folder",
            )


def _refuse_path(folder: Path, name: PurePosixPath) -> None:
    """Refuse a file of ours that is a folder, or lies where it can't be moved to."""
    if (folder / name).is_dir():
        raise PenstockError(f"{name} in the project is a folder", str(folder), "move it away")
    for parent in list(name.parents)[-2::-1]:
        path = folder / parent
        if not os.path.lexists(path):
            return
        reason = ""
        if path.is_symlink():
            reason = "is a link"
        elif not path.is_dir():
            reason = "is not a folder"
        elif path.stat().st_dev != folder.stat().st_dev:
            reason = "is on another file system"
        elif not os.access(path, os.W_OK | os.X_OK):
            reason = "can't be written to"
        if reason:
            raise PenstockError(
                f"{parent} in the project {reason}",
                str(folder),
                "put an ordinary folder in its place, or choose another folder for the project",
            )
