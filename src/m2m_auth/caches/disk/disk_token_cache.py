"""The disk cache: one folder that all processes of a user on one machine share, on diskcache (SQLite).

Only raw bytes and integers are read. diskcache itself unpickles values (CVE-2025-69872), so its Disk is replaced by one
that refuses every other storage mode and every file name. The folder is private (0700), and so are its files (0600).
"""

# diskcache has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from ...errors import CacheUnavailable, ConfigurationError, nearest
from ...runtime.fork_safety import delaying_forks
from ..protocol import Capabilities
from ..urls import without_password
from .idle_connections import IdleConnections, OpenDatabase
from .open_folder import FileState
from .own_folder import OwnFolder
from .user_folder import expanded

if TYPE_CHECKING:
    from .raw_disk import RawCache

if importlib.util.find_spec("diskcache") is None:  # it is imported at the first operation; if it is missing, say so now
    raise ImportError("No module named 'diskcache'", name="diskcache")

__all__ = ["DiskTokenCache"]

SharedParent: TypeAlias = bool | Literal["allow", "refuse"]
_TIMEOUT = 2.0
_URL_OPTIONS = ("shared_parent", "timeout")
_T = TypeVar("_T")


class _Folder(Protocol):
    """Where the databases are: :class:`OwnFolder` or ``ExistingDiskcache``."""

    @property
    def path(self) -> Path: ...

    def state(self) -> FileState | None: ...

    def open(self, key: str) -> RawCache: ...

    def after_error(self, error: Exception, database: OpenDatabase | None) -> None: ...


class DiskTokenCache:
    """A folder as a shared cache.

    Other users may read the folder: its files are private. Where they may write to it, as in a pod's emptyDir or with
    umask 002, the cache makes a private folder inside, ``m2m-auth-<user id>``, and uses that.

    Args:
        folder: the cache folder; created, with mode 0700, when it is first used. None is the folder that the
            environment variable ``M2M_AUTH_CACHE_FOLDER`` names, else ``m2m-auth`` in the user's cache folder.
        timeout: seconds that one operation may wait for another process's transaction.
        shared_parent: ``"allow"`` or True also takes a place that another ordinary user controls: a folder open to all
            that such a user owns, or, for root, a folder of another user. Others can then remove the cache, or bring an
            older state of it back: that costs mints, counts of the budget, and rotated refresh tokens. They can
            read no token. A symlink, or a folder that another user has put in place of the cache's own, is refused in
            any case.

    Raises:
        ConfigurationError: there is no folder that this process can use. The message says why, and names the fix.
    """

    capabilities = Capabilities()

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        timeout: float = _TIMEOUT,
        *,
        shared_parent: SharedParent = "refuse",
    ) -> None:
        if not 0 < timeout < math.inf:
            raise ConfigurationError(f"DiskTokenCache: timeout={timeout} must be a number of seconds above 0")
        self._use(OwnFolder(folder, timeout, shared_parent=_allowed(shared_parent)))

    def _use(self, folder: _Folder) -> None:
        self._folder = folder
        self._idle = IdleConnections()

    @classmethod
    def from_url(cls, url: str) -> DiskTokenCache:
        """``disk:`` or ``disk:/path``; ``~`` stands for the home folder.

        Options: ``?shared_parent=allow``, ``?timeout=0.5``.

        Raises:
            ConfigurationError: an option is unknown, or there is no folder that this process can use.
        """
        path, _, query = url.partition(":")[2].partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        if query and not options:
            options = {query: ""}
        for name in options:
            if name not in _URL_OPTIONS:
                raise ConfigurationError(
                    f"cache={without_password(url)!r}: unknown option {name!r}{nearest(name, _URL_OPTIONS)}. "
                    f"Known: {', '.join(_URL_OPTIONS)}"
                )
        try:
            timeout = float(options.get("timeout", _TIMEOUT))
        except ValueError:
            raise ConfigurationError(
                f"cache={without_password(url)!r}: timeout is not a number. Fix: ?timeout=0.5"
            ) from None
        shared_parent: Any = options.get("shared_parent", "refuse")
        if shared_parent not in ("allow", "refuse"):
            raise ConfigurationError(
                f"cache={without_password(url)!r}: shared_parent={shared_parent!r} is unknown. "
                "Fix: ?shared_parent=allow"
            )
        return cls(expanded(path) if path else None, timeout, shared_parent=shared_parent)

    @classmethod
    def from_client(cls, client: Any, *, shared_parent: SharedParent = "refuse") -> DiskTokenCache:
        """The folder of a ``diskcache.Cache``, or the folders of a ``FanoutCache``; the application keeps using them.

        Tokens are rows beside the application's, under keys that begin with ``m2m1.``. Its settings, its files and the
        mode of its folder stay the same. Others may read the folder, since values are sealed.

        Args:
            client: the application's cache.
            shared_parent: ``"allow"`` or True also takes a folder that others may write to or own. They can then
                remove the tokens, and what the application stores.

        Raises:
            ConfigurationError: it is neither of the two, or others may write to its folder.
        """
        from .existing_diskcache import ExistingDiskcache

        cache = cls.__new__(cls)
        cache._use(ExistingDiskcache(client, _TIMEOUT, shared_parent=_allowed(shared_parent)))
        return cache

    @property
    def folder(self) -> Path:
        """The folder with the database: the one that was named, or the private one inside."""
        return self._folder.path

    def __repr__(self) -> str:
        return repr(self._folder)

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        value: Any = self._do(key, lambda cache: cache.get(key, retry=False))
        return str(value).encode() if isinstance(value, int) else value

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(key, lambda cache: cache.set(key, value, expire=ttl, retry=False))

    def delete(self, key: str) -> None:
        """Deletes a key."""
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
        """Runs one operation. Every error of SQLite, the file system or diskcache becomes CacheUnavailable."""
        problem = ""
        with delaying_forks():
            database: OpenDatabase | None = None
            try:
                database = self._idle.take(self._folder.state()) or self._opened(key)
                result = operation(database.cache)
            except CacheUnavailable:
                raise
            except Exception as error:  # sqlite3.Error, OSError, Timeout, and diskcache's on rows that it cannot read
                problem = f"{self!r}: {type(error).__name__}: {error}"
                if database is not None:
                    database.cache.close()
                self._folder.after_error(error, database)
            else:
                self._idle.give(database)
                return result
        raise CacheUnavailable(problem)

    def _opened(self, key: str) -> OpenDatabase:
        cache = self._folder.open(key)
        return OpenDatabase(cache, self._folder.state())


def _allowed(shared_parent: object) -> bool:
    if shared_parent in (True, "allow"):
        return True
    if shared_parent in (False, "refuse"):
        return False
    raise ConfigurationError(f"DiskTokenCache: shared_parent={shared_parent!r} is unknown. Fix: shared_parent='allow'")
