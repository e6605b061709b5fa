"""A cache behind a breaker: after a fault it is left alone for a while, by every source of the process that uses it."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from ..caches.protocol import TokenCache
from ..errors import CacheUnavailable
from ..events import EventEmitter
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..runtime.identity_key import IdentityKey, identity_key

__all__ = ["OPEN_FOR", "CircuitBreaker", "circuit_breakers_for"]

OPEN_FOR = 5.0
"""Seconds that a cache is left alone after a fault."""
_T = TypeVar("_T")
_log = logging.getLogger("m2m_auth")


class CircuitBreaker:
    """One cache. A fault of it never reaches a caller; it becomes an event and a default."""

    def __init__(self, cache: TokenCache, monotonic: Callable[[], float]) -> None:
        self.cache = cache
        self.capabilities = cache.capabilities
        self._monotonic = monotonic
        self._broken_until = float("-inf")
        self._faulty = False

    @property
    def failing(self) -> bool:
        """True while the cache is left alone after a fault."""
        return self._monotonic() < self._broken_until

    def do(self, events: EventEmitter, operation: Callable[[TokenCache], _T]) -> tuple[bool, _T | None]:
        """One operation: whether the cache answered, and what."""
        if self._faulty and self.failing:
            return False, None
        try:
            result = operation(self.cache)
        except Exception as error:  # a user's own cache may raise anything; no call fails for it
            self._broken_until = self._monotonic() + OPEN_FOR
            self._faulty = True
            reason = str(error) if isinstance(error, CacheUnavailable) else type(error).__name__
            events.emit("cache_fault", reason=reason, holds=OPEN_FOR)
            return False, None
        if self._faulty:
            self._faulty = False
            events.emit("cache_recovered")
        return True, result


_breakers: OrderedDict[tuple[IdentityKey, IdentityKey], tuple[CircuitBreaker, ...]] = OrderedDict()
_MANY = 64
"""A cache object for every request is a connection for every request: of idle ones, so many stay open."""


def circuit_breakers_for(cache: TokenCache | None, clock: Clock | None) -> tuple[CircuitBreaker, ...]:
    """The circuit breakers of a cache's tiers, the nearest first; ``clock`` is the user's, or None."""
    if cache is None:
        return ()
    key = identity_key(cache), identity_key(clock)
    breakers = _breakers.get(key)
    if breakers is None:
        tiers: tuple[TokenCache, ...] = getattr(cache, "tiers", (cache,))
        monotonic = (clock or SYSTEM_CLOCK).monotonic
        breakers = _breakers.setdefault(key, tuple(CircuitBreaker(tier, monotonic) for tier in tiers))
        for tier in tiers:
            _warn_of_gaps(tier)
        while len(_breakers) > _MANY:
            for breaker in _breakers.popitem(last=False)[1]:
                with contextlib.suppress(Exception):
                    breaker.cache.close()  # idle connections; they open again when it is used again
    else:
        with contextlib.suppress(KeyError):  # another thread has evicted it
            _breakers.move_to_end(key)
    return breakers


_GAPS = {
    "atomic_add": "it cannot give a lease, so several processes may mint at the same moment",
    "atomic_increment": "its counters may lose mints, so the ledger and budgets are estimates",
}


def _warn_of_gaps(cache: TokenCache) -> None:
    """Says once per cache what the engine has to do without."""
    for capability, consequence in _GAPS.items():
        if cache.capabilities.shared and not getattr(cache.capabilities, capability):
            _log.warning("%r has no %s: %s", cache, capability, consequence)
