"""Durations, times and names as plain text, for tables and pages."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone

__all__ = ["cache_name", "duration", "one_line", "relative_time", "utc_hour", "utc_iso"]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LONGEST_NAME = 200


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``2 d 3 h``, ``54 min 10 s``, ``8 s``."""
    left = max(int(seconds), 0)
    parts: list[str] = []
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def relative_time(moment: float | None, now: float) -> str:
    """Return a Unix time relative to ``now``: ``in 54 min``, ``8 s ago``; ``-`` for None."""
    if moment is None:
        return "-"
    return f"in {duration(moment - now)}" if moment > now else f"{duration(now - moment)} ago"


def utc_iso(moment: float | None) -> str | None:
    """Return a Unix time in ISO 8601, in UTC, to the second: ``2026-11-22T07:25:57Z``; None for None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(math.floor(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_hour(at: float, hours_ago: int) -> str:
    """Return the UTC hour that many hours before Unix time ``at``, with two digits: ``09``."""
    return datetime.fromtimestamp(at - hours_ago * 3600, timezone.utc).strftime("%H")


def one_line(text: str) -> str:
    """Return ``text`` on one line, with U+FFFD for each control character, so that it cannot steer a terminal."""
    return "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.split()))


def cache_name(cache: object) -> str:
    """Return a name for a cache: its repr without passwords, or its class if it has no repr of its own."""
    if cache is None:
        return "this process's memory"
    has_own_repr = type(cache).__repr__ is not object.__repr__
    text = repr(cache) if has_own_repr else type(cache).__name__
    return one_line(re.sub(r"(?<=//)[^/\s]*@", "***@", text))[:_LONGEST_NAME]
