"""Counts that all workers and hosts share through the cache; while that fails, each process counts on its own.

Also :class:`Allowance`: so many of something in a UTC minute, hour or month, never one more, over the whole fleet.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, TypeVar, cast

from ..caches.protocol import TokenCache, release_thread
from ..events import EventEmitter
from ..lifecycle.utc_periods import period_ends_in
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..shared_cache.circuit_breaker import circuit_breakers_for
from ..shared_cache.opening import checked_cache

__all__ = ["PERIODS", "Allowance", "Counters", "Taken", "ends_in", "hour_before", "label", "month_began", "short"]

PERIODS = ("hour", "day", "month")
_FORMATS = {"minute": "%Y%m%d%H%M", "hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}
KEPT = {"minute": 120.0, "hour": 26 * 3600.0, "day": 2 * 86400.0, "month": 32 * 86400.0}
"""Seconds that a period's counts are kept; an hour's until the plot of a day no longer shows it."""
_T = TypeVar("_T")


def label(period: str, now: float) -> str:
    """The UTC minute, hour, day or month that Unix time ``now`` is in, as a part of a cache key."""
    return datetime.fromtimestamp(now, timezone.utc).strftime(_FORMATS[period])


def hour_before(now: float, hours: int) -> float:
    """Unix time so many hours before ``now``."""
    return (datetime.fromtimestamp(now, timezone.utc) - timedelta(hours=hours)).timestamp()


def month_began(now: float) -> float:
    """Unix time when the UTC month began."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def ends_in(period: str, now: float) -> float:
    """Seconds until the UTC minute, hour, day or month ends."""
    return 60.0 - now % 60.0 if period == "minute" else period_ends_in(period, now)


def short(key: bytes, *parts: str) -> str:
    """22 characters of a cache key that stand for ``parts``: an address or a client id is not written in the clear."""
    mac = hmac.new(key, digestmod="sha256")
    for part in parts:
        raw = part.encode()
        mac.update(len(raw).to_bytes(4, "big") + raw)
    return base64.urlsafe_b64encode(mac.digest()[:16]).rstrip(b"=").decode()


class Counters:
    """The shared cache, for counts and for what else workers tell each other.

    Args:
        cache: the proxy's shared cache.
        clock: the time.
    """

    def __init__(self, cache: TokenCache | None, clock: Clock = SYSTEM_CLOCK) -> None:
        own = checked_cache("memory:")
        system = None if clock is SYSTEM_CLOCK else clock
        self._guards = (*reversed(circuit_breakers_for(cache, system)), *circuit_breakers_for(own, system))
        self._report = EventEmitter("token proxy", None)
        self.wall = clock.wall

    def _do(self, operation: Callable[[TokenCache], _T]) -> _T:
        """On the farthest tier that answers. The last one is this process's memory, which always does."""
        for guard in self._guards:
            answered, result = guard.do(self._report, operation)
            if answered:
                return cast("_T", result)
        return operation(self._guards[-1].cache)

    def add_one(self, name: str, ttl: float) -> int:
        """Adds one, and returns the count."""
        return self._do(lambda cache: cache.increment(name, ttl))

    def number(self, name: str, ttl: float) -> int | None:
        """One more than anybody else was given; None while the shared cache fails: then nobody can tell."""
        answered, result = self._guards[0].do(self._report, lambda cache: cache.increment(name, ttl))
        return result if answered else None

    def count(self, name: str) -> int:
        """The count; 0 where there is none."""
        digits = self._do(lambda cache: cache.get(name))
        return int(digits) if digits is not None and digits.isdigit() and len(digits) < 20 else 0

    def get(self, name: str) -> bytes | None:
        """What is there."""
        return self._do(lambda cache: cache.get(name))

    def set(self, name: str, value: bytes, ttl: float) -> None:
        """Puts something there."""
        if ttl > 0:
            self._do(lambda cache: cache.set(name, value, ttl))

    def publish(self, name: str, value: bytes, ttl: float) -> bool:
        """Puts something where the others see it; False while the shared cache fails: then it is not there."""
        return self._guards[0].do(self._report, lambda cache: cache.set(name, value, ttl))[0]

    def delete(self, name: str) -> None:
        """Takes it away."""
        self._do(lambda cache: cache.delete(name))

    def release(self) -> None:
        """Lets the cache close what it opened for this thread; for threads that end."""
        for guard in self._guards:
            release_thread(guard.cache)


class Taken(NamedTuple):
    """What an :class:`Allowance` was asked for: one of it, or not, and then for how long not."""

    granted: bool
    retry_after: float
    names: tuple[tuple[str, float], ...]


class Allowance:
    """At most ``limits[period]`` of something per UTC period: what is taken less what was given back.

    Both are counters, since a cache can only add one. The number given back is read before one is taken, so the
    difference is never too small, and two that ask at the same moment never get the same last one.

    Args:
        counters: where they are kept.
        name: the beginning of the counters' keys: what it is, and whose.
        limits: how many per ``minute``, ``hour`` or ``month``; None: no limit, and only counted.
    """

    def __init__(self, counters: Counters, name: str, limits: dict[str, int | None]) -> None:
        self._counters, self._name, self._limits = counters, name, limits

    def _names(self, period: str, now: float) -> tuple[str, str]:
        stem = f"{self._name}.{label(period, now)}"
        return f"{stem}.+", f"{stem}.-"

    def take(self) -> Taken:
        """Takes one of every period, or none."""
        now = self._counters.wall()
        names: list[tuple[str, float]] = []
        waits: list[float] = []
        for period, limit in self._limits.items():
            taken, back = self._names(period, now)
            returned = self._counters.count(back)
            if self._counters.add_one(taken, KEPT[period]) - returned > (limit if limit is not None else 1 << 60):
                waits.append(ends_in(period, now))
            names.append((back, KEPT[period]))
        answer = Taken(not waits, max(waits, default=0.0), tuple(names))
        if waits:
            self.give_back(answer)
        return answer

    def give_back(self, taken: Taken) -> None:
        """Gives back what :meth:`take` took."""
        for name, ttl in taken.names:
            self._counters.add_one(name, ttl)

    def used(self, period: str) -> int:
        """How many are taken in the current period."""
        taken, back = self._names(period, self._counters.wall())
        returned = self._counters.count(back)
        return max(self._counters.count(taken) - returned, 0)

    def retry_after(self) -> float:
        """Seconds until there may be one again; 0: there is one now. Takes nothing."""
        now = self._counters.wall()
        spent = [period for period, limit in self._limits.items() if limit is not None and self.used(period) >= limit]
        return max((ends_in(period, now) for period in spent), default=0.0)
