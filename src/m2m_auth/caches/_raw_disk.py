"""diskcache's storage, reduced to raw values in the database: nothing is unpickled, no file is opened or removed."""

from __future__ import annotations

import sqlite3
from typing import Any

import diskcache
from diskcache.core import MODE_RAW

__all__ = ["RawDisk"]


class _Refused(OSError):
    """A row that this library did not write. diskcache takes an OSError from ``fetch`` as a miss."""


class RawDisk(diskcache.Disk):  # type: ignore[misc]
    """Bytes and integers under string keys, in the row itself."""

    def put(self, key: Any) -> tuple[str, bool]:
        """A key for the database."""
        if not isinstance(key, str):
            raise TypeError("keys are strings")
        return key, True

    def get(self, key: Any, raw: bool) -> str:
        """A key from the database."""
        if not raw or not isinstance(key, str):
            raise _Refused("not a key of ours")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, Any]:  # noqa: ARG002
        """Size, mode, file name and value for the row."""
        if read or not isinstance(value, (bytes, int)) or isinstance(value, bool):
            raise TypeError("values are bytes or integers")
        return 0, MODE_RAW, None, sqlite3.Binary(value) if isinstance(value, bytes) else value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes | int:
        """The row's value; any other mode, a file name, or another type is refused."""
        if mode != MODE_RAW or filename is not None or read or not isinstance(value, (bytes, memoryview, int)):
            raise _Refused("not a value of ours")
        return value if isinstance(value, int) else bytes(value)

    def remove(self, file_path: str) -> None:
        """Nothing: no row of ours has a file, and a planted name must not delete one."""
