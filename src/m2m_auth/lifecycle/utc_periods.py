"""UTC minutes, hours, days and months, for everything that is counted by them.

A counter is kept under a key that ends in its period, so each period begins with a new counter and nothing is reset.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

__all__ = ["PERIODS", "UtcPeriod", "period_ends_in", "utc_period"]

PERIODS = ("hour", "day", "month")
"""The periods that a ledger counts by, shortest first. A ``minute`` is a period too, for rate limits."""

_KEY_SUFFIXES = {"minute": "%Y%m%d%H%M", "hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}
_KEPT = {"minute": 120.0, "hour": 2 * 3600.0, "day": 2 * 86400.0, "month": 32 * 86400.0}
_LENGTHS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_LONGER_THAN_A_MONTH = timedelta(days=32)


class UtcPeriod(NamedTuple):
    """One UTC minute, hour, day or month. Times are Unix times in seconds."""

    key_suffix: str
    """The last part of a counter's cache key: ``202611271530`` for a minute, ``202611`` for a month."""
    start: float
    """The first instant of the period."""
    end: float
    """The first instant of the next period."""
    kept: float
    """How long to keep a counter of the period, in seconds: longer than the period, so that it survives the end."""


def utc_period(name: str, now: float) -> UtcPeriod:
    """Return the period called ``name`` that ``now`` (Unix time) is in.

    Args:
        name: ``minute``, ``hour``, ``day`` or ``month``.
        now: Unix time in seconds.

    Raises:
        KeyError: there is no period of this name.
        ValueError, OverflowError, OSError: ``now`` is no date between the years 1 and 9999.
    """
    # Whole seconds: datetime rounds to microseconds, which could round the last instant into the next period.
    moment = datetime.fromtimestamp(math.floor(now), timezone.utc)
    suffix = moment.strftime(_KEY_SUFFIXES[name])
    if name == "month":
        start = moment.replace(day=1, hour=0, minute=0, second=0)
        end = (start + _LONGER_THAN_A_MONTH).replace(day=1)
    else:
        start = moment.replace(second=0)
        if name != "minute":
            start = start.replace(minute=0, hour=0 if name == "day" else start.hour)
        end = start + _LENGTHS[name]
    return UtcPeriod(suffix, start.timestamp(), end.timestamp(), _KEPT[name])


def period_ends_in(name: str, now: float) -> float:
    """Return the seconds from ``now`` (Unix time) to the end of the period called ``name``."""
    return utc_period(name, now).end - now
