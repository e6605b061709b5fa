"""Connections to the disk cache's database that are kept for the next operation: opening one costs thirty reads."""

from __future__ import annotations

import atexit
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ...runtime.fork_safety import delaying_forks, on_fork
from .open_folder import FileState

if TYPE_CHECKING:
    from .raw_disk import RawCache

__all__ = ["IdleConnections", "OpenDatabase"]

_MOST = 4
"""Connections that are kept open. More threads at once open more, and close them."""
_inherited: list[OpenDatabase] = []
"""A child neither uses its parent's connections nor closes them before it ends (SQLite's "How To Corrupt", 2.6)."""


@atexit.register
def _close_inherited() -> None:
    """Python 3.13 and newer warn of connections that the interpreter has to close."""
    _close(_inherited)


class OpenDatabase(NamedTuple):
    """A connection, and the state of the file when it was opened."""

    cache: RawCache
    state: FileState | None


class IdleConnections:
    """The idle connections of one cache. A connection is used again only while the state of its file is the same."""

    def __init__(self) -> None:
        self._waiting: list[OpenDatabase] = []
        # Not __del__: of a cycle, the garbage collector may finalize the connections first; Python 3.13 warns of that.
        weakref.finalize(self, _close, self._waiting)
        on_fork(self)

    def take(self, state: FileState | None) -> OpenDatabase | None:
        """A connection to the file in this state; None: open one."""
        while self._waiting:
            try:
                database = self._waiting.pop()
            except IndexError:  # another thread was faster
                break
            if database.state == state:
                return database
            database.cache.close()
        return None

    def give(self, database: OpenDatabase) -> None:
        """Keeps a connection for the next operation."""
        if database.state is None or len(self._waiting) >= _MOST or database.cache.may_be_mapped():
            database.cache.close()
        else:
            self._waiting.append(database)

    def close(self) -> None:
        """Closes all of them."""
        with delaying_forks():
            _close(self._waiting)

    def after_fork(self) -> None:
        """In a child: leaves the connections alone. No operation was under way, since each one delays forks."""
        _inherited.extend(self._waiting)
        self._waiting.clear()


def _close(waiting: list[OpenDatabase]) -> None:
    with suppress(IndexError):  # another thread was faster
        while waiting:
            waiting.pop().cache.close()
