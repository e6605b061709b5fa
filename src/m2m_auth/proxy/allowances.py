"""Allowances: a limit per UTC minute, hour or month, for the whole fleet."""

from __future__ import annotations

import base64
import hmac
from typing import NamedTuple

from ..lifecycle.utc_periods import UtcPeriod, utc_period
from ..shared_cache.counters import SharedCounters

__all__ = ["Allowance", "Taken", "counted_period", "keyed_name"]

_HOUR_KEPT = 26 * 3600.0
"""Seconds that an hour's counts are kept: the operator's page plots the last 24 hours."""
_UNLIMITED = 1 << 60


def counted_period(name: str, now: float) -> UtcPeriod:
    """The UTC minute, hour, day or month that Unix time ``now`` is in, as the proxy counts it."""
    period = utc_period(name, now)
    return period._replace(kept=_HOUR_KEPT) if name == "hour" else period


def keyed_name(key: bytes, *parts: str) -> str:
    """22 characters for a cache key that stand for ``parts``, so that no address or client id is in the clear."""
    mac = hmac.new(key, digestmod="sha256")
    for part in parts:
        raw = part.encode()
        mac.update(len(raw).to_bytes(4, "big") + raw)
    return base64.urlsafe_b64encode(mac.digest()[:16]).rstrip(b"=").decode()


class Taken(NamedTuple):
    """The answer of :meth:`Allowance.take`."""

    granted: bool
    retry_after: float
    """Seconds until the next one may be granted; 0 if this one is."""
    returns: tuple[tuple[str, float], ...]
    """The counters to increment to give it back, each with its time to live in seconds."""


class Allowance:
    """At most ``limits[period]`` of something per UTC period, over all workers and hosts.

    A cache can only add one, so there are two counters: one for what is taken and one for what is given back. The
    second is read before the first is incremented. So the difference is never too small, and two requests at the same
    moment never both get the last one.

    Args:
        counters: the shared counters.
        name: the first part of the counters' keys.
        limits: the limit for each ``minute``, ``hour``, ``day`` or ``month``; None counts without a limit.
    """

    def __init__(self, counters: SharedCounters, name: str, limits: dict[str, int | None]) -> None:
        self._counters, self._name, self._limits = counters, name, limits

    def _counter_names(self, period: UtcPeriod) -> tuple[str, str]:
        stem = f"{self._name}.{period.key_suffix}"
        return f"{stem}.+", f"{stem}.-"

    def take(self) -> Taken:
        """Takes one from every period, or none at all."""
        now = self._counters.wall()
        returns: list[tuple[str, float]] = []
        waits: list[float] = []
        for name, limit in self._limits.items():
            period = counted_period(name, now)
            taken, back = self._counter_names(period)
            returned = self._counters.count(back)
            if self._counters.increment(taken, period.kept) - returned > (_UNLIMITED if limit is None else limit):
                waits.append(period.end - now)
            returns.append((back, period.kept))
        answer = Taken(not waits, max(waits, default=0.0), tuple(returns))
        if waits:
            self.give_back(answer)
        return answer

    def give_back(self, taken: Taken) -> None:
        """Gives back what :meth:`take` took."""
        for name, ttl in taken.returns:
            self._counters.increment(name, ttl)

    def used(self, period: str) -> int:
        """How many are taken in the current period."""
        taken, back = self._counter_names(counted_period(period, self._counters.wall()))
        returned = self._counters.count(back)
        return max(self._counters.count(taken) - returned, 0)

    def retry_after(self) -> float:
        """Seconds until one may be taken again; 0 if one may be taken now. Takes nothing."""
        now = self._counters.wall()
        spent = [name for name, limit in self._limits.items() if limit is not None and self.used(name) >= limit]
        return max((counted_period(name, now).end - now for name in spent), default=0.0)
