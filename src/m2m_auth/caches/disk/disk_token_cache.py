"""The disk cache: one folder shared by every process of a user on one machine, on diskcache (SQLite).

Only raw bytes and integers are ever read: diskcache unpickles by default (CVE-2025-69872), so its Disk is
replaced by one that refuses every other storage mode and every file name. The folder is private (0700), and
so are its files (0600).
"""

# diskcache has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import CacheUnavailable, ConfigurationError
from ...runtime.fork_safety import delaying_forks
from ..protocol import Capabilities
from .idle_connections import Idle, Opened, looks_of

if TYPE_CHECKING:
    from .raw_disk import RawCache

__all__ = ["DiskTokenCache", "insecurity"]

_DATABASE = "cache.db"
_T = TypeVar("_T")


class DiskTokenCache:
    """A folder as a shared cache.

    Args:
        folder: the cache folder; created, with mode 0700, when it is first used. None is ``m2m-auth`` in the
            user's cache folder.
        timeout: seconds that one operation may wait for another process's transaction.

    Raises:
        ConfigurationError: diskcache is missing; or the folder is a symlink, someone else's, open to others,
            or inside a folder that others may write to.
    """

    capabilities = Capabilities()

    def __init__(self, folder: str | os.PathLike[str] | None = None, timeout: float = 2.0) -> None:
        _require_diskcache()
        self._folder = Path(folder) if folder is not None else _user_folder()
        self._database = self._folder / _DATABASE
        self._timeout = timeout
        self._path = str(self._database)
        self._idle = Idle()
        problem = insecurity(self._folder)
        if problem:
            raise ConfigurationError(problem)

    @classmethod
    def from_url(cls, url: str) -> DiskTokenCache:
        """``disk:`` or ``disk:/path``; ``~`` stands for the home folder."""
        rest = url.partition(":")[2]
        return cls(os.path.expanduser(rest) if rest else None)  # noqa: PTH111 - a bad ~user stays as it is

    @classmethod
    def from_client(cls, client: Any) -> DiskTokenCache:
        """The folder of a ``diskcache.Cache``, or the folders of a ``FanoutCache``, which goes on using it.

        Our rows stand beside the user's, under keys that begin with ``m2m1.``; his settings, his files and the mode of
        his folder stay as they are. The values are sealed, so others may read the folder; they may not write to it.

        Raises:
            ConfigurationError: it is neither of the two, or others may write to its folder.
        """
        from .existing_diskcache import ExistingDiskTokenCache

        return ExistingDiskTokenCache(client)

    def __repr__(self) -> str:
        return f"DiskTokenCache({str(self._folder)!r})"

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        value: Any = self._do(key, lambda cache: cache.get(key, retry=False))
        return str(value).encode() if isinstance(value, int) else value

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(key, lambda cache: cache.set(key, value, expire=ttl, retry=False))

    def delete(self, key: str) -> None:
        """Forgets a key."""
        self._do(key, lambda cache: cache.delete(key, retry=False))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there; one transaction."""
        return bool(self._do(key, lambda cache: cache.add(key, value, expire=ttl, retry=False)))

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value; one transaction (``diskcache.Lock`` does not compare)."""

        def compare(cache: Any) -> bool:
            with cache.transact(retry=False):
                return cache.get(key) == value and bool(cache.delete(key))

        return self._do(key, compare)

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count; one transaction."""

        def count(cache: Any) -> int:
            with cache.transact(retry=False):
                if not isinstance(cache.get(key), int):
                    cache.set(key, 0, expire=ttl)
                return int(cache.incr(key))

        return self._do(key, count)

    def close(self) -> None:
        """Closes the idle connections."""
        self._idle.close()

    def _do(self, key: str, operation: Callable[[RawCache], _T]) -> _T:
        """One operation. Whatever SQLite, the file system or diskcache has to say is a CacheUnavailable."""
        problem = ""
        with delaying_forks():
            opened: Opened | None = None
            try:
                opened = self._idle.take(self._looks()) or self._opened(key)
                result = operation(opened.cache)
            except CacheUnavailable:
                raise
            except Exception as error:  # sqlite3.Error, OSError, Timeout, and what foreign rows make diskcache do
                problem = f"{self!r}: {type(error).__name__}: {error}"
                if opened is not None:
                    opened.cache.close()
                self._put_aside_if_spoilt(error, opened)
            else:
                self._idle.give(opened)
                return result
        raise CacheUnavailable(problem)

    def _looks(self) -> tuple[int, ...] | None:
        return looks_of(self._path)

    def _opened(self, key: str) -> Opened:
        cache = self._open(key)
        return Opened(cache, self._looks())

    def _open(self, key: str = "") -> RawCache:  # noqa: ARG002 - one database has every key
        from .raw_disk import RawCache

        _make_private(self._folder)
        problem = insecurity(self._folder)
        if problem:
            raise CacheUnavailable(problem)
        if self._database.is_symlink():
            raise CacheUnavailable(f"{self._database} is a symlink. Fix: delete it")
        return RawCache(str(self._database), self._timeout)

    def _put_aside_if_spoilt(self, error: Exception, opened: Opened | None) -> None:
        """A file that is no database never becomes one again: the next operation starts afresh."""
        import sqlite3

        passing = isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError))
        if passing or not isinstance(error, sqlite3.DatabaseError):
            return
        with contextlib.suppress(OSError):
            if opened is None or opened.looks == self._looks():  # or another process has done so by now
                self._database.replace(self._folder / "spoilt.db")


def _require_diskcache() -> None:
    import importlib.util

    if importlib.util.find_spec("diskcache") is None:
        raise ImportError("No module named 'diskcache'", name="diskcache")


def _user_folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("m2m-auth", appauthor=False)


def _make_private(folder: Path) -> None:
    """Makes the folder, and what is missing above it, for this user alone, whatever the umask."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def insecurity(folder: Path, refused: int = 0o077) -> str:
    """What is wrong with the folder, in words with the fix; empty if nothing is, or it does not exist yet.

    ``refused`` are the permission bits that it may not have.
    """
    if not hasattr(os, "getuid"):
        return ""
    try:
        found = folder.lstat()
    except OSError:
        return _parent_insecurity(folder)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return f"cache folder {folder} is a symlink, and others may choose where it leads. Fix: name the folder itself"
    if not stat.S_ISDIR(found.st_mode):
        return f"cache folder {folder} is not a folder. Fix: name a folder"
    if found.st_uid != os.getuid():
        return (
            f"cache folder {folder} belongs to user {found.st_uid} (mode {mode:04o}), not to {os.getuid()}. "
            "Fix: name a folder of your own"
        )
    if mode & refused:
        return (
            f"cache folder {folder} is open to others (mode {mode:04o}, owner {found.st_uid}). "
            f"Fix: chmod {0o777 & ~refused:04o} {folder}"
        )
    return _parent_insecurity(folder)


def _parent_insecurity(folder: Path) -> str:
    try:
        found = folder.parent.stat()
    except OSError:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        return (
            f"cache folder {folder}: others may replace it, since {folder.parent} has mode {mode:04o} "
            f"(owner {found.st_uid}). "
            f"Fix: chmod go-w {folder.parent}, or choose another folder"
        )
    return ""
