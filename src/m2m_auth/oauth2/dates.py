"""Moments as servers write them: RFC 3339 in JSON, HTTP dates (RFC 9110 §5.6.7), and numbers of three kinds."""

from __future__ import annotations

import re

__all__ = ["unix_seconds", "unix_time"]

_SMALLEST_UNIX_TIME = 1e9
"""A larger number of seconds is a Unix time: as a wait or a life it would be 31 years."""
_SMALLEST_MILLISECONDS = 1e11
"""A larger Unix time counts milliseconds: as seconds it would be in the year 5138."""

# A string: re compiles it when it is first used, which keeps the import cheap.
_RFC3339 = r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?\s*(?:[Zz]|UTC|([+-])(\d\d):?(\d\d))?"


def unix_seconds(number: float) -> float | None:
    """Return the Unix time that a number is, in seconds; it may count milliseconds. None for a number of seconds."""
    if number <= _SMALLEST_UNIX_TIME:
        return None
    return number / 1000 if number > _SMALLEST_MILLISECONDS else number


def unix_time(text: str) -> float | None:
    """Return a date as Unix time in whole seconds; None for anything that is not one. Without an offset it is UTC."""
    from datetime import datetime, timezone

    found = re.fullmatch(_RFC3339, text.strip(), re.ASCII)
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
