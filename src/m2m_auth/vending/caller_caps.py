"""The cap on the tokens that one caller gets in an hour, cached ones included."""

from __future__ import annotations

import base64
import hashlib
from itertools import count
from typing import TYPE_CHECKING

from ..lifecycle.utc_periods import utc_period
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import Clock
from ..shared_cache.counters import SharedCounters
from ..shared_cache.opening import checked_cache

if TYPE_CHECKING:
    from ..caches.protocol import TokenCache

__all__ = ["HourlyCap"]

_CAPACITY = 65536
"""The number of counts that one process keeps, each of one caller and hour."""


class HourlyCap:
    """Counts each caller's requests of the current UTC hour, in this process and in the shared cache if there is one.

    Args:
        per_hour: the number of requests that one caller may make in an hour.
        cache: a shared cache, so that all workers count together. While it fails, this process's own counts stand.
        clock: the clocks.
    """

    def __init__(self, per_hour: int, cache: str | TokenCache | None, clock: Clock) -> None:
        self._per_hour, self._wall = per_hour, clock.wall
        self._cache = checked_cache(cache)
        self._shared = None if self._cache is None else SharedCounters(self._cache, "vending", clock)
        self._own: BoundedMap[str, count[int]] = BoundedMap(_CAPACITY)

    def wait(self, key: str) -> float | None:
        """Counts one request of this caller; None if it is within the cap, else the seconds until the hour ends."""
        now = self._wall()
        hour = utc_period("hour", now)
        digest = hashlib.sha256(key.encode()).digest()[:16]
        name = f"m2m1.v.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}.{hour.key_suffix}"
        counted = next(self._own.get_or_add(name, lambda: count(1)))
        # A caller over the cap costs no request to the cache.
        if counted <= self._per_hour and self._shared is not None:
            counted = max(counted, self._shared.increment_shared(name, hour.kept) or 0)
            self._shared.release_thread()
        return hour.end - now if counted > self._per_hour else None

    def close(self) -> None:
        """Closes the shared cache. It opens again if it is used again."""
        if self._cache is not None:
            self._cache.close()
