"""Per vendor: how often it asked, was served from the cache, had a token minted, was refused; this hour, day and month.

Mints, and refusals over the budget, are rare and exact: they are counted in the shared cache when they happen. All else
each process counts in memory (see ``_totals.py``); one that is killed loses two seconds of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .allowances import KEPT, PERIODS, Allowance, Counters, ends_in, hour_before, label, month_began, short
from .parties import VendorConfig
from .process_totals import Row, Totals

__all__ = ["Counts", "VendorLedger", "VendorReport"]

TOO_EARLY = 6 * 3600.0
"""Seconds of a month in which nobody can tell how it ends."""
_HOURS = 24
_NOTHING, _HIT, _MISS = Row(), Row(asked=1, served=1), Row(asked=1)


class Counts(NamedTuple):
    """What one vendor did in one period."""

    asked: int = 0
    """Token requests with the right secret."""
    served: int = 0
    """Answered with a token that was there already."""
    minted: int = 0
    """Tokens that the authorization server gave out for this vendor, renewals in the background included."""
    refused: int = 0
    """Answered with an error: over its budget or rate, not on its allow-list, or there was no token."""


class VendorReport(NamedTuple):
    """One vendor as an operator sees it. Periods are UTC's."""

    vendor: str
    hour: Counts
    day: Counts
    month: Counts
    hours: tuple[Counts, ...]
    """The last 24 hours, the oldest first; the last one is not over yet."""
    mints_per_hour: int | None
    """The budget; None: no limit."""
    mints_per_month: int | None
    projection: int | None
    """Mints by the month's end, if it goes on like this; None in the month's first hours."""


class VendorLedger:
    """The ledger of all vendors.

    Args:
        vendors: who they are, and their budgets.
        counters: the shared cache.
        key: for the names of the counters.
    """

    def __init__(self, vendors: Mapping[str, VendorConfig], counters: Counters, key: bytes) -> None:
        self._vendors, self._counters = vendors, counters
        self._names = {name: short(key, "ledger", name) for name in vendors}
        self._totals = Totals(counters, f"m2m1.pt.{short(key, 'totals')[:8]}")
        self._mints = {
            name: Allowance(
                counters,
                f"m2m1.pm.{self._names[name]}",
                {"hour": vendor.mints_per_hour, "day": None, "month": vendor.mints_per_month},
            )
            for name, vendor in vendors.items()
        }

    def mints(self, vendor: str) -> Allowance:
        """The vendor's budget: one is taken before each mint, and given back if there was none."""
        return self._mints[vendor]

    def minted(self, vendor: str) -> None:
        """Counts a mint for the plot; its taken allowance is the exact count."""
        self._totals.add(self._names[vendor], Row(minted=1))

    def served(self, vendor: str, *, hit: bool) -> None:
        """Counts a token that was given out; ``hit``: it was there already."""
        self._totals.add(self._names[vendor], _HIT if hit else _MISS)

    def refused(self, vendor: str) -> None:
        """Counts a refusal."""
        self._totals.add(self._names[vendor], Row(asked=1, refused=1))

    def refused_over_budget(self, vendor: str) -> None:
        """Counts a refusal over the budget: exactly, and at once."""
        now = self._counters.wall()
        for period in PERIODS:
            self._counters.add_one(self._over(vendor, period, now), KEPT[period])
        self._totals.add(self._names[vendor], Row(asked=1, over_budget=1))

    def _over(self, vendor: str, period: str, now: float) -> str:
        return f"m2m1.po.{self._names[vendor]}.{label(period, now)}"

    def flush(self) -> None:
        """Writes what this process has counted so far."""
        self._totals.flush()

    def close(self) -> None:
        """Writes what is left, and ends the thread that would."""
        self._totals.close()

    def report(self) -> list[VendorReport]:
        """All vendors, the worst offenders first: who has used most of its budget, then who has minted most."""
        self.flush()
        now = self._counters.wall()
        hours = [self._totals.read("hour", hour_before(now, back)) for back in range(_HOURS - 1, -1, -1)]
        sums = hours[-1], self._totals.read("day", now), self._totals.read("month", now)
        found = [self._vendor(name, vendor, sums, hours, now) for name, vendor in self._vendors.items()]
        return sorted(found, key=_offence, reverse=True)

    def _vendor(
        self,
        name: str,
        vendor: VendorConfig,
        sums: Sequence[Mapping[str, Row]],
        hours: Sequence[Mapping[str, Row]],
        now: float,
    ) -> VendorReport:
        periods: list[Counts] = []
        key = self._names[name]
        for period, rows in zip(PERIODS, sums, strict=True):
            row = rows.get(key, _NOTHING)
            over = self._counters.count(self._over(name, period, now))
            periods.append(Counts(row.asked, row.served, self._mints[name].used(period), row.refused + over))
        hour, day, month = periods
        last = tuple(_counts(rows.get(key, _NOTHING)) for rows in hours)
        gone, left = now - month_began(now), ends_in("month", now)
        projection = None if gone < TOO_EARLY else round(month.minted * (gone + left) / gone)
        return VendorReport(name, hour, day, month, last, vendor.mints_per_hour, vendor.mints_per_month, projection)


def _counts(row: Row) -> Counts:
    return Counts(row.asked, row.served, row.minted, row.refused + row.over_budget)


def _offence(report: VendorReport) -> tuple[float, int, int, int]:
    limits = ((report.month.minted, report.mints_per_month), (report.hour.minted, report.mints_per_hour))
    share = max((used / limit for used, limit in limits if limit is not None), default=0.0)
    return share, report.month.minted, report.month.refused, report.month.asked
