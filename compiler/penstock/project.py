"""The project folder as files: put together in memory, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from penstock.errors import PenstockError

MARKER = "penstock.json"
"""Lists every file of the project: what marks a folder as ours, and what a new compile replaces."""


def write_project(files: dict[str, bytes], folder: Path) -> None:
    """Write ``files`` (path -> content) as the project ``folder``.

    All is written beside it first and then moved into place. A folder that is not empty and not a
    Penstock project is never touched; of a project, only the files that the compiler made are
    replaced. Raises PenstockError.
    """
    check_target(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            fresh.chmod(0o755)
            for name, content in {**files, MARKER: _marker(files)}.items():
                path = fresh / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if folder.exists():
                _keep_others(folder, fresh)
                shutil.rmtree(folder)
            os.replace(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise PenstockError(
            f"the project can't be written: {error.strerror}", str(folder), "choose another folder"
        ) from error


def check_target(folder: Path) -> None:
    """Refuse a target that holds something else than a Penstock project."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PenstockError("the target is not a folder", str(folder), "choose another folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise PenstockError(
            "the target folder holds something that is not a Penstock project",
            str(folder),
            "choose a new or empty folder",
        )


def _marker(files: dict[str, bytes]) -> bytes:
    return (json.dumps({"schema": 1, "files": sorted(files)}, indent=1) + "\n").encode()


def _keep_others(old: Path, fresh: Path) -> None:
    """Files that the user added to an older project move on to the new one; build results do not."""
    made = set(json.loads((old / MARKER).read_text())["files"]) | {MARKER}
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old).as_posix()
        if path.is_dir() or name in made or name.startswith("csim/"):
            continue
        target = fresh / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
