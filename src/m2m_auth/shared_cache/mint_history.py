"""Where and when the tokens of one key were minted lately: a bounded record that status pages show.

It is one sealed entry of the shared cache, which the process with the lease rewrites at each attempt. Where a cache
cannot give a lease, two processes that mint at the same moment may overwrite each other's line; the ledger's counters
lose none.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..values import Value, replace

__all__ = ["HostMints", "HourCounts", "MintHistory"]

_HOSTS = 16
_HOURS = 24
_LONGEST = 64
"""Characters that a host's name may have on Linux."""


class HostMints(Value):
    """What one host has minted."""

    host: str
    """The host's own name; in a container, the container's."""
    mints: int
    """In the current UTC month."""
    last_at: float
    """When it minted last: Unix time in seconds."""


class HourCounts(Value):
    """One UTC hour's attempts."""

    minted: int = 0
    failed: int = 0


class MintHistory(NamedTuple):
    """The hosts that minted last, newest first, and the attempts of the last hours by their number since 1970."""

    hosts: tuple[HostMints, ...] = ()
    hours: tuple[tuple[int, HourCounts], ...] = ()

    def with_mint(self, host: str, now: float) -> MintHistory:
        """The history after a mint on this host; of many hosts, only those that minted last are kept."""
        host = host[:_LONGEST]
        others = [each for each in self.hosts if each.host != host]
        before = [each.mints for each in self.this_month(now) if each.host == host]
        hosts = HostMints(host=host, mints=sum(before) + 1, last_at=now), *others
        return MintHistory(hosts[:_HOSTS], self._counted(now, HourCounts(minted=1)))

    def with_failure(self, now: float) -> MintHistory:
        """The history after an attempt that failed."""
        return self._replace(hours=self._counted(now, HourCounts(failed=1)))

    def this_month(self, now: float) -> tuple[HostMints, ...]:
        """The hosts, newest first. A host that last minted in an earlier month has 0 mints."""
        hosts = sorted(self.hosts, key=lambda each: each.last_at, reverse=True)
        return tuple(each if _month(each.last_at) == _month(now) else replace(each, mints=0) for each in hosts)

    def last_hours(self, now: float) -> tuple[HourCounts, ...]:
        """The last 24 UTC hours, the current one last."""
        known, current = dict(self.hours), _hour(now)
        return tuple(known.get(hour, HourCounts()) for hour in range(current - _HOURS + 1, current + 1))

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the shared cache holds."""
        return {
            "hosts": [(each.host, each.mints, each.last_at) for each in self.hosts],
            "hours": [(hour, counts.minted, counts.failed) for hour, counts in self.hours],
        }

    @classmethod
    def from_json(cls, data: Any) -> MintHistory:
        """What :meth:`to_json` gave. Raises KeyError, TypeError, ValueError or OverflowError for anything else."""
        hosts = [
            HostMints(host=str(host), mints=int(mints), last_at=float(last_at))
            for host, mints, last_at in data["hosts"]
        ]
        for each in hosts:
            _month(each.last_at)
        hours = [
            (int(hour), HourCounts(minted=int(minted), failed=int(failed))) for hour, minted, failed in data["hours"]
        ]
        return cls(tuple(hosts[:_HOSTS]), tuple(hours[-_HOURS:]))

    def _counted(self, now: float, more: HourCounts) -> tuple[tuple[int, HourCounts], ...]:
        hours, current = dict(self.hours), _hour(now)
        known = hours.get(current, HourCounts())
        hours[current] = HourCounts(minted=known.minted + more.minted, failed=known.failed + more.failed)
        return tuple(sorted(each for each in hours.items() if each[0] > current - _HOURS)[-_HOURS:])


def _hour(moment: float) -> int:
    return int(moment // 3600)


def _month(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m")
