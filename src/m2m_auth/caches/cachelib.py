"""The caches of cachelib and Flask-Caching that an application already uses.

If a cachelib cache stands on a client of Redis, Valkey or pymemcache, the token cache for that server is opened at the
client's address. Every other cache is used through cachelib: a private copy of the cache object, on the same data, with
another serializer. cachelib's own serializer unpickles every value before the caller can check it.
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
from .cachelib_private_copy import Fault, private_copy
from .opening import from_client
from .protocol import Capabilities, TokenCache

__all__ = ["CachelibTokenCache"]

_VALUE = "m2m1:"
_COUNTER = "m2m1#"
_T = TypeVar("_T")


class CachelibTokenCache:
    """A cachelib cache as a token cache.

    cachelib counts whole seconds, most of its caches from the start of the current second. Times to live are rounded
    up so that none is too short; an entry may stay two seconds longer.

    ========================= ======= ===== ======= ====================================================
    cache                     shared  lease release ledger
    ========================= ======= ===== ======= ====================================================
    SimpleCache               no      yes   yes     yes; under this module's lock, since cachelib < 0.16 has none
    DynamoDbCache             yes     yes   no      counts may be lost when two processes write at once
    all others                yes     no    no      counts may be lost when two processes write at once
    ========================= ======= ===== ======= ====================================================

    A lease that cannot be released lapses. The user's cache determines the connections and their timeouts.

    Args:
        cache: a cachelib cache or an instance of a subclass, such as Flask-Caching's. It is not changed. A user's own
            class without a ``serializer`` receives text to store, and should not unpickle values.

    Raises:
        ConfigurationError: it stores nothing (NullCache), it is not a cachelib cache, or it stands on a client of
            Redis or memcached: :meth:`from_client` accepts these.
    """

    def __init__(self, cache: cachelib.BaseCache) -> None:
        _refuse_useless(cache)
        if _native(cache) is not None:
            name = type(cache).__name__
            raise ConfigurationError(
                f"CachelibTokenCache({name}): its server has more capabilities. Fix: pass cache=<the {name}>"
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
        """The token cache over a cachelib cache; for Redis, Valkey and memcached, the token cache of that server.

        That one ignores the cachelib cache's ``key_prefix``: all keys of m2m-auth begin with ``m2m1.``.

        Raises:
            ConfigurationError: it stores nothing, or its client always unpickles what it reads.
        """
        cache = _refuse_useless(client)
        native = _native(cache)
        if native is None:
            return cls(cache)
        found = from_client(native)
        if found is None:
            raise ConfigurationError(
                f"cache={type(cache).__name__}(…): its client, {type(native).__module__}.{type(native).__name__}, "
                "unpickles what it reads, or is unknown. Fix: pass the server's URL, such as "
                "cache='memcached://host:port' or 'redis://host', or a client of pymemcache, redis or valkey"
            )
        return found

    def __repr__(self) -> str:
        return f"CachelibTokenCache({self._name})"

    def get(self, key: str) -> bytes | None:
        """The live value, or None. A value that m2m-auth did not store reads as None."""
        text = self._do(lambda cache: cache.get(key))
        counter = _counter(text)
        return str(counter[0]).encode() if counter else _value(text)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(lambda cache: self._put(cache, key, _text(value), ttl))

    def delete(self, key: str) -> None:
        """Deletes a key."""
        self._do(lambda cache: self._remove(cache, key))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one; atomic where ``capabilities`` says so."""

        def get_and_put(cache: cachelib.BaseCache) -> bool:
            if self._adds:
                return bool(cache.add(key, _text(value), _timeout(ttl)))
            # Not cache.add: in some caches an expired entry makes it return False.
            if cache.get(key) is not None:
                return False
            self._put(cache, key, _text(value), ttl)
            return True

        return self._do(get_and_put)

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value. Where this is not atomic: False, and the key lapses."""

        def compare(cache: cachelib.BaseCache) -> bool:
            if not self._local or _value(cache.get(key)) != value:
                return False
            cache.delete(key)
            return True

        return self._do(compare)

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count; atomic in a SimpleCache, a read and a write elsewhere.

        ``inc`` is not used: it would give the counter the cache's default time to live.
        """

        def count(cache: cachelib.BaseCache) -> int:
            now = time.time()
            known, until = _counter(cache.get(key)) or (0, now + ttl)
            self._put(cache, key, f"{_COUNTER}{known + 1}@{until:.3f}", max(until - now, 0.0))
            return known + 1

        return self._do(count)

    def close(self) -> None:
        """Does nothing: the connections belong to the user's cache."""

    def _put(self, cache: cachelib.BaseCache, key: str, text: str, ttl: float) -> None:
        stored = cache.set(key, text, _timeout(ttl))
        if stored is False or (stored is None and isinstance(cache, cachelib.UWSGICache)):
            raise CacheUnavailable(f"{self!r}: it did not store the value. Its log may say why")

    def _remove(self, cache: cachelib.BaseCache, key: str) -> None:
        # Some of the other caches return False for a missing key.
        if cache.delete(key) is False and isinstance(cache, cachelib.FileSystemCache):
            raise CacheUnavailable(f"{self!r}: it did not delete the value. Its log may say why")

    def _do(self, operation: Callable[[cachelib.BaseCache], _T]) -> _T:
        """Runs one operation. Every error becomes CacheUnavailable, without its message, which may hold addresses."""
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
    """One lock for all SimpleCaches: several token caches may use the same one. Delays forks."""
    with delaying_forks(), _lock:
        yield


def _refuse_useless(cache: object) -> cachelib.BaseCache:
    name = type(cache).__name__
    if not isinstance(cache, cachelib.BaseCache):
        raise ConfigurationError(f"cache={name}(…) is not a cachelib cache. Fix: pass one, such as FileSystemCache")
    if type(cache).get is cachelib.BaseCache.get:
        raise ConfigurationError(
            f"cache={name}(…) stores nothing, so each process would mint its own token. "
            "Fix: cache=None to use only this process's memory, or a cache that stores values"
        )
    return cache


def _native(cache: cachelib.BaseCache) -> Any:
    """The client of Redis, Valkey or memcached that the cache uses, or None."""
    name = "_client" if isinstance(cache, cachelib.MemcachedCache) else "_write_client"
    return getattr(cache, name, None)


def _timeout(ttl: float) -> int:
    """Whole seconds, plus one: most caches count from the start of the current second. Never 0, which has no end."""
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
    """The count, and the Unix time at which it expires."""
    if not isinstance(text, str) or not text.startswith(_COUNTER):
        return None
    count, _, until = text[len(_COUNTER) :].partition("@")
    try:
        return int(count), float(until)
    except ValueError:
        return None
