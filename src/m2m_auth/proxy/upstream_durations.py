"""How long the authorization servers take to answer: a histogram per upstream, over all workers and hosts.

A cache can only add one, so a duration adds one to its bucket, and there is no sum. Quantiles need none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..shared_cache.counters import SharedCounters
from .allowances import counted_period, keyed_name

__all__ = ["SECONDS", "Durations", "UpstreamDurations"]

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""The upper ends of the buckets. One more bucket counts what takes longer."""


class Durations(NamedTuple):
    """One upstream's token requests of the current UTC month."""

    upstream: str
    """The upstream's name."""
    outcome: str
    """``minted`` or ``failed``."""
    counts: tuple[int, ...]
    """The count of each bucket alone, not cumulative."""


class UpstreamDurations:
    """The histograms of all upstreams.

    Args:
        upstreams: the upstreams' names.
        counters: the shared counters.
        key: keys the names of the counters.
    """

    def __init__(self, upstreams: Iterable[str], counters: SharedCounters, key: bytes) -> None:
        self._names = {name: f"m2m1.pu.{keyed_name(key, 'durations', name)}" for name in upstreams}
        self._counters = counters

    def observe(self, upstream: str, seconds: float, *, minted: bool) -> None:
        """Counts a token request that ended after so many seconds."""
        bucket = next((place for place, end in enumerate(SECONDS) if seconds <= end), len(SECONDS))
        kept = counted_period("month", self._counters.wall()).kept
        self._counters.increment(self._counter(upstream, "minted" if minted else "failed", bucket), kept)

    def read(self) -> list[Durations]:
        """All histograms, empty ones included."""
        return [
            Durations(
                name,
                outcome,
                tuple(self._counters.count(self._counter(name, outcome, place)) for place in range(len(SECONDS) + 1)),
            )
            for name in self._names
            for outcome in ("minted", "failed")
        ]

    def _counter(self, upstream: str, outcome: str, bucket: int) -> str:
        return (
            f"{self._names[upstream]}.{counted_period('month', self._counters.wall()).key_suffix}.{outcome[0]}{bucket}"
        )
