"""A client report in the words and percents that a status page shows.

The texts are plain text, not HTML: the page's HTML layer, or your template, escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any, TypeVar, cast

from ..lifecycle.mint_budget import MintBudget
from ..lifecycle.utc_periods import period_ends_in
from ..presentation.wording import duration, one_line, relative_time, utc_hour, utc_iso
from ..values import Value, as_dict, replace
from .client_reports import ClientReport

__all__ = ["BudgetBar", "HostRow", "HourBar", "LifeStretch", "PeriodMints", "StatusRow", "TokenLife", "rows"]

_STATES = {
    "none": "no token yet: the next call mints one",
    "fresh": "fresh",
    "stale": "stale: the next call renews it, and does not wait",
    "expiring": "expiring: calls wait a moment for a new one",
    "expired": "expired: the next call waits for a new one",
}
_DAY = 86400.0
_SHORT_LIFE = 600.0
"""Seconds. The edges of a shorter life are shown with their seconds."""


class TokenLife(Value):
    """A token's life as a bar. The three shares are percents and add up to 100."""

    fresh: float
    stale: float
    expiring: float
    now: float
    """The current moment: 0 at the life's start, 100 at its end and later."""


class LifeStretch(Value):
    """One of the three shares in words."""

    state: str
    until: str
    """Its end in UTC, as a time of day: ``22:43``."""


class BudgetBar(Value):
    """A limit of the budget as a bar, in percent of the limit."""

    used: float
    """At most 100."""
    reserve: float
    """Where the reserve begins."""
    kept: int
    """Mints in the reserve, for callers without a token."""
    words: str
    """Mints so far, and the mints at the month's end at this pace."""
    warns: bool
    """True if the reserve is in use, or will be at this pace."""


class PeriodMints(Value):
    """Mints and failed attempts in one period."""

    period: str
    minted: int
    failed: int


class HourBar(Value):
    """One of the last 24 hours."""

    began: str
    """In UTC: ``14:00``."""
    minted: int
    failed: int


class HostRow(Value):
    """A host that minted."""

    name: str
    mints: int
    """In the current UTC month."""
    last: str
    """When it minted last, in words: ``3 min ago``."""


class StatusRow(Value):
    """One client. Every text is one line without control characters; your template must escape it."""

    alias: str
    client_id: str
    token_endpoint: str
    audience: str
    """Empty if the client has none."""
    state: str
    state_words: str
    fingerprint: str
    """Empty if there is no token."""
    expires: str
    """In words, relative to now: ``in 54 min``."""
    expires_at: str
    """In ISO 8601, in UTC; empty if there is no token."""
    life: TokenLife | None
    stretches: tuple[LifeStretch, ...]
    """The legend of ``life``; empty if that is None."""
    budgets: tuple[BudgetBar, ...]
    mints: tuple[PeriodMints, ...]
    reasons: str
    """This month's mints by reason, in words."""
    hours: tuple[HourBar, ...]
    """The current hour last."""
    hosts: tuple[HostRow, ...]
    """The host of the latest mint first."""
    failure: str
    """The last failure and the time of the next attempt, in words; empty if there is none."""
    cache: str
    cache_answers: bool


def rows(reports: Iterable[ClientReport]) -> list[StatusRow]:
    """Return one row for each report, in the same order."""
    return [_printable(_row(report)) for report in reports]


_T = TypeVar("_T")


def _printable(value: _T) -> _T:
    """The same with each text in it on one line and without control characters."""
    found: Any = value
    if isinstance(value, str):
        found = one_line(value)
    elif isinstance(value, tuple):
        found = tuple(_printable(each) for each in cast("tuple[object, ...]", value))
    elif isinstance(value, Value):
        found = replace(value, **{name: _printable(each) for name, each in as_dict(value).items()})
    return cast("_T", found)


def _row(report: ClientReport) -> StatusRow:
    return StatusRow(
        alias=report.alias,
        client_id=report.client_id,
        token_endpoint=report.token_endpoint,
        audience=report.audience or "",
        state=report.state,
        state_words=_STATES.get(report.state, report.state),
        fingerprint=report.fingerprint or "",
        expires=relative_time(report.expires_at, report.at),
        expires_at=utc_iso(report.expires_at) or "",
        life=_life(report),
        stretches=tuple(_stretches(report)),
        budgets=tuple(_budgets(report)),
        mints=_mints(report),
        reasons=", ".join(f"{count:,} {reason}" for reason, count in report.reasons.items() if count),
        hours=tuple(_hours(report)),
        hosts=tuple(
            HostRow(name=each.host, mints=each.mints, last=relative_time(each.last_at, report.at))
            for each in report.hosts
        ),
        failure=_failure(report),
        cache=report.cache,
        cache_answers=report.cache_answers,
    )


def _mints(report: ClientReport) -> tuple[PeriodMints, ...]:
    minted, failed = report.mints, report.failed
    return (
        PeriodMints(period="hour", minted=minted.hour, failed=failed.hour),
        PeriodMints(period="day", minted=minted.day, failed=failed.day),
        PeriodMints(period="month", minted=minted.month, failed=failed.month),
    )


def _hours(report: ClientReport) -> Iterator[HourBar]:
    for ago, counts in zip(range(len(report.hours) - 1, -1, -1), report.hours, strict=True):
        yield HourBar(began=f"{utc_hour(report.at, ago)}:00", minted=counts.minted, failed=counts.failed)


def _failure(report: ClientReport) -> str:
    if report.last_failure is None:
        return ""
    again = "now" if report.retry_in is None else f"in {duration(report.retry_in)}"
    return f"{report.last_failure} (next attempt: {again})"


def _life(report: ClientReport) -> TokenLife | None:
    start, end = report.issued_at, report.expires_at
    if start is None or end is None or end <= start:
        return None

    def share(moment: float | None) -> float:
        return 100.0 if moment is None else min(max((moment - start) / (end - start) * 100, 0.0), 100.0)

    expiring = share(report.expiring_at)
    stale = min(share(report.renew_at), expiring)
    return TokenLife(fresh=stale, stale=expiring - stale, expiring=100 - expiring, now=share(report.at))


def _stretches(report: ClientReport) -> Iterator[LifeStretch]:
    start, end = report.issued_at, report.expires_at
    if start is None or end is None or end <= start:
        return
    clock = "%H:%M" if end - start >= _SHORT_LIFE else "%H:%M:%S"
    expiring = min(report.expiring_at or end, end)
    for state, until in (("fresh", min(report.renew_at or end, expiring)), ("stale", expiring), ("expiring", end)):
        yield LifeStretch(state=state, until=format(datetime.fromtimestamp(until, timezone.utc), clock))


def _budgets(report: ClientReport) -> Iterator[BudgetBar]:
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
    if used >= limit or gone < _DAY:  # one day is too short to project a month
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
    return BudgetBar(used=min(used / limit * 100, 100.0), reserve=reserve, kept=kept, words=words, warns=warns)
