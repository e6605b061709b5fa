"""Per vendor: token requests, answers from the cache, mints and refusals of this UTC hour, day and month.

Mints, and refusals over the budget, are rare. They are counted exactly: in the shared cache, when they happen. Each
process counts everything else in memory first (see ``process_totals.py``), so a killed process loses two seconds of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..lifecycle.utc_periods import PERIODS, utc_period
from ..shared_cache.counters import SharedCounters
from ..values import Value
from .allowances import Allowance, counted_period, keyed_name
from .configuration.config import VendorConfig
from .process_totals import ProcessTotals, VendorTotals

__all__ = ["Counts", "VendorLedger", "VendorReport"]

TOO_EARLY = 6 * 3600.0
"""Seconds from the start of a month without a projection."""
_HOURS = 24
_NOTHING, _HIT, _MISS = VendorTotals(), VendorTotals(asked=1, served=1), VendorTotals(asked=1)


class Counts(Value):
    """What one vendor did in one period."""

    asked: int = 0
    """Token requests with the right secret."""
    served: int = 0
    """Requests that got a token from the cache."""
    minted: int = 0
    """Tokens that the authorization server minted for this vendor, renewals in the background included."""
    refused: int = 0
    """Requests that got an error: over the budget or rate, not on the allow-lists, or without a token."""


class VendorReport(Value):
    """One vendor's use of the proxy, for its operator. Periods are in UTC."""

    vendor: str
    """The vendor's client id."""
    hour: Counts
    day: Counts
    month: Counts
    hours: tuple[Counts, ...]
    """The last 24 hours, the oldest first. The last one is the current hour."""
    mints_per_hour: int | None
    """The hourly budget; None: no limit."""
    mints_per_month: int | None
    """The monthly budget; None: no limit."""
    projection: int | None
    """Mints by the end of the month at the rate so far; None in the first six hours of a month."""


class VendorLedger:
    """The ledger of all vendors.

    Args:
        vendors: the vendors, with their budgets.
        counters: the shared counters.
        key: keys the names of the counters.
    """

    def __init__(self, vendors: Mapping[str, VendorConfig], counters: SharedCounters, key: bytes) -> None:
        self._vendors, self._counters = vendors, counters
        self._names = {name: keyed_name(key, "ledger", name) for name in vendors}
        self._totals = ProcessTotals(counters, f"m2m1.pt.{keyed_name(key, 'totals')[:8]}")
        self._mints = {
            name: Allowance(
                counters,
                f"m2m1.pm.{self._names[name]}",
                {"hour": vendor.mints_per_hour, "day": None, "month": vendor.mints_per_month},
            )
            for name, vendor in vendors.items()
        }

    def mints(self, vendor: str) -> Allowance:
        """The vendor's budget. Take one before each mint, and give it back if the request brings no token."""
        return self._mints[vendor]

    def minted(self, vendor: str) -> None:
        """Counts a mint for the plot of the last hours. The exact count is the budget's."""
        self._totals.add(self._names[vendor], VendorTotals(minted=1))

    def served(self, vendor: str, *, hit: bool) -> None:
        """Counts a request that got a token; ``hit``: the token came from the cache."""
        self._totals.add(self._names[vendor], _HIT if hit else _MISS)

    def refused(self, vendor: str) -> None:
        """Counts a refusal."""
        self._totals.add(self._names[vendor], VendorTotals(asked=1, refused=1))

    def refused_over_budget(self, vendor: str) -> None:
        """Counts a refusal over the budget, exactly and at once."""
        now = self._counters.wall()
        for name in PERIODS:
            self._counters.increment(self._over_budget_key(vendor, name, now), counted_period(name, now).kept)
        self._totals.add(self._names[vendor], VendorTotals(asked=1, over_budget=1))

    def _over_budget_key(self, vendor: str, period: str, now: float) -> str:
        return f"m2m1.po.{self._names[vendor]}.{utc_period(period, now).key_suffix}"

    def flush(self) -> None:
        """Writes the counts of this process to the shared cache."""
        self._totals.flush()

    def close(self) -> None:
        """Writes the counts of this process, and ends its writing thread."""
        self._totals.close()

    def report(self) -> list[VendorReport]:
        """All vendors, sorted by the used share of the budget, then by mints; the largest first."""
        self.flush()
        now = self._counters.wall()
        hours = [self._totals.read("hour", now - 3600.0 * back) for back in range(_HOURS - 1, -1, -1)]
        sums = hours[-1], self._totals.read("day", now), self._totals.read("month", now)
        found = [self._vendor(name, vendor, sums, hours, now) for name, vendor in self._vendors.items()]
        return sorted(found, key=_by_budget_used, reverse=True)

    def _vendor(
        self,
        name: str,
        vendor: VendorConfig,
        sums: Sequence[Mapping[str, VendorTotals]],
        hours: Sequence[Mapping[str, VendorTotals]],
        now: float,
    ) -> VendorReport:
        periods: list[Counts] = []
        key = self._names[name]
        for period, totals in zip(PERIODS, sums, strict=True):
            total = totals.get(key, _NOTHING)
            over_budget = self._counters.count(self._over_budget_key(name, period, now))
            periods.append(
                Counts(
                    asked=total.asked,
                    served=total.served,
                    minted=self._mints[name].used(period),
                    refused=total.refused + over_budget,
                )
            )
        hour, day, month = periods
        calendar_month = utc_period("month", now)
        gone, length = now - calendar_month.start, calendar_month.end - calendar_month.start
        return VendorReport(
            vendor=name,
            hour=hour,
            day=day,
            month=month,
            hours=tuple(_counts(totals.get(key, _NOTHING)) for totals in hours),
            mints_per_hour=vendor.mints_per_hour,
            mints_per_month=vendor.mints_per_month,
            projection=None if gone < TOO_EARLY else round(month.minted * length / gone),
        )


def _counts(total: VendorTotals) -> Counts:
    refused = total.refused + total.over_budget
    return Counts(asked=total.asked, served=total.served, minted=total.minted, refused=refused)


def _by_budget_used(report: VendorReport) -> tuple[float, int, int, int]:
    limits = ((report.month.minted, report.mints_per_month), (report.hour.minted, report.mints_per_hour))
    share = max((used / limit for used, limit in limits if limit is not None), default=0.0)
    return share, report.month.minted, report.month.refused, report.month.asked
