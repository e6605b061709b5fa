"""Times and names in words, for the tools' tables and pages."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone

__all__ = ["called", "duration", "iso", "plain", "when"]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """A span of time by its two largest units: ``2 d 3 h``, ``54 min 10 s``, ``8 s``."""
    left = max(int(seconds), 0)
    parts: list[str] = []
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {name}")
    shown = parts[:2]
    return " ".join(part for part in shown if not part.startswith("0 ")) or "0 s"


def when(moment: float | None, now: float) -> str:
    """A Unix time as seen from ``now``: ``in 54 min``, ``8 s ago``; ``-`` for None."""
    if moment is None:
        return "-"
    return f"in {duration(moment - now)}" if moment > now else f"{duration(now - moment)} ago"


def iso(moment: float | None) -> str | None:
    """A Unix time by ISO 8601 in UTC, to the second: ``2026-11-22T07:25:57Z``."""
    if moment is None:
        return None
    return datetime.fromtimestamp(math.floor(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(text: str) -> str:
    """``text`` on one line and without control characters: nothing that it holds moves a terminal's cursor."""
    return "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.split()))


def called(cache: object) -> str:
    """What a cache is called: its repr without passwords, or its class where it has no repr of its own."""
    if cache is None:
        return "this process's memory"
    named = type(cache).__repr__ is not object.__repr__
    text = repr(cache) if named else type(cache).__name__
    return plain(re.sub(r"(?<=//)[^/\s]*@", "***@", text))[:200]
