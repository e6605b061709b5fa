"""cachelib's caches, and with them Flask-Caching's: whatever an application already has.

Where cachelib stands on a client that we know (Redis, Valkey, memcached by pymemcache), its client's address is taken
and our own cache talks to that server. The others are used through cachelib, in a private copy that shares the user's
data and has a serializer of ours: cachelib's own unpickles whatever it finds, before anybody could look at it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import cachelib

from ..errors import CacheUnavailable, ConfigurationError
from ..runtime.fork_safety import delaying_forks
from .cachelib_private_client import Fault, private_copy
from .opening import from_client
from .protocol import Capabilities, TokenCache

__all__ = ["CachelibTokenCache"]

_VALUE = "m2m1:"
_COUNTER = "m2m1#"
_T = TypeVar("_T")


class CachelibTokenCache:
    """A cachelib cache as a token cache.

    cachelib counts whole seconds, and most of its caches from the beginning of the current one: times to live are
    rounded up so that none is shorter than asked, and an entry may stay two seconds longer.

    ========================= ======= ===== ======= ====================================================
    cache                     shared  lease release ledger
    ========================= ======= ===== ======= ====================================================
    SimpleCache               no      yes   yes     yes; all under a lock of ours, since cachelib < 0.16 has none
    DynamoDbCache             yes     yes   no      counts of processes that write together may be lost
    all others                yes     no    no      counts of processes that write together may be lost
    ========================= ======= ===== ======= ====================================================

    A lease that cannot be released lapses. Connections, and how long they wait, are the user's own.

    Args:
        cache: a cachelib cache or an instance of a subclass, such as Flask-Caching's. It is not changed. A class of
            somebody's own that has no ``serializer`` gets text to store, and should not unpickle it.

    Raises:
        ConfigurationError: it stores nothing (NullCache), it is no cachelib cache, or it stands on a client of Redis
            or memcached, which :meth:`from_client` takes.
    """

    def __init__(self, cache: cachelib.BaseCache) -> None:
        _refuse_useless(cache)
        if _native(cache) is not None:
            name = type(cache).__name__
            raise ConfigurationError(
                f"CachelibTokenCache({name}): its server can do more. Fix: pass cache=<the {name}>"
            )
        self._name = type(cache).__name__
        self._cache = private_copy(cache)
        self._local = isinstance(cache, cachelib.SimpleCache)
        self._adds = isinstance(cache, cachelib.DynamoDbCache)
        self.capabilities = Capabilities(
            shared=not self._local,
            atomic_add=self._local or self._adds,
            compare_delete=self._local,
            atomic_increment=self._local,
            resolution=1.0,
        )

    @classmethod
    def from_client(cls, client: object) -> TokenCache:
        """The cache over a cachelib cache; for Redis, Valkey and memcached, our own over its server.

        A ``key_prefix`` is left out there: our keys begin with ``m2m1.``.

        Raises:
            ConfigurationError: it stores nothing, or its client unpickles what it reads and cannot be kept from it.
        """
        cache = _refuse_useless(client)
        native = _native(cache)
        if native is None:
            return cls(cache)
        found = from_client(native)
        if found is None:
            raise ConfigurationError(
                f"cache={type(cache).__name__}(…): its client, {type(native).__module__}.{type(native).__name__}, "
                "unpickles what it reads, or is not known. Fix: pass the server's URL, such as "
                "cache='memcached://host:port' or 'redis://host', or a client of pymemcache, redis or valkey"
            )
        return found

    def __repr__(self) -> str:
        return f"CachelibTokenCache({self._name})"

    def get(self, key: str) -> bytes | None:
        """The live value, or None; what somebody else has put there is None, too."""
        text = self._do(lambda cache: cache.get(key))
        counter = _counter(text)
        return str(counter[0]).encode() if counter else _value(text)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(lambda cache: self._put(cache, key, _text(value), ttl))

    def delete(self, key: str) -> None:
        """Forgets a key."""
        self._do(lambda cache: self._remove(cache, key))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there; atomic where ``capabilities`` says so."""

        def look_and_put(cache: cachelib.BaseCache) -> bool:
            if self._adds:
                return bool(cache.add(key, _text(value), _timeout(ttl)))
            # Not cache.add: some take an expired entry for a live one.
            if cache.get(key) is not None:
                return False
            self._put(cache, key, _text(value), ttl)
            return True

        return self._do(look_and_put)

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value. Where that is not atomic: False, and the key lapses."""

        def compare(cache: cachelib.BaseCache) -> bool:
            if not self._local or _value(cache.get(key)) != value:
                return False
            cache.delete(key)
            return True

        return self._do(compare)

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count; atomic in a SimpleCache, a read and a write elsewhere.

        Not ``inc``, which would give the counter the cache's default time to live.
        """

        def count(cache: cachelib.BaseCache) -> int:
            now = time.time()
            known, until = _counter(cache.get(key)) or (0, now + ttl)
            self._put(cache, key, f"{_COUNTER}{known + 1}@{until:.3f}", max(until - now, 0.0))
            return known + 1

        return self._do(count)

    def close(self) -> None:
        """Nothing to let go of: the connections are the user's."""

    def _put(self, cache: cachelib.BaseCache, key: str, text: str, ttl: float) -> None:
        stored = cache.set(key, text, _timeout(ttl))
        if stored is False or (stored is None and isinstance(cache, cachelib.UWSGICache)):
            raise CacheUnavailable(f"{self!r}: it did not store the value; its own log may say why")

    def _remove(self, cache: cachelib.BaseCache, key: str) -> None:
        # Of the others, some say False where nothing was there.
        if cache.delete(key) is False and isinstance(cache, cachelib.FileSystemCache):
            raise CacheUnavailable(f"{self!r}: it did not delete the value; its own log may say why")

    def _do(self, operation: Callable[[cachelib.BaseCache], _T]) -> _T:
        """One operation. Whatever the backend has to say is a CacheUnavailable; its words may hold addresses."""
        try:
            with _one_at_a_time() if self._local else contextlib.nullcontext():
                return operation(self._cache)
        except CacheUnavailable:
            raise
        except (Exception, Fault) as error:
            problem = f"{self!r}: {error if isinstance(error, Fault) else type(error).__name__}"
        raise CacheUnavailable(problem)


_lock = threading.Lock()


@contextlib.contextmanager
def _one_at_a_time() -> Generator[None, None, None]:
    """For all caches of this process's memory: several of ours may stand on one of them. A fork waits."""
    with delaying_forks(), _lock:
        yield


def _refuse_useless(cache: object) -> cachelib.BaseCache:
    name = type(cache).__name__
    if not isinstance(cache, cachelib.BaseCache):
        raise ConfigurationError(f"cache={name}(…) is no cachelib cache. Fix: pass one, such as FileSystemCache")
    if type(cache).get is cachelib.BaseCache.get:
        raise ConfigurationError(
            f"cache={name}(…) stores nothing, so every process would mint for itself. "
            "Fix: cache=None for this process's memory alone, or a real cache"
        )
    return cache


def _native(cache: cachelib.BaseCache) -> Any:
    """The client of Redis, Valkey or memcached that the cache stands on, or None."""
    name = "_client" if isinstance(cache, cachelib.MemcachedCache) else "_write_client"
    return getattr(cache, name, None)


def _timeout(ttl: float) -> int:
    """Whole seconds; one more, since most count from the beginning of the current one. Never 0, which is for ever."""
    return max(math.ceil(ttl), 0) + 1


def _text(value: bytes) -> str:
    return _VALUE + base64.b64encode(value).decode("ascii")


def _value(text: object) -> bytes | None:
    if not isinstance(text, str) or not text.startswith(_VALUE):
        return None
    try:
        return base64.b64decode(text[len(_VALUE) :], validate=True)
    except binascii.Error:
        return None


def _counter(text: object) -> tuple[int, float] | None:
    """The count, and until when it lives as Unix time."""
    if not isinstance(text, str) or not text.startswith(_COUNTER):
        return None
    count, _, until = text[len(_COUNTER) :].partition("@")
    try:
        return int(count), float(until)
    except ValueError:
        return None
