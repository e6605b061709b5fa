"""A cache in this process's memory: for tests, and to keep one source's token to itself."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from ..errors import ConfigurationError
from ..runtime.fork_safety import on_fork
from .protocol import Capabilities

__all__ = ["MemoryTokenCache"]


class MemoryTokenCache:
    """Holds at most ``max_entries`` entries; the least recently written goes first. Nothing leaves the process.

    Each instance is a world of its own: a source with a private one shares its token with nobody.

    Raises:
        ConfigurationError: ``max_entries`` is not at least 1.
    """

    capabilities = Capabilities(shared=False)

    def __init__(self, max_entries: int = 10_000) -> None:
        if max_entries < 1:
            raise ConfigurationError(f"MemoryTokenCache: max_entries={max_entries} must be at least 1")
        self._max_entries = max_entries
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._lock = threading.Lock()
        on_fork(self)

    @classmethod
    def from_url(cls, url: str) -> MemoryTokenCache:
        """``memory:``, one per process."""
        if not url.endswith(":"):
            raise ConfigurationError(f"cache={url!r}: nothing may follow 'memory:'")
        return cls()

    def after_fork(self) -> None:
        """A lock that another thread held is never released in the child."""
        self._lock = threading.Lock()

    def _live(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] <= time.monotonic():
            del self._entries[key]
            return None
        return entry[0]

    def _put(self, key: str, value: bytes, expires_at: float) -> None:
        self._entries[key] = (value, expires_at)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        with self._lock:
            return self._live(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        with self._lock:
            self._put(key, value, time.monotonic() + ttl)

    def delete(self, key: str) -> None:
        """Forgets a key."""
        with self._lock:
            self._entries.pop(key, None)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there."""
        with self._lock:
            if self._live(key) is not None:
                return False
            self._put(key, value, time.monotonic() + ttl)
            return True

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value."""
        with self._lock:
            if self._live(key) != value:
                return False
            del self._entries[key]
            return True

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count."""
        with self._lock:
            old = self._live(key)
            expires_at = time.monotonic() + ttl if old is None else self._entries[key][1]
            count = int(old or b"0") + 1
            self._put(key, str(count).encode(), expires_at)
            return count

    def close(self) -> None:
        """Nothing to let go of: the entries stay until they expire."""
