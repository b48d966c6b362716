"""The project folder as files: put together in memory, written whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from penstock.errors import PenstockError
from penstock.marker import MARKER, Marker

BUILD = "csim"
"""What C simulation builds; it belongs to the old project."""
ANOTHER = "choose another folder"


def write_project(files: dict[str, bytes], folder: Path) -> None:
    """Write ``files`` (path -> content) as the project ``folder``.

    All is written to a hidden folder first and then moved into place. A folder that is not empty
    and not a Penstock project is never touched. In a project, the files that the compiler made are
    replaced, and the user's own stay where they are. On a failure everything is as it was.
    Raises PenstockError.
    """
    check_target(folder)
    files = {**files, MARKER: _marker(files)}
    is_new = not folder.exists()
    made = _made(folder)
    _check_names(folder, sorted(files.keys() - made))
    try:
        home = folder.parent if is_new else folder
        home.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".penstock.", dir=home))
        try:
            fresh = aside / "fresh"
            _write(files, fresh)
            if is_new:
                fresh.replace(folder)
            else:
                _exchange(folder, sorted(made), aside / "old", sorted(files), fresh)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise PenstockError(
            f"the project can't be written: {error.strerror}", str(folder), ANOTHER
        ) from error


def check_target(folder: Path) -> None:
    """Refuse a target that holds something else than a Penstock project."""
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise PenstockError("the target is not a folder", str(folder), ANOTHER)
        if not folder.is_dir() or not any(folder.iterdir()):
            return
    except OSError as error:
        raise PenstockError(
            f"the target can't be written: {error.strerror}", str(folder), ANOTHER
        ) from error
    if not (folder / MARKER).is_file():
        raise PenstockError(
            "the target folder holds something that is not a Penstock project",
            str(folder),
            "choose a new or empty folder",
        )
    _made(folder)


def _check_names(folder: Path, names: list[str]) -> None:
    """Refuse to write over files that are not ours."""
    for name in names:
        if (folder / name).exists():
            raise PenstockError(
                f"the project holds a {name} that the compiler did not write",
                str(folder),
                "move it away, or choose another folder",
            )


def _marker(files: dict[str, bytes]) -> bytes:
    return Marker.of(files).text().encode()


def _made(folder: Path) -> set[str]:
    """The files that an earlier compile made, ``MARKER`` among them; none if there is none."""
    marker = folder / MARKER
    if not marker.exists():
        return set()
    try:
        paths = [PurePosixPath(name) for name in json.loads(marker.read_bytes())["files"]]
        if any(path.is_absolute() or ".." in path.parts for path in paths):
            raise ValueError("a file outside of the folder")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PenstockError(
            f"{MARKER} is damaged: what is ours in this folder can't be known",
            str(folder),
            "choose a new or empty folder",
        ) from error
    return {str(path) for path in paths} | {MARKER}


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _exchange(folder: Path, made: list[str], old: Path, names: list[str], fresh: Path) -> None:
    """Files ``made`` go to ``old``, ``names`` come in from ``fresh``; if one fails, all go back."""
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        moved.append((source, target))

    try:
        for name in made:
            if (folder / name).is_file():
                move(folder / name, old / name)
        for name in names:
            move(fresh / name, folder / name)
    except BaseException:
        for source, target in reversed(moved):
            target.replace(source)
        raise
    shutil.rmtree(folder / BUILD, ignore_errors=True)
    parents = {parent for name in made for parent in (folder / name).parents}
    for parent in sorted(parents, reverse=True):
        if folder in parent.parents and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
