"""penstock.json: marks a folder as a project, and holds the SHA-256 of every file in it."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

import msgspec

from penstock.errors import PenstockError

MARKER = "penstock.json"
SCHEMA: Final = 2
LARGEST_BYTES = 1 << 22
"""No longer penstock.json is read: room for some 30,000 files."""
AFRESH = "compile the model again, into a new folder"

Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]*$", min_length=64, max_length=64)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    """penstock.json as it is written. sha256: of ``files`` as JSON, sorted, without spaces."""

    schema: Literal[2]
    files: dict[Name, Digest]
    sha256: Digest


class _AnySchema(msgspec.Struct):
    schema: Annotated[int, msgspec.Meta(ge=0, lt=1_000_000)]


@dataclass(frozen=True)
class Marker:
    """The files of a project. files: path in the folder -> SHA-256 of the content, in hex.

    penstock.json itself is not among them. Paths are relative, of forward slashes, and stay in the
    folder.
    """

    files: dict[str, str]

    @classmethod
    def of(cls, files: dict[str, bytes]) -> Marker:
        """The marker of ``files`` (path -> content)."""
        digests = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
        return cls(digests)

    def text(self) -> str:
        """The text of penstock.json: the same files give the same bytes."""
        content = _Text(SCHEMA, dict(sorted(self.files.items())), _digest(self.files))
        return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"

    def edited(self, folder: Path) -> list[str]:
        """The files that are missing from ``folder`` or hold something else than recorded."""
        found = self.found(folder)
        return [name for name, sha256 in self.files.items() if found[name] != sha256]

    def found(self, folder: Path) -> dict[str, str | None]:
        """The digests of the files as they are now; None for one that can't be read."""
        return {name: _sha256(folder / name) for name in self.files}


def read_marker(folder: Path) -> Marker:
    """Read and check penstock.json. Raises PenstockError if there is none, or it is not ours."""
    content = _content(folder)
    try:
        text = msgspec.json.decode(content, type=_Text)
        _check(text)
    except (ValueError, RecursionError) as error:
        _check_schema(content, folder)
        raise PenstockError(f"{MARKER} is damaged: {error}", str(folder), AFRESH) from error
    return Marker(text.files)


def _content(folder: Path) -> bytes:
    """The bytes of penstock.json, never more than ``LARGEST_BYTES``."""
    try:
        # A FIFO must not keep us waiting.
        handle = os.open(folder / MARKER, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_BYTES:
                raise PenstockError(
                    f"{MARKER} is damaged: it is not a file of at most {LARGEST_BYTES:,} bytes",
                    str(folder),
                    AFRESH,
                )
            return file.read(LARGEST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PenstockError(
            "this is not a Penstock project",
            str(folder),
            "give the folder that penstock compile wrote",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a folder whose name holds a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise PenstockError(f"{MARKER} can't be read: {reason}", str(folder), AFRESH) from error


def _check(text: _Text) -> None:
    """Raise ValueError unless the paths stay in the folder, and the text is the one we wrote."""
    for name in text.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or not name.isprintable():
            raise ValueError(f"{name[:80]!a} is not a path in the project folder")
        if MARKER in path.parts or any(str(parent) in text.files for parent in path.parents):
            raise ValueError(f"{name[:80]!a} conflicts with another file")
    if text.sha256 != _digest(text.files):
        raise ValueError("its sha256 does not match its list of files")


def _check_schema(content: bytes, folder: Path) -> None:
    """Say so if the marker is of another version of Penstock."""
    try:
        schema = msgspec.json.decode(content, type=_AnySchema).schema
    except (ValueError, RecursionError):
        return
    if schema != SCHEMA:
        raise PenstockError(
            f"another version of Penstock wrote the project (schema {schema}, not {SCHEMA})",
            str(folder),
            AFRESH,
        )


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(files, order="sorted")).hexdigest()


def _sha256(path: Path) -> str | None:
    """Digest of a file's content; None if there is no such file or it can't be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
