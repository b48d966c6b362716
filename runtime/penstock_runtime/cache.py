"""The user's cache: what takes long to make and can always be made again. One folder a kind.

It lies where PENSTOCK_CACHE says (empty: there is none), else in XDG_CACHE_HOME/penstock, else in
~/.cache/penstock. Whatever uses it must do without it, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from penstock.locking import locked

LONGEST_SECONDS = 600.0
"""How long to wait for another process that makes the same kind of thing."""
MOST = 200
"""Files of a kind that stay."""


def folder(kind: str) -> Path | None:
    """The cache's folder for a kind of thing, made if need be; None if it can't be written.

    Compiled code comes out of it, so it must be the user's own, and nobody else may write there.
    """
    root = _root()
    if root is None:
        return None
    found = root / kind
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = found.stat()
    except OSError:
        return None
    is_own = state.st_uid == os.getuid() and not state.st_mode & 0o022
    return found if is_own and os.access(found, os.W_OK | os.X_OK) else None


def kept(kind: str, key: str, make: Callable[[Path], None]) -> Path | None:
    """``folder(kind) / key``, a folder that ``make`` has filled once, completely; None without one.

    ``make`` gets an empty folder, which is renamed when it returns. Of two processes one makes it,
    the other waits. If it can't be written after all (the disk is full), there is none either; what
    else ``make`` raises is raised, and nothing is kept.
    """
    place = folder(kind)
    if place is None:
        return None
    if not (place / key).is_dir():
        try:
            with locked(place, wait_seconds=LONGEST_SECONDS):
                if not (place / key).is_dir():
                    _make(place, key, make)
        except OSError:
            return None
    return place / key


def take(kind: str, key: str, to: Path) -> bool:
    """Copy the file that ``give`` has left under ``key`` to ``to``; False if there is none."""
    place = folder(kind)
    if place is None:
        return False
    try:
        shutil.copy(place / key, to)
        os.utime(place / key)
    except OSError:
        return False
    return True


def give(kind: str, key: str, file: Path) -> None:
    """Leave a copy of ``file`` under ``key``, and of its kind the ``MOST`` last used."""
    place = folder(kind)
    if place is None:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="made-", dir=place) as made:
            shutil.copy(file, Path(made) / key)
            (Path(made) / key).rename(place / key)
        files = (path for path in place.iterdir() if path.is_file())
        by_age = sorted(files, key=lambda path: path.stat().st_mtime)
        for old in by_age[:-MOST]:
            old.unlink()
    except OSError:  # the disk is full, or another process clears up, too
        return


def note(kind: str, key: str) -> None:
    """Remember that something is so, see ``noted``."""
    with tempfile.NamedTemporaryFile() as empty:
        give(kind, key, Path(empty.name))


def noted(kind: str, key: str) -> bool:
    """Whether ``note`` was called, and it is not long ago."""
    place = folder(kind)
    try:
        if place is None or not (place / key).is_file():
            return False
        os.utime(place / key)
    except OSError:
        return False
    return True


def _make(place: Path, key: str, make: Callable[[Path], None]) -> None:
    made = Path(tempfile.mkdtemp(prefix="made-", dir=place))
    try:
        make(made)
        made.rename(place / key)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _root() -> Path | None:
    named = os.environ.get("PENSTOCK_CACHE")
    if named is not None:
        return Path(named).absolute() if named else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "penstock"
    except RuntimeError:  # nobody's home
        return None
