"""Counts and small values that all workers and hosts of a service share through the cache.

The token proxy and the vending endpoint count with it. While the shared cache fails, each process counts on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from ..caches.protocol import TokenCache, release_thread
from ..events import EventEmitter
from ..runtime.clock import SYSTEM_CLOCK, Clock
from .circuit_breaker import circuit_breakers_for
from .opening import checked_cache

__all__ = ["SharedCounters"]

_Result = TypeVar("_Result")


class SharedCounters:
    """Counters in the shared cache, with this process's memory behind them. No fault of the cache reaches the caller.

    Counters are plain numbers and are not sealed.

    Args:
        cache: the shared cache; None counts in this process only.
        name: the name of the service in log lines about the cache.
        clock: the clocks.

    Attributes:
        wall: the wall clock, in Unix time.
    """

    def __init__(self, cache: TokenCache | None, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        memory = checked_cache("memory:")
        user_clock = None if clock is SYSTEM_CLOCK else clock
        self._breakers = (
            *reversed(circuit_breakers_for(cache, user_clock)),
            *circuit_breakers_for(memory, user_clock),
        )
        self._events = EventEmitter(name, None)
        self.wall = clock.wall

    def increment(self, name: str, ttl: float) -> int:
        """Adds one and returns the count. The count is kept for ``ttl`` seconds."""
        return self._do(lambda cache: cache.increment(name, ttl))

    def increment_shared(self, name: str, ttl: float) -> int | None:
        """Adds one for the whole fleet and returns the count; None while the shared cache fails."""
        answered, result = self._breakers[0].do(self._events, lambda cache: cache.increment(name, ttl))
        return result if answered else None

    def count(self, name: str) -> int:
        """The count; 0 if there is none."""
        digits = self.get(name)
        return int(digits) if digits is not None and digits.isdigit() and len(digits) < 20 else 0

    def get(self, name: str) -> bytes | None:
        """The value, or None."""
        return self._do(lambda cache: cache.get(name))

    def set(self, name: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds; nothing if ``ttl`` is not positive."""
        if ttl > 0:
            self._do(lambda cache: cache.set(name, value, ttl))

    def set_shared(self, name: str, value: bytes, ttl: float) -> bool:
        """Stores a value for the whole fleet; False while the shared cache fails."""
        return self._breakers[0].do(self._events, lambda cache: cache.set(name, value, ttl))[0]

    def delete(self, name: str) -> None:
        """Removes a value."""
        self._do(lambda cache: cache.delete(name))

    def release_thread(self) -> None:
        """Lets the cache close what it opened for this thread. Call it before a thread ends."""
        for breaker in self._breakers:
            release_thread(breaker.cache)

    def _do(self, operation: Callable[[TokenCache], _Result]) -> _Result:
        """The result from the farthest tier that answers. The last one is this process's memory, which always does."""
        for breaker in self._breakers:
            answered, result = breaker.do(self._events, operation)
            if answered:
                return cast("_Result", result)
        return operation(self._breakers[-1].cache)
