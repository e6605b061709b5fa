"""The cap: how many tokens one caller is handed in an hour, cached ones included."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..events import EventEmitter
from ..lifecycle.utc_periods import period_ends_in
from ..runtime.clock import Clock
from ..runtime.fork_safety import on_fork
from ..shared_cache.circuit_breaker import circuit_breakers_for
from ..shared_cache.keys import CacheKeys
from ..shared_cache.opening import checked_cache
from ..shared_cache.shared_store import NOTHING_SHARED, SharedStore

if TYPE_CHECKING:
    from ..caches.protocol import TokenCache

__all__ = ["HourlyCap"]

_MANY = 65536
"""Counts that are kept, each of one caller and hour; of more, the one that was added to longest ago is forgotten."""
_KEPT = 2 * 3600.0


class HourlyCap:
    """Counts each caller's requests of the current UTC hour, in this process and in the shared cache if there is one.

    Args:
        per_hour: how many are allowed.
        cache: a shared cache, so that all workers count together; a fault of it leaves this process's own count.
        clock: the clock.
    """

    def __init__(self, per_hour: int, cache: str | TokenCache | None, clock: Clock) -> None:
        self._per_hour, self._clock = per_hour, clock
        self._cache = checked_cache(cache)
        guards = circuit_breakers_for(self._cache, clock)
        # Counters are plain numbers, never sealed.
        self._shared = SharedStore(guards, None, CacheKeys(b""), clock.wall) if guards else NOTHING_SHARED
        self._report = EventEmitter("vending", None)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child the lock may never be released."""
        self._lock = threading.Lock()

    def wait(self, key: str) -> float | None:
        """Counts one request of this key; the seconds until the next may come, or None if this is within the cap."""
        now = self._clock.wall()
        hour = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%d%H")
        digest = hashlib.sha256(key.encode()).digest()[:16]
        name = f"m2m1.v.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}.{hour}"
        count = self._counted(name)
        if count <= self._per_hour:
            count = max(count, self._counted_together(name))
        return period_ends_in("hour", now) if count > self._per_hour else None

    def close(self) -> None:
        """Closes the shared cache. It opens again if it is used again."""
        if self._cache is not None:
            self._cache.close()

    def _counted_together(self, name: str) -> int:
        try:
            self._shared.increment(name, _KEPT, self._report)
            return self._shared.count(name, self._report) or 0
        finally:
            self._shared.release_thread()

    def _counted(self, name: str) -> int:
        with self._lock:
            count = self._counts[name] = self._counts.get(name, 0) + 1
            self._counts.move_to_end(name)
            if len(self._counts) > _MANY:
                self._counts.popitem(last=False)
            return count
