"""A cache in this process's memory: for tests, and for a source that must not share its token."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from ..errors import ConfigurationError
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import SYSTEM_CLOCK
from ..runtime.fork_safety import ForkSafeLock
from .protocol import Capabilities

__all__ = ["MemoryTokenCache"]


class _End(NamedTuple):
    """When an entry ends: by the monotonic clock, or by the wall clock if that one is set ahead."""

    monotonic: float
    wall: float

    @classmethod
    def after(cls, ttl: float) -> _End:
        return cls(SYSTEM_CLOCK.monotonic() + ttl, SYSTEM_CLOCK.wall() + ttl)

    def is_over(self) -> bool:
        return self.monotonic <= SYSTEM_CLOCK.monotonic() or self.wall <= SYSTEM_CLOCK.wall()


class MemoryTokenCache:
    """Holds at most ``max_entries`` entries; the least recently used one is evicted first.

    Only sources that have the same instance share tokens.

    Raises:
        ConfigurationError: ``max_entries`` is not at least 1.
    """

    capabilities = Capabilities(shared=False)

    def __init__(self, max_entries: int = 10_000) -> None:
        if max_entries < 1:
            raise ConfigurationError(f"MemoryTokenCache: max_entries={max_entries} must be at least 1")
        self._entries: BoundedMap[str, tuple[bytes, _End]] = BoundedMap(max_entries)
        self._lock = ForkSafeLock()
        _all.add(self)

    @classmethod
    def from_url(cls, url: str) -> MemoryTokenCache:
        """``memory:``, without anything after the colon."""
        if not url.endswith(":"):
            raise ConfigurationError(f"cache={url!r}: 'memory:' takes nothing after the colon. Fix: cache='memory:'")
        return cls()

    def _live(self, key: str) -> tuple[bytes, _End] | None:
        entry = self._entries.get(key)
        if entry is not None and entry[1].is_over():
            self._entries.pop(key)
            return None
        return entry

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        with self._lock.current:
            entry = self._live(key)
            return None if entry is None else entry[0]

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        with self._lock.current:
            self._entries.set(key, (value, _End.after(ttl)))

    def delete(self, key: str) -> None:
        """Deletes a key."""
        with self._lock.current:
            self._entries.pop(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one."""
        with self._lock.current:
            if self._live(key) is not None:
                return False
            self._entries.set(key, (value, _End.after(ttl)))
            return True

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value."""
        with self._lock.current:
            entry = self._live(key)
            if entry is None or entry[0] != value:
                return False
            self._entries.pop(key)
            return True

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count."""
        with self._lock.current:
            digits, end = self._live(key) or (b"0", _End.after(ttl))
            count = int(digits) + 1
            self._entries.set(key, (str(count).encode(), end))
            return count

    def clear(self) -> None:
        """Deletes every key."""
        with self._lock.current:
            self._entries.clear()

    def close(self) -> None:
        """Does nothing: the entries stay until they expire."""


_all: weakref.WeakSet[MemoryTokenCache] = weakref.WeakSet()


def clear_memory_caches() -> None:
    """Clears every memory cache of the process. For tests."""
    for cache in list(_all):
        cache.clear()
