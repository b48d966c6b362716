"""Results in an SQLite file: found again by what they depend on, kept as soon as they are there.

Several explorations may use one store at once. A row is written by itself and never changed; of two
that compute the same, the second changes nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from penstock.errors import PenstockError
from penstock.exploration.rows import SCHEMA, Row

APPLICATION = 0x50535458
"""Marks the file as ours: ``PSTX``."""
BUSY_SECONDS = 60.0
"""How long another writer is waited for."""
AT_ONCE = 500
"""Keys of a query."""
TABLES = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, result TEXT NOT NULL
) WITHOUT ROWID
"""
_ROWS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Row)
ANOTHER = "name another file, or remove it"


class Store:
    """A store, in a file or, without one, in memory. A context manager.

    Raises PenstockError for a file that is damaged, another's, or can't be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: sqlite3.Connection | None = None
        self._check_place()
        if path is not None and path.exists():
            with self._told():
                self._opened()

    def _opened(self) -> sqlite3.Connection:
        """The database. A file that is not there yet is made when there is something to keep."""
        if self._known is None:
            name = ":memory:" if self.path is None else self.path
            found = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._take(found)
            except BaseException:
                found.close()
                raise
            self._known = found
        return self._known

    def _check_place(self) -> None:
        """SQLite would say of these only that it can't open the file."""
        if self.path is None:
            return
        folder = self.path.absolute().parent
        if self.path.is_dir():
            raise PenstockError("the store is a folder", str(self.path), "name a file")
        if not folder.is_dir():
            raise PenstockError("there is no such folder", str(folder), "make it, or name another")
        if not os.access(folder, os.W_OK):
            raise PenstockError("the folder can't be written", str(folder), "name another")

    def _take(self, found: sqlite3.Connection) -> None:
        """Look whose file it is before anything is changed in it."""
        found.execute("BEGIN")  # another may be making it: all three of one moment
        (tables,) = found.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = found.execute("PRAGMA application_id").fetchone()
        (version,) = found.execute("PRAGMA user_version").fetchone()
        found.execute("COMMIT")
        if application != APPLICATION and (application or version or tables):
            raise PenstockError(
                "the file is an SQLite database of another program", str(self.path), ANOTHER
            )
        if application == APPLICATION and version != SCHEMA:
            raise PenstockError(
                f"another version of Penstock wrote the store (schema {version}, not {SCHEMA})",
                str(self.path), ANOTHER,
            )  # fmt: skip
        if application == APPLICATION:
            (told,) = found.execute("PRAGMA quick_check(1)").fetchone()
            if told != "ok":
                raise sqlite3.DatabaseError(told)
        found.execute("PRAGMA journal_mode = WAL")
        found.execute("PRAGMA synchronous = NORMAL")
        found.execute("BEGIN IMMEDIATE")
        found.execute(TABLES)
        found.execute(f"PRAGMA application_id = {APPLICATION}")
        found.execute(f"PRAGMA user_version = {SCHEMA}")
        found.execute("COMMIT")

    def find(self, keys: Iterable[str]) -> dict[str, Row]:
        """Those of the results that are there, by key. Raises PenstockError for a damaged one."""
        wanted: list[str] = list(keys)
        found: dict[str, Row] = {}
        if self._known is None:
            return found
        with self._told():
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, result FROM results WHERE key IN ({marks})"
                for key, text in self._opened().execute(query, some):
                    found[key] = self._read(text)
        return found

    def _read(self, text: str) -> Row:
        try:
            row: Row = _ROWS.decode(text)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise PenstockError(
                f"the store is damaged: {error}", str(self.path), ANOTHER
            ) from error
        return row

    def keep(self, results: Mapping[str, tuple[str, Row]]) -> None:
        """Write results, each by its key, with its settings as text. What is there stays."""
        with self._told():
            opened = self._opened()
            opened.execute("BEGIN IMMEDIATE")
            try:
                opened.executemany(
                    "INSERT INTO results VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
                    [
                        (key, settings, msgspec.json.encode(row).decode())
                        for key, (settings, row) in results.items()
                    ],
                )
            except BaseException:
                opened.execute("ROLLBACK")
                raise
            opened.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite says in a line of ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise PenstockError(
                f"the store can't be used: {error}", str(self.path), "check the path and the disk"
            ) from error
        except sqlite3.DatabaseError as error:
            raise PenstockError(
                f"the store is no SQLite database, or a damaged one: {error}", str(self.path),
                ANOTHER,
            ) from error  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._known is not None:
            self._known.close()
