"""A cache behind a breaker: after a fault it is left alone for a while, by every source of the process that uses it."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from .caches import TokenCache
from .clock import SYSTEM_CLOCK, Clock
from .errors import CacheUnavailable
from .events import Reporter
from .slot import Same, same

__all__ = ["BREAKER", "Guard", "guards_for"]

BREAKER = 5.0
"""Seconds that a cache is left alone after a fault."""
_T = TypeVar("_T")
_log = logging.getLogger("m2m_auth")


class Guard:
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

    def do(self, report: Reporter, operation: Callable[[TokenCache], _T]) -> tuple[bool, _T | None]:
        """One operation: whether the cache answered, and what."""
        if self._faulty and self.failing:
            return False, None
        try:
            result = operation(self.cache)
        except Exception as error:  # a user's own cache may raise anything; no call fails for it
            self._broken_until = self._monotonic() + BREAKER
            self._faulty = True
            reason = str(error) if isinstance(error, CacheUnavailable) else type(error).__name__
            report.tell("cache_fault", reason=reason, holds=BREAKER)
            return False, None
        if self._faulty:
            self._faulty = False
            report.tell("cache_recovered")
        return True, result


_guards: OrderedDict[tuple[Same, Same], tuple[Guard, ...]] = OrderedDict()
_MANY = 64
"""A cache object for every request is a connection for every request: of idle ones, so many stay open."""


def guards_for(cache: TokenCache | None, clock: Clock | None) -> tuple[Guard, ...]:
    """The process's guards of a cache's tiers, the nearest first; ``clock`` is the user's, or None for the system's."""
    if cache is None:
        return ()
    key = same(cache), same(clock)
    guards = _guards.get(key)
    if guards is None:
        tiers: tuple[TokenCache, ...] = getattr(cache, "tiers", (cache,))
        monotonic = (clock or SYSTEM_CLOCK).monotonic
        guards = _guards.setdefault(key, tuple(Guard(tier, monotonic) for tier in tiers))
        for tier in tiers:
            _warn_of_gaps(tier)
        while len(_guards) > _MANY:
            for guard in _guards.popitem(last=False)[1]:
                with contextlib.suppress(Exception):
                    guard.cache.close()  # idle connections; they open again when it is used again
    else:
        with contextlib.suppress(KeyError):  # another thread has evicted it
            _guards.move_to_end(key)
    return guards


_GAPS = {
    "atomic_add": "it cannot give a lease, so several processes may mint at the same moment",
    "atomic_increment": "its counters may lose mints, so the ledger and budgets are estimates",
}


def _warn_of_gaps(cache: TokenCache) -> None:
    """Says once per cache what the engine has to do without."""
    for capability, consequence in _GAPS.items():
        if cache.capabilities.shared and not getattr(cache.capabilities, capability):
            _log.warning("%r has no %s: %s", cache, capability, consequence)
