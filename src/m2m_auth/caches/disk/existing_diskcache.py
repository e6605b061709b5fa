"""The databases of an application's ``diskcache.Cache`` or ``FanoutCache``: tokens are rows beside its own."""

# diskcache has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import stat
import zlib
from pathlib import Path
from typing import Any

import diskcache

from ...errors import CacheUnavailable, ConfigurationError
from .folder_rules import OTHERS_WRITE, parent_problem
from .idle_connections import OpenDatabase
from .open_folder import FileState
from .raw_disk import RawCache, SharedRawCache

__all__ = ["ExistingDiskcache"]

_INSTEAD = (
    "use a folder of your own, as in disk:/path/of/your/own; or DiskTokenCache.from_client(…, shared_parent=True)"
)


class ExistingDiskcache:
    """The application's databases. Nothing but rows under keys that begin with ``m2m1.`` is read or changed.

    Args:
        client: a ``diskcache.Cache`` or ``diskcache.FanoutCache``. Only its folder is used.
        timeout: seconds that one operation may wait for another process's transaction.
        shared_parent: others may write to its folder.

    Raises:
        ConfigurationError: it is something else, or others may write to its folder or database.
    """

    def __init__(self, client: Any, timeout: float, *, shared_parent: bool = False) -> None:
        # The application chose this path, so a symlink in it is allowed. Only its target is checked.
        self._shards = [Path(os.path.realpath(folder)) / "cache.db" for folder in _folders(client)]
        self.path = Path(os.path.realpath(client.directory))
        """The application's folder."""
        self._timeout = timeout
        self._shared_parent = shared_parent
        for database in self._shards:
            problem = _problem(database, shared_parent=self._shared_parent)
            if problem:
                raise ConfigurationError(problem)

    def __repr__(self) -> str:
        return f"DiskTokenCache.from_client(<the diskcache in {str(self.path)!r}>)"

    def state(self) -> FileState | None:
        """None: each operation opens a new connection, since the journal may be a write-ahead log."""
        return None

    def open(self, key: str) -> RawCache:
        """A new connection to the database that holds ``key``.

        Raises:
            CacheUnavailable: others may write to the folder or the database by now.
        """
        # crc32 is the same in every process; hash() is not.
        database = self._shards[zlib.crc32(key.encode()) % len(self._shards)]
        problem = _problem(database, shared_parent=self._shared_parent)
        if problem:
            raise CacheUnavailable(problem)
        return SharedRawCache(str(database), self._timeout)

    def after_error(self, error: Exception, database: OpenDatabase | None) -> None:
        """Does nothing: the application repairs its own database."""


def _folders(client: Any) -> list[str]:
    if isinstance(client, diskcache.FanoutCache):
        return [shard.directory for shard in client._shards]
    if isinstance(client, diskcache.Cache):
        return [client.directory]
    name = type(client).__name__
    raise ConfigurationError(
        f"cache={name}(…) is not a diskcache.Cache or FanoutCache. Fix: pass one of these; a Deque or an Index has "
        "its Cache as .cache; for a cache of Django, pass the name of its alias"
    )


def _problem(database: Path, *, shared_parent: bool) -> str:
    """What is wrong with an application's database, or with its folder; empty if nothing is.

    Others may read both, and write to neither, unless ``shared_parent``. The database is a file in any case.
    """
    if not hasattr(os, "geteuid"):
        return ""
    for path in (database.parent, database):
        try:
            found = path.lstat()
        except OSError:
            return ""  # opening the file reports this
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode):
            return f"{path} is a symlink. Fix: put the file itself there"
        if shared_parent:
            continue
        if found.st_uid != os.geteuid():
            return f"{path} belongs to user {found.st_uid} (mode {mode:04o}), not to {os.geteuid()}. Fix: {_INSTEAD}"
        if mode & OTHERS_WRITE:
            return f"{path}: others may write to it (mode {mode:04o}). Fix: chmod go-w {path}; or {_INSTEAD}"
    return parent_problem(database.parent, database.parent.parent, shared_parent=shared_parent)
