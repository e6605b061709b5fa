"""A cache behind a circuit breaker: after a fault, no source of the process uses it for a while."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

from ..caches.protocol import TokenCache
from ..errors import CacheUnavailable
from ..events import EventEmitter
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..runtime.identity_key import IdentityKey, identity_key

__all__ = ["OPEN_FOR", "CircuitBreaker", "circuit_breakers_for"]

OPEN_FOR = 5.0
"""Seconds that a cache is not used after a fault."""
_T = TypeVar("_T")
_log = logging.getLogger("m2m_auth")


class CircuitBreaker:
    """One cache. Its fault never reaches a caller; it becomes an event and a default."""

    def __init__(self, cache: TokenCache, monotonic: Callable[[], float]) -> None:
        self.cache = cache
        self.capabilities = cache.capabilities
        self._monotonic = monotonic
        self._open_until = float("-inf")
        self._faulty = False

    @property
    def failing(self) -> bool:
        """True while the cache is not used after a fault."""
        return self._monotonic() < self._open_until

    def do(self, events: EventEmitter, operation: Callable[[TokenCache], _T]) -> tuple[bool, _T | None]:
        """One operation: whether the cache answered, and its answer."""
        if self._faulty and self.failing:
            return False, None
        try:
            result = operation(self.cache)
        except Exception as error:  # a user's own cache may raise anything; no call fails for it
            self._open_until = self._monotonic() + OPEN_FOR
            self._faulty = True
            reason = str(error) if isinstance(error, CacheUnavailable) else type(error).__name__
            events.emit("cache_fault", reason=reason, holds=OPEN_FOR)
            return False, None
        if self._faulty:
            self._faulty = False
            events.emit("cache_recovered")
        return True, result


def _close_idle(breakers: tuple[CircuitBreaker, ...]) -> None:
    for breaker in breakers:
        with contextlib.suppress(Exception):
            breaker.cache.close()  # idle connections; they open again when it is used again


_breakers: BoundedMap[tuple[IdentityKey, IdentityKey], tuple[CircuitBreaker, ...]] = BoundedMap(64, _close_idle)
"""A program that builds a cache object for each request opens a connection for each: 64 idle ones stay open."""


def circuit_breakers_for(cache: TokenCache | None, clock: Clock | None) -> tuple[CircuitBreaker, ...]:
    """The circuit breakers of a cache's tiers, the nearest first; ``clock`` is the user's, or None."""
    if cache is None:
        return ()

    def build() -> tuple[CircuitBreaker, ...]:
        tiers: tuple[TokenCache, ...] = getattr(cache, "tiers", (cache,))
        for tier in tiers:
            _warn_of_gaps(tier)
        monotonic = (clock or SYSTEM_CLOCK).monotonic
        return tuple(CircuitBreaker(tier, monotonic) for tier in tiers)

    return _breakers.get_or_add((identity_key(cache), identity_key(clock)), build)


_GAPS = {
    "atomic_add": "it cannot give a lease, so several processes may mint at the same moment",
    "atomic_increment": "its counters may lose mints, so the ledger and budgets are estimates",
}


def _warn_of_gaps(cache: TokenCache) -> None:
    """Logs once per cache what it cannot do."""
    for capability, consequence in _GAPS.items():
        if cache.capabilities.shared and not getattr(cache.capabilities, capability):
            _log.warning("%r has no %s: %s", cache, capability, consequence)
