"""A cache that fails, to test what a service does then."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Literal, TypeAlias

from ..caches.protocol import Capabilities, TokenCache, release_thread
from ..errors import CacheUnavailable

__all__ = ["FaultyCache"]

Operation: TypeAlias = Literal["get", "set", "delete", "add", "delete_if", "increment"]
Lie: TypeAlias = Literal["garbage", "add_always_true", "add_always_false"]


class FaultyCache:
    """Wraps a cache. A test can make it fail, wait, lie or lose entries; otherwise it works as the inner cache.

    Args:
        inner: the cache that stores the entries.

    Attributes:
        down: True makes every operation raise CacheUnavailable; a collection of names only these operations.
        delay: seconds by which every operation takes longer, on the real clock.
        lie: ``"garbage"``: get returns random bytes for every key; ``"add_always_true"`` and
            ``"add_always_false"``: add returns this and stores nothing; None: correct results.
        calls: the names of the operations so far, failed ones included.
    """

    def __init__(self, inner: TokenCache) -> None:
        self._inner = inner
        self._keys: set[str] = set()
        self.down: bool | Collection[Operation] = False
        self.delay: float = 0.0
        self.lie: Lie | None = None
        self.calls: list[Operation] = []

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the inner cache, also while this one fails."""
        return self._inner.capabilities

    def lose(self) -> None:
        """Deletes every entry that was written through this object, as a restart of a cache server does."""
        for key in tuple(self._keys):
            self._inner.delete(key)
        self._keys.clear()

    def get(self, key: str) -> bytes | None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._begin("get")
        return os.urandom(64) if self.lie == "garbage" else self._inner.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._begin("set", key)
        self._inner.set(key, value, ttl)

    def delete(self, key: str) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._begin("delete")
        self._inner.delete(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._begin("add", key)
        if self.lie == "add_always_true":
            return True
        return self.lie != "add_always_false" and self._inner.add(key, value, ttl)

    def delete_if(self, key: str, value: bytes) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._begin("delete_if")
        return self._inner.delete_if(key, value)

    def increment(self, key: str, ttl: float) -> int:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._begin("increment", key)
        return self._inner.increment(key, ttl)

    def close(self) -> None:
        """Closes the inner cache, also while :attr:`down` is set."""
        self._inner.close()

    def release_thread(self) -> None:
        """Passes the call on to the inner cache, where it has this method."""
        release_thread(self._inner)

    def _begin(self, operation: Operation, written_key: str | None = None) -> None:
        self.calls.append(operation)
        if self.delay:
            time.sleep(self.delay)
        if self.down is True or (self.down is not False and operation in self.down):
            raise CacheUnavailable(f"FaultyCache: {operation} is down")
        if written_key is not None:
            self._keys.add(written_key)
