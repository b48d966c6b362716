"""Results in an SQLite file: found again by what they depend on, kept as soon as they are there.

Several explorations may use one store at once. A row is written by itself and never changed; of two
that compute the same, the second changes nothing.
"""

from __future__ import annotations

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
        with self._told():
            self._check_place()
            self._open = sqlite3.connect(
                ":memory:" if path is None else path, timeout=BUSY_SECONDS, isolation_level=None
            )
            try:
                self._take()
            except BaseException:
                self._open.close()
                raise

    def _check_place(self) -> None:
        """SQLite would say of a folder only that it can't open it."""
        if self.path is not None and self.path.is_dir():
            raise PenstockError("the store is a folder", str(self.path), "name a file")
        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise PenstockError(
                "there is no such folder", str(self.path.parent), "make it, or name another"
            )

    def _take(self) -> None:
        """Look whose file it is before anything is changed in it."""
        (application,) = self._open.execute("PRAGMA application_id").fetchone()
        (version,) = self._open.execute("PRAGMA user_version").fetchone()
        (tables,) = self._open.execute("SELECT count(*) FROM sqlite_master").fetchone()
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
            found = self._open.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        self._open.execute("PRAGMA journal_mode = WAL")
        self._open.execute("PRAGMA synchronous = NORMAL")
        self._open.execute("BEGIN IMMEDIATE")
        self._open.execute(TABLES)
        self._open.execute(f"PRAGMA application_id = {APPLICATION}")
        self._open.execute(f"PRAGMA user_version = {SCHEMA}")
        self._open.execute("COMMIT")

    def find(self, keys: Iterable[str]) -> dict[str, Row]:
        """Those of the results that are there, by key. Raises PenstockError for a damaged one."""
        wanted, found = list(keys), {}
        with self._told():
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, result FROM results WHERE key IN ({marks})"
                for key, text in self._open.execute(query, some):
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
            self._open.execute("BEGIN IMMEDIATE")
            try:
                self._open.executemany(
                    "INSERT INTO results VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
                    [
                        (key, settings, msgspec.json.encode(row).decode())
                        for key, (settings, row) in results.items()
                    ],
                )
            except BaseException:
                self._open.execute("ROLLBACK")
                raise
            self._open.execute("COMMIT")

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
        self._open.close()
