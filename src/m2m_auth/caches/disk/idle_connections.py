"""Connections to the disk cache's database that wait for the next operation: opening one costs thirty reads."""

from __future__ import annotations

import atexit
import os
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ...runtime.fork_safety import delaying_forks, on_fork

if TYPE_CHECKING:
    from .raw_disk import RawCache

__all__ = ["Idle", "Opened"]

FOREIGN = ("-wal", "-shm")
"""SQLite's write-ahead log and its index, which is mapped into memory: a process dies when somebody truncates it."""
_MOST = 4
"""Connections that are kept open. More threads at once open more, and close them."""
_inherited: list[Opened] = []
"""A child never uses its parent's connections, nor closes them (SQLite's "How To Corrupt", 2.6) before it ends."""


@atexit.register
def _close_inherited() -> None:
    """The interpreter would do it anyhow, and complain of it since Python 3.13."""
    _close(_inherited)


class Opened(NamedTuple):
    """A connection, and what the file looked like when it was opened."""

    cache: RawCache
    looks: tuple[int, ...] | None


class Idle:
    """One cache's idle connections. One whose file is another by now, or has another mode, is not used."""

    def __init__(self) -> None:
        self._waiting: list[Opened] = []
        # No __del__: of a cycle the garbage collector may finalize the connections first, and Python 3.13 complains.
        weakref.finalize(self, _close, self._waiting)
        on_fork(self)

    def take(self, looks: tuple[int, ...] | None) -> Opened | None:
        """A connection to what looks like this; None: open one."""
        while self._waiting:
            try:
                opened = self._waiting.pop()
            except IndexError:  # another thread was faster
                break
            if opened.looks == looks:
                return opened
            opened.cache.close()
        return None

    def give(self, opened: Opened) -> None:
        """Keeps a connection for the next operation."""
        if opened.looks is None or len(self._waiting) >= _MOST or opened.cache.is_mapped():
            opened.cache.close()
        else:
            self._waiting.append(opened)

    def close(self) -> None:
        """Closes all of them."""
        with delaying_forks():
            _close(self._waiting)

    def after_fork(self) -> None:
        """In a child: leaves them as they are. No operation was under way, for forks wait for it."""
        _inherited.extend(self._waiting)
        self._waiting.clear()


def _close(waiting: list[Opened]) -> None:
    with suppress(IndexError):  # another thread was faster
        while waiting:
            waiting.pop().cache.close()


def looks_of(database: str) -> tuple[int, ...] | None:
    """What must not change under an open connection; None where there is no file."""
    try:
        found = os.lstat(database)
    except OSError:
        return None
    if any(os.path.lexists(database + suffix) for suffix in FOREIGN):
        return None
    return found.st_ino, found.st_dev, found.st_mode
