"""Moments that servers write as text: RFC 3339, as JSON has them, and HTTP dates (RFC 9110 §5.6.7)."""

from __future__ import annotations

import re

__all__ = ["unix_time"]

# A string: re compiles it when it is first used, which keeps the import cheap.
_RFC3339 = r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,]\d+)?\s*(?:[Zz]|UTC|([+-])(\d\d):?(\d\d))?"


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
