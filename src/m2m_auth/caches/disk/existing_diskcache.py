"""A ``diskcache.Cache`` or ``FanoutCache`` that an application has, as the token cache: our rows beside its own."""

# diskcache has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false
from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache

from ...errors import CacheUnavailable, ConfigurationError
from .disk_token_cache import DiskTokenCache, insecurity
from .idle_connections import Idle, Opened

if TYPE_CHECKING:
    from .raw_disk import RawCache

__all__ = ["ExistingDiskTokenCache"]

_OTHERS_WRITE = 0o022


class ExistingDiskTokenCache(DiskTokenCache):
    """Rows of ours in the databases of somebody's diskcache; nothing else of it is used or changed.

    Args:
        client: a ``diskcache.Cache`` or ``diskcache.FanoutCache``. Only its folder is taken.
        timeout: seconds that one operation may wait for another process's transaction.

    Raises:
        ConfigurationError: it is something else, or others may write to its folder or database.
    """

    def __init__(self, client: Any, timeout: float = 2.0) -> None:
        # Where its user's symlinks lead is his own choice, made before.
        self._shards = [Path(os.path.realpath(folder)) / "cache.db" for folder in _folders(client)]
        self._folder = Path(os.path.realpath(client.directory))
        self._database = self._shards[0]
        self._timeout = timeout
        self._idle = Idle()
        for database in self._shards:
            problem = _insecurity(database)
            if problem:
                raise ConfigurationError(problem)

    def __repr__(self) -> str:
        return f"DiskTokenCache.from_client(<the diskcache in {str(self._folder)!r}>)"

    def _open(self, key: str = "") -> RawCache:
        from .raw_disk import SharedRawCache

        # crc32 is the same in every process, as hash() is not.
        database = self._shards[zlib.crc32(key.encode()) % len(self._shards)]
        problem = _insecurity(database)
        if problem:
            raise CacheUnavailable(problem)
        return SharedRawCache(str(database), self._timeout)

    def _looks(self) -> None:
        """Nothing to know it by: each operation opens a database anew, since its journal may be a write-ahead log."""

    def _put_aside_if_spoilt(self, error: Exception, opened: Opened | None) -> None:
        """Nothing: what is spoilt is the user's, and his to repair."""


def _folders(client: Any) -> list[str]:
    if isinstance(client, diskcache.FanoutCache):
        return [shard.directory for shard in client._shards]
    if isinstance(client, diskcache.Cache):
        return [client.directory]
    name = type(client).__name__
    raise ConfigurationError(
        f"cache={name}(…) is no diskcache.Cache or FanoutCache. Fix: pass one of these; a Deque or an Index has "
        "its Cache as .cache; for Django's, name the alias of the cache"
    )


def _insecurity(database: Path) -> str:
    """What is wrong with the database or its folder, in words with the fix; empty if nothing is."""
    problem = insecurity(database.parent, _OTHERS_WRITE)
    if problem or not hasattr(os, "getuid"):
        return problem
    if database.is_symlink():
        return f"{database} is a symlink. Fix: put the file itself there"
    try:
        mode = database.stat().st_mode & 0o777
    except OSError:
        return ""  # whoever opens it says so
    return f"{database}: others may write to it (mode {mode:04o}). Fix: chmod go-w {database}" if mode & 0o022 else ""
