"""diskcache, reduced to raw values in one SQLite file: it unpickles nothing, and opens and removes no other file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote

import diskcache
from diskcache.core import MODE_RAW

__all__ = ["RawCache", "RawDisk", "SharedRawCache"]


class _ForeignRow(OSError):
    """A row that this library did not write. diskcache treats an OSError from ``fetch`` as a miss."""


class RawDisk(diskcache.Disk):  # type: ignore[misc]
    """Bytes and integers under string keys, in the row itself."""

    def put(self, key: Any) -> tuple[str, bool]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A key for the database."""
        if not isinstance(key, str):
            raise TypeError("keys are strings")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        """A key from the database."""
        if not raw or not isinstance(key, str):
            raise _ForeignRow("not a key of m2m-auth")
        return key

    def store(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        value: Any,
        read: bool,
        key: Any = None,  # noqa: ARG002
    ) -> tuple[int, int, None, Any]:
        """Size, mode, file name and value for the row."""
        if read or not isinstance(value, (bytes, int)) or isinstance(value, bool):
            raise TypeError("values are bytes or integers")
        return 0, MODE_RAW, None, sqlite3.Binary(value) if isinstance(value, bytes) else value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes | int:
        """The row's value; any other mode, a file name, or another type is refused."""
        if mode != MODE_RAW or filename is not None or read or not isinstance(value, (bytes, memoryview, int)):
            raise _ForeignRow("not a value of m2m-auth")
        return value if isinstance(value, int) else bytes(cast("bytes", value))

    def remove(self, file_path: str) -> None:
        """Does nothing: no row of m2m-auth has a file, and a planted file name must not delete one."""


class RawCache(diskcache.Cache):  # type: ignore[misc]
    """diskcache's operations on its table, over one connection; diskcache's own constructor does not run.

    Settings come from this class: every writer of the database could change them there. Opening reads the schema, where
    diskcache runs thirty transactions and waits a minute for each. There is no write-ahead log (see
    ``open_folder.py``).
    """

    statistics = 0
    eviction_policy = "none"
    cull_limit = 10

    def __init__(self, database: str, timeout: float) -> None:
        # The attributes that diskcache's operations use.
        self._disk = RawDisk(os.path.dirname(database))  # noqa: PTH120 - pathlib is not needed here
        self._txn_id = None
        location = f"file:{quote(os.fsencode(database))}?mode=rw"  # a missing database is not made here
        self._connection = sqlite3.connect(
            location, timeout=timeout, isolation_level=None, check_same_thread=False, uri=True
        )

    def prepare(self) -> None:
        """Chooses the journal, and makes the table in a new database."""
        for statement in _SCHEMA:
            self._connection.execute(statement)

    def may_be_mapped(self) -> bool:
        """True if another process has switched the database to a write-ahead log, whose index is then in memory.

        Also True if this cannot be found out.
        """
        try:
            return bool(self._connection.execute("PRAGMA journal_mode").fetchone() != ("truncate",))
        except sqlite3.Error:
            return True

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    @property
    def _con(self) -> sqlite3.Connection:
        return self._connection


class SharedRawCache(RawCache):
    """The same on a database that a diskcache.Cache has made and still uses; its settings and schema stay as they are.

    Its triggers keep its count and size right. SQLite's default ``synchronous`` applies, which survives a power cut in
    every journal mode, since the application's data are in the database.
    """

    def _cull(self, now: float, sql: Callable[..., Any], cleanup: object, limit: int | None = None) -> None:  # noqa: ARG002
        """Deletes only expired rows of m2m-auth: values of the application may be in files, which RawDisk keeps."""
        sql(
            "DELETE FROM Cache WHERE rowid IN (SELECT rowid FROM Cache WHERE key >= 'm2m1.' AND key < 'm2m1/'"
            " AND raw = 1 AND filename IS NULL AND expire_time < ? LIMIT ?)",
            (now, self.cull_limit if limit is None else limit),
        )


# A power cut may cost the tokens, never a call: a damaged file is renamed, and a new database made.
_SCHEMA = (
    "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode = TRUNCATE",
    "CREATE TABLE IF NOT EXISTS Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL,"
    " expire_time REAL, access_time REAL, access_count INTEGER DEFAULT 0, tag BLOB, size INTEGER DEFAULT 0,"
    " mode INTEGER DEFAULT 0, filename TEXT, value BLOB)",
    "CREATE UNIQUE INDEX IF NOT EXISTS Cache_key_raw ON Cache(key, raw)",
    "CREATE INDEX IF NOT EXISTS Cache_expire_time ON Cache (expire_time)",
)
