"""UTC hours, days and months, for everything that is counted by them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

__all__ = ["PERIODS", "period_ends_in"]

PERIODS = ("hour", "day", "month")

_FORMATS = {"hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}

_KEPT = {"hour": 2 * 3600.0, "day": 2 * 86400.0, "month": 32 * 86400.0}
"""How long a period's counters are kept, in seconds: a little longer than the period."""


def period_ends_in(period: str, now: float) -> float:
    """Return the seconds until the UTC hour, day or month that ``now`` (Unix time) is in ends."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    if period == "hour":
        end = moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    elif period == "day":
        end = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    else:
        first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = (first + timedelta(days=32)).replace(day=1)
    return (end - moment).total_seconds()
