"""Replace the files of a project such that a kill at any moment leaves the old ones or the new.

New files are staged inside the folder, and one rename, ``.penstock.writing`` to
``.penstock.written``, decides: before it, the old project is untouched; after it, the new one is
complete on the disk, and what is left is to move its files to their places. Whoever opens the
folder next (compile, run, csim, check) does what a killed compile left to do. Killed

* before that rename: the old project; the next compile removes ``.penstock.writing``.
* after it: ``finish`` moves in what has not been moved. Every step can be repeated: a staged file
  that is gone is in its place. penstock.json comes last, so both lists of files are at hand until
  then. The files at the top (Makefile, the scripts of Vitis) go out first and come in last:
  tools that know nothing of this find nothing to start rather than half a kernel.
* after penstock.json came in: the new project; the next one removes ``.penstock.written``.

Why not build a second folder and exchange the two (renameat2)? That is one step for every reader,
but a shell, an editor or a synthesis at work in the folder would be left in a deleted one; the
user's own files would have to move, or be linked one by one; and a folder that is a mount point
(a container's volume) or whose parent is read-only can't be exchanged. Here the user's files and
the folder itself are never touched.

Names are followed from the folder's descriptor, part by part, and never through a link.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from penstock.marker import MARKER, Marker, read_marker

WRITING, WRITTEN = ".penstock.writing", ".penstock.written"
NEW, OLD = "new", "old"
BUILD = "csim"
"""What C simulation builds; it belongs to the old sources."""
OF_VITIS = (
    "vitis", "vitis_project", "vitis_component", "lstm_top.xo", "lstm_top.zip", "lstm_top.xclbin",
)  # fmt: skip
"""What Vitis makes of a kernel: hours of work, and wrong beside another kernel."""


def replace_files(folder: Path, old: Marker, files: dict[str, bytes]) -> list[str]:
    """Make ``files`` (path -> content) the project ``folder``, whose lock the caller holds.

    old: what the project there holds (no files: there is none). On a failure everything is as it
    was. -> what Vitis made of the old kernel, as (name before, name now) in words.
    Raises OSError or PenstockError.
    """
    marker = Marker.of(files)
    changed = set(old.edited(folder))
    changed |= {name for name, sha256 in marker.files.items() if old.files.get(name) != sha256}
    if not changed and old == marker:
        return []
    changed |= {name for name in marker.files if "/" not in name}
    staged = {name: files[name] for name in marker.files if name in changed}
    try:
        _stage(folder / WRITING, {**staged, MARKER: marker.text().encode()})
        (folder / WRITING).rename(folder / WRITTEN)
        return finish(folder, give_up=True)
    finally:
        _remove(folder / WRITING, ignore_errors=True)


def is_pending(folder: Path) -> bool:
    """A compile was killed while its files moved to their places."""
    return (folder / WRITTEN).is_dir() and not (folder / WRITTEN).is_symlink()


def clean(folder: Path) -> None:
    """Remove what a killed compile had not finished staging."""
    _remove(folder / WRITING)
    if not is_pending(folder):
        _remove(folder / WRITTEN)


def finish(folder: Path, *, give_up: bool = False) -> list[str]:
    """Move the staged files to their places, and the old ones away; the caller holds the lock.

    If a step fails, the steps before it are taken back; with ``give_up``, the new project is
    dropped, else the next call tries again. -> as ``replace_files``.
    Raises OSError or PenstockError.
    """
    _sync(folder)
    notes: list[str] = []
    if (folder / WRITTEN / NEW / MARKER).exists():
        new = read_marker(folder / WRITTEN / NEW)
        old = read_marker(folder) if (folder / MARKER).exists() else Marker({})
        with _Moves.of(folder) as moves:
            try:
                notes = _move_all(moves, folder, old, new)
            except BaseException:
                moves.take_back()
                _remove_empty(folder, new.files)
                if give_up:
                    (folder / WRITTEN).rename(folder / WRITING)
                raise
        _remove_empty(folder, old.files)
    _sync(folder)
    _remove(folder / WRITTEN)
    return notes


def _move_all(moves: _Moves, folder: Path, old: Marker, new: Marker) -> list[str]:
    def is_staged(name: str) -> bool:
        return (folder / WRITTEN / NEW / name).exists()

    def is_new(name: str) -> bool:
        return old.files.get(name) != new.files.get(name) or is_staged(name)

    names = sorted(old.files.keys() | new.files.keys(), key=_from_the_depth)
    sources = [name for name in names if name.startswith(("kernel/", "tb/")) and is_new(name)]
    out = [name for name in names if name not in new.files or is_staged(name)]
    for name in reversed(out):
        if name in old.files:
            moves.rename(moves.folder, moves.old, name)
    notes = []
    if sources:
        moves.rename(moves.folder, moves.old, BUILD)
    if any(name.startswith("kernel/") for name in sources):
        notes = [_set_aside(moves, folder, name) for name in OF_VITIS if _is_there(folder / name)]
    for name in (*names, MARKER):
        if name == MARKER or name in new.files:
            moves.rename(moves.new, moves.folder, name)
    return notes


def _from_the_depth(name: str) -> tuple[bool, str]:
    """Files in folders first, those at the top last."""
    return ("/" not in name, name)


def _set_aside(moves: _Moves, folder: Path, name: str) -> str:
    number, aside = 1, f"{name}.stale"
    while _is_there(folder / aside):
        number += 1
        aside = f"{name}.stale{number}"
    moves.rename(moves.folder, moves.folder, name, aside)
    return f"{name} was built from an earlier kernel; it is now {aside}"


@dataclass
class _Moves:
    """Renames that can be taken back. folder, new, old: descriptors."""

    folder: int
    new: int
    old: int
    done: list[tuple[int, str, int, str]]

    @classmethod
    @contextmanager
    def of(cls, folder: Path) -> Iterator[_Moves]:
        (folder / WRITTEN / OLD).mkdir(exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY
        with ExitStack() as opened:

            def handle(place: Path, more: int = os.O_NOFOLLOW) -> int:
                descriptor = os.open(place, flags | more)
                opened.callback(os.close, descriptor)
                return descriptor

            aside = folder / WRITTEN
            yield cls(handle(folder, 0), handle(aside / NEW), handle(aside / OLD), [])

    def rename(self, source: int, target: int, name: str, to: str | None = None) -> None:
        """Move ``name`` from one folder to another, if it is there."""
        to = to or name
        with suppress(FileNotFoundError), _parent(source, name) as (here, last):
            os.stat(last, dir_fd=here, follow_symlinks=False)
            with _parent(target, to, make=True) as (there, last_to):
                self.done.append((source, name, target, to))  # first: Ctrl-C may come any time
                os.rename(last, last_to, src_dir_fd=here, dst_dir_fd=there)

    def take_back(self) -> None:
        """Undo every rename, the last one first."""
        while self.done:
            source, name, target, to = self.done.pop()
            with (
                suppress(FileNotFoundError),  # it was not moved
                _parent(target, to) as (there, last_to),
                _parent(source, name) as (here, last),
            ):
                os.rename(last_to, last, src_dir_fd=there, dst_dir_fd=here)


@contextmanager
def _parent(root: int, name: str, make: bool = False) -> Iterator[tuple[int, str]]:
    """Descriptor of the folder that holds ``name``, and its last part; links are not followed."""
    *parts, last = name.split("/")
    at = os.dup(root)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=at)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        yield at, last
    finally:
        os.close(at)


def _stage(aside: Path, files: dict[str, bytes]) -> None:
    """Write the files to ``aside``/new, down to the disk."""
    from concurrent.futures import ThreadPoolExecutor  # not for who reads a project

    _remove(aside)
    for name, content in files.items():
        path = aside / NEW / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with ThreadPoolExecutor(8) as pool:  # at once: the file system puts them in one commit
        list(pool.map(_sync, (*aside.rglob("*"), aside)))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems can't for folders
            os.fsync(handle)
    finally:
        os.close(handle)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _remove(path: Path, ignore_errors: bool = False) -> None:
    """Remove a folder and all in it; of a link, the link alone."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        import shutil  # not for who reads a project

        shutil.rmtree(path, ignore_errors)


def _remove_empty(folder: Path, names: Iterable[str]) -> None:
    """Remove the folders that held ``names`` and hold nothing now."""
    parents = {parent for name in names for parent in (folder / name).parents}
    for parent in sorted(parents, reverse=True):
        if folder in parent.parents and parent.is_dir() and not any(parent.iterdir()):
            with suppress(OSError):
                parent.rmdir()
