"""How long the authorization servers take to answer, counted over all workers and hosts: a histogram per upstream.

A cache can only add one, so a duration is one more in its bucket, and there is no sum; quantiles need none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .allowances import KEPT, Counters, label, short

__all__ = ["SECONDS", "Durations", "UpstreamDurations"]

SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""The buckets' upper ends; there is one more for what takes longer."""


class Durations(NamedTuple):
    """One upstream's token requests of the current UTC month."""

    upstream: str
    outcome: str
    """``minted`` or ``failed``."""
    counts: tuple[int, ...]
    """Per bucket, not added up."""


class UpstreamDurations:
    """The histograms of all upstreams.

    Args:
        upstreams: their names.
        counters: the shared cache.
        key: for the names of the counters.
    """

    def __init__(self, upstreams: Iterable[str], counters: Counters, key: bytes) -> None:
        self._names = {name: f"m2m1.pu.{short(key, 'durations', name)}" for name in upstreams}
        self._counters = counters

    def observe(self, upstream: str, seconds: float, *, minted: bool) -> None:
        """Counts a token request that was answered, or not, after so many seconds."""
        bucket = next((place for place, end in enumerate(SECONDS) if seconds <= end), len(SECONDS))
        self._counters.add_one(self._counter(upstream, "minted" if minted else "failed", bucket), KEPT["month"])

    def read(self) -> list[Durations]:
        """Every histogram; one without an observation, too."""
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
        return f"{self._names[upstream]}.{label('month', self._counters.wall())}.{outcome[0]}{bucket}"
