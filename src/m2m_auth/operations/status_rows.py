"""From reports to what a status page shows: bars in percent, and everything else in words. Nothing is escaped yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import NamedTuple

from ..lifecycle.mint_budget import MintBudget
from ..lifecycle.utc_periods import period_ends_in
from ..presentation.wording import duration, iso, plain, when
from .client_reports import ClientReport

__all__ = ["BudgetBar", "Host", "Hour", "Life", "Mints", "Row", "Stretch", "rows"]

_STATES = {
    "none": "no token yet: the next call mints one",
    "fresh": "fresh",
    "stale": "stale: the next call renews it, and does not wait",
    "expiring": "expiring: calls wait a moment for a new one",
    "expired": "expired: the next call waits for a new one",
}
_DAY = 86400.0
_MINUTES = 600.0
"""The stretches of shorter lives than this many seconds are told to the second."""


class Life(NamedTuple):
    """A token's life as a bar: the three shares are percent and make 100."""

    fresh: float
    stale: float
    expiring: float
    now: float
    """Where in it we are: 0 at its start, 100 at its end and after."""


class Stretch(NamedTuple):
    """One of the three shares in words."""

    state: str
    until: str
    """Its end in UTC, as a time of day: ``22:43``."""


class BudgetBar(NamedTuple):
    """A limit of the budget as a bar, in percent of it."""

    used: float
    """At most 100."""
    reserve: float
    """Where the reserve begins."""
    kept: int
    """How many mints that are: those for callers without a token."""
    words: str
    """How many of how many, and what that makes by the month's end at this pace."""
    warns: bool
    """True where the reserve is touched, or would be at this pace."""


class Mints(NamedTuple):
    """One period's counts."""

    period: str
    minted: int
    failed: int


class Hour(NamedTuple):
    """One of the last 24 hours."""

    began: str
    """In UTC: ``14:00``."""
    minted: int
    failed: int


class Host(NamedTuple):
    """A host that minted."""

    name: str
    mints: int
    """In the current UTC month."""
    last: str
    """When it minted last, in words: ``3 min ago``."""


class Row(NamedTuple):
    """One client, ready for a template that escapes. Every text is one line without control characters."""

    alias: str
    client_id: str
    token_endpoint: str
    audience: str
    """"" where it has none."""
    state: str
    state_words: str
    fingerprint: str
    """"" where there is no token."""
    expires: str
    """In words, as seen from now: ``in 54 min``."""
    expires_at: str
    """By ISO 8601 in UTC; "" where there is no token."""
    life: Life | None
    stretches: tuple[Stretch, ...]
    """What the bar of its life shows, as its legend; empty where there is none."""
    budgets: tuple[BudgetBar, ...]
    mints: tuple[Mints, ...]
    reasons: str
    """This month's mints by reason, in words."""
    hours: tuple[Hour, ...]
    """The current one last."""
    hosts: tuple[Host, ...]
    """The one that minted last comes first."""
    failure: str
    """The last failure and when the next attempt is, in words; "" where there is none."""
    cache: str
    cache_answers: bool


def rows(reports: Iterable[ClientReport]) -> list[Row]:
    """One row for each report, in the same order."""
    return [_row(report) for report in reports]


def _row(report: ClientReport) -> Row:
    minted, failed = asdict(report.mints), asdict(report.failed)
    counts = [(period, count, failed[period]) for period, count in minted.items()]
    reasons = [f"{count:,} {reason}" for reason, count in report.reasons.items() if count]
    return Row(
        alias=plain(report.alias),
        client_id=plain(report.client_id),
        token_endpoint=plain(report.token_endpoint),
        audience=plain(report.audience or ""),
        state=report.state,
        state_words=_STATES.get(report.state, report.state),
        fingerprint=plain(report.fingerprint or ""),
        expires=when(report.expires_at, report.at),
        expires_at=iso(report.expires_at) or "",
        life=_life(report),
        stretches=tuple(_stretches(report)),
        budgets=tuple(_budgets(report)),
        mints=tuple(Mints(*count) for count in counts),
        reasons=", ".join(reasons),
        hours=tuple(_hours(report)),
        hosts=tuple(Host(plain(each.host), each.mints, when(each.last_at, report.at)) for each in report.hosts),
        failure=_failure(report),
        cache=plain(report.cache),
        cache_answers=report.cache_answers,
    )


def _hours(report: ClientReport) -> Iterable[Hour]:
    for ago, counts in zip(range(len(report.hours) - 1, -1, -1), report.hours, strict=True):
        began = datetime.fromtimestamp(report.at - ago * 3600, timezone.utc)
        yield Hour(f"{began:%H}:00", *counts)


def _failure(report: ClientReport) -> str:
    if report.last_failure is None:
        return ""
    again = "now" if report.retry_in is None else f"in {duration(report.retry_in)}"
    return f"{plain(report.last_failure)} (next attempt: {again})"


def _life(report: ClientReport) -> Life | None:
    start, end = report.issued_at, report.expires_at
    if start is None or end is None or end <= start:
        return None

    def share(moment: float | None) -> float:
        return 100.0 if moment is None else min(max((moment - start) / (end - start) * 100, 0.0), 100.0)

    expiring = share(report.expiring_at)
    stale = min(share(report.renew_at), expiring)
    return Life(stale, expiring - stale, 100 - expiring, share(report.at))


def _stretches(report: ClientReport) -> Iterable[Stretch]:
    start, end = report.issued_at, report.expires_at
    if start is None or end is None or _life(report) is None:
        return
    clock = "%H:%M" if end - start >= _MINUTES else "%H:%M:%S"
    expiring = min(report.expiring_at or end, end)
    for state, until in (("fresh", min(report.renew_at or end, expiring)), ("stale", expiring), ("expiring", end)):
        yield Stretch(state, format(datetime.fromtimestamp(until, timezone.utc), clock))


def _budgets(report: ClientReport) -> Iterable[BudgetBar]:
    budget = report.budget
    if budget is None:
        return
    if budget.per_month is not None:
        yield _of_month(budget, budget.per_month, report.mints.month, report.at)
    if budget.per_hour is not None:
        used = report.mints.hour
        words = _so_far(used, budget.per_hour, "hour", report.at)
        yield _bar(budget, budget.per_hour, used, used, words)


def _of_month(budget: MintBudget, limit: int, used: int, at: float) -> BudgetBar:
    left = period_ends_in("month", at)
    gone = _since_month_began(at)
    words = _so_far(used, limit, "month", at)
    if used >= limit or gone < _DAY:  # a first day's pace says little about a month
        return _bar(budget, limit, used, used, words)
    by_end = round(used + used / gone * left)
    pace = f"{by_end:,} by its end at this pace" if by_end <= limit else _used_up(limit - used, used / gone)
    return _bar(budget, limit, used, by_end, f"{words}; {pace}")


def _so_far(used: int, limit: int, period: str, at: float) -> str:
    up = ", so it is used up" if used >= limit else ""
    return f"{used:,} of {limit:,} this {period}{up}; the next begins in {duration(period_ends_in(period, at))}"


def _since_month_began(at: float) -> float:
    now = datetime.fromtimestamp(at, timezone.utc)
    return (now - now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def _used_up(left: int, per_second: float) -> str:
    return f"used up in {duration(left / per_second)} at this pace"


def _bar(budget: MintBudget, limit: int, used: int, by_end: int, words: str) -> BudgetBar:
    reserve = 100 * (1 - budget.reserve)
    warns, kept = by_end / limit * 100 >= reserve, round(limit * budget.reserve)
    return BudgetBar(min(used / limit * 100, 100.0), reserve, kept, words, warns)
