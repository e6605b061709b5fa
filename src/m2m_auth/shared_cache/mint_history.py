"""Where and when the tokens of one key were minted lately: a bounded record for people to look at.

It is one sealed entry of the shared cache, rewritten at each attempt while the lease is held. Where a cache cannot give
a lease, two processes that mint at the same moment may lose each other's line; the ledger's counters lose none.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, NamedTuple

__all__ = ["HostMints", "HourCounts", "MintHistory"]

_HOSTS = 16
_HOURS = 24
_LONGEST = 64
"""Characters that a host's name may have on Linux."""


class HostMints(NamedTuple):
    """What one host has minted."""

    host: str
    """Its name, as it calls itself; in a container that is the container's."""
    mints: int
    """In the current UTC month."""
    last_at: float
    """When it minted last: Unix time in seconds."""


class HourCounts(NamedTuple):
    """One UTC hour's attempts."""

    minted: int = 0
    failed: int = 0


class MintHistory(NamedTuple):
    """The hosts that minted last, newest first, and the attempts of the last hours by their number since 1970."""

    hosts: tuple[HostMints, ...] = ()
    hours: tuple[tuple[int, HourCounts], ...] = ()

    def with_mint(self, host: str, now: float) -> MintHistory:
        """The same after a mint on this host; of many hosts those that minted longest ago are forgotten."""
        host = host[:_LONGEST]
        others = [each for each in self.hosts if each.host != host]
        before = [each.mints for each in self.this_month(now) if each.host == host]
        hosts = HostMints(host, sum(before) + 1, now), *others
        return MintHistory(hosts[:_HOSTS], self._counted(now, HourCounts(minted=1)))

    def with_failure(self, now: float) -> MintHistory:
        """The same after an attempt that failed."""
        return self._replace(hours=self._counted(now, HourCounts(failed=1)))

    def this_month(self, now: float) -> tuple[HostMints, ...]:
        """The hosts, newest first; one that has minted in an earlier month only has no mints in this one."""
        hosts = sorted(self.hosts, key=lambda each: each.last_at, reverse=True)
        return tuple(each if _month(each.last_at) == _month(now) else each._replace(mints=0) for each in hosts)

    def last_hours(self, now: float) -> tuple[HourCounts, ...]:
        """The last 24 UTC hours, the current one last."""
        known, current = dict(self.hours), _hour(now)
        return tuple(known.get(hour, HourCounts()) for hour in range(current - _HOURS + 1, current + 1))

    def to_json(self) -> dict[str, Any]:
        """For the shared cache."""
        return {"hosts": self.hosts, "hours": [(hour, *counts) for hour, counts in self.hours]}

    @classmethod
    def from_json(cls, data: Any) -> MintHistory:
        """What :meth:`to_json` gave. Raises KeyError, TypeError, ValueError or OverflowError for anything else."""
        hosts = [HostMints(str(host), int(mints), float(last_at)) for host, mints, last_at in data["hosts"]]
        for each in hosts:
            _month(each.last_at)
        hours = [(int(hour), HourCounts(int(minted), int(failed))) for hour, minted, failed in data["hours"]]
        return cls(tuple(hosts[:_HOSTS]), tuple(hours[-_HOURS:]))

    def _counted(self, now: float, more: HourCounts) -> tuple[tuple[int, HourCounts], ...]:
        hours, current = dict(self.hours), _hour(now)
        known = hours.get(current, HourCounts())
        hours[current] = HourCounts(known.minted + more.minted, known.failed + more.failed)
        return tuple(sorted(each for each in hours.items() if each[0] > current - _HOURS)[-_HOURS:])


def _hour(moment: float) -> int:
    return int(moment // 3600)


def _month(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m")
