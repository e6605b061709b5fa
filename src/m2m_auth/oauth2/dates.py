"""Moments as servers write them: RFC 3339 in JSON, HTTP dates (RFC 9110 §5.6.7), .NET's, and Unix times."""

from __future__ import annotations

import re

__all__ = ["unix_seconds", "unix_time"]

_SMALLEST_UNIX_TIME = 1e9
"""A larger number of seconds is a Unix time: as a wait or a life it would be 31 years."""
_SMALLEST_MILLISECONDS = 1e11
"""A larger Unix time counts milliseconds: as seconds it would be in the year 5138."""

# Strings: re compiles them when they are first used, which keeps the import cheap.
_RFC3339 = r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?\s*(?:[Zz]|UTC|([+-])(\d\d):?(\d\d))?"
_INVARIANT = r"(\d\d?)/(\d\d?)/(\d{4}) (\d\d?)(:\d\d:\d\d)(?: ([AP])M)?(?: \+00:00)?"
""".NET's invariant culture, in UTC. Azure App Service: ``11/28/2026 9:05:00 PM +00:00``, on Linux ``21:05:00 PM``."""


def unix_seconds(number: float) -> float | None:
    """Return the Unix time that a number is, in seconds; it may count milliseconds. None for a number of seconds."""
    if number <= _SMALLEST_UNIX_TIME:
        return None
    return number / 1000 if number > _SMALLEST_MILLISECONDS else number


def unix_time(text: str) -> float | None:
    """Return a date as Unix time in whole seconds; None for anything that is not one. Without an offset it is UTC."""
    from datetime import datetime, timezone

    text = re.sub(rf"\A{_INVARIANT}\Z", _as_rfc3339, text.strip(), flags=re.ASCII)
    found = re.fullmatch(_RFC3339, text, re.ASCII)
    try:
        if found is None:
            from email.utils import parsedate_to_datetime

            date = parsedate_to_datetime(text)
            return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    sign, hours, minutes = found.groups()[6:]
    return moment - (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else moment


def _as_rfc3339(found: re.Match[str]) -> str:
    month, day, year, hour, rest, half = found.groups()
    hours = int(hour)
    if half and 1 <= hours <= 12:
        hours = hours % 12 + (12 if half == "P" else 0)
    return f"{year}-{month:0>2}-{day:0>2}T{hours:02}{rest}Z"
