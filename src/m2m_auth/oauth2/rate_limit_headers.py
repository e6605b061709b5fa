"""When a server says to come back: ``Retry-After`` (RFC 9110 §10.2.3) and what vendors send instead of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from .dates import unix_seconds, unix_time

__all__ = ["LITTLE", "MAX_RETRY_AFTER", "is_used_up", "quota_is_low", "retry_after"]

MAX_RETRY_AFTER = 3600.0
"""The longest wait that a server can ask for, in seconds."""

LITTLE = 0.1
"""A quota is low when this share of it, or less, is left."""

_QUOTA_HEADERS = ("auth0-client-quota-limit", "auth0-organization-quota-limit")
_RESET_HEADERS = ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset")
"""GitHub's and most others', Okta's, and the IETF draft's of before 2023."""
_REMAINING_HEADERS = ("x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining")
_LIMIT_HEADERS = ("ratelimit", "x-ratelimit")
"""Of draft-ietf-httpapi-ratelimit-headers: ``"default";r=0;t=30``, earlier ``limit=9, remaining=0, reset=30``."""
# Strings: re compiles them when they are first used, which keeps the import cheap.
_QUOTA_RESET = r"(?:^|;)\s*t=(\d{1,10})\b"
_QUOTA_PART = r"(?:^|;)\s*([qr])=(\d{1,18})\b"
_LIMIT_RESET = r"(?:^|[;,])\s*(?:t|reset)\s*=\s*(\d{1,10})\b"
_LIMIT_REMAINING = r"(?:^|[;,])\s*(?:r|remaining)\s*=\s*(\d{1,18})\b"
_SECONDS = r"\s*([+-]?[\d.]+(?:e\d+)?)\s*(?:s|sec|seconds)?\s*(?:,.*)?"


def retry_after(headers: Mapping[str, str], now: float, status: int = 429) -> float | None:
    """Return the seconds to wait from ``now`` (Unix time), 3600 at most; None if no header says.

    ``Retry-After`` (seconds or a date) counts with any status. The others are on good answers, too, so they count with
    429 and 503 only, and with a 403 where no request is left. The first that can be read: a reset header (Unix time,
    or seconds from now), ``RateLimit``, then the ``t=`` of a quota header. The names in ``headers`` are in lower case.

    A moment counts by the clock of the server that names it, its ``Date``: ours may be minutes ahead. Without one, or
    where the moment is past by it (a cache's old answer has an old date), it counts from ``now``.
    """
    date = unix_time(headers["date"]) if "date" in headers else None
    clocks = (now,) if date is None else (date, now)
    wait = _time(headers.get("retry-after"), clocks, unix=False)
    if wait is None and (status in (429, 503) or (status == 403 and is_used_up(headers))):
        waits = (
            *(_time(headers.get(name), clocks, unix=True) for name in _RESET_HEADERS),
            *(_limit_reset(headers.get(name)) for name in _LIMIT_HEADERS),
            *(_quota_reset(headers.get(name)) for name in _QUOTA_HEADERS),
        )
        wait = next((wait for wait in waits if wait is not None), None)
    return None if wait is None else min(max(wait, 0.0), MAX_RETRY_AFTER)


def is_used_up(headers: Mapping[str, str]) -> bool:
    """Return whether a header says that no request is left until the limit is reset."""
    if any(re.fullmatch(r"\s*0+\s*", headers.get(name, "")) for name in _REMAINING_HEADERS):
        return True
    return any(
        int(left) == 0 for name in _LIMIT_HEADERS for left in re.findall(_LIMIT_REMAINING, headers.get(name, ""))
    )


def quota_is_low(headers: Mapping[str, str]) -> bool:
    """Return whether a bucket of a quota header (``b=per_hour;q=10;r=7;t=3540,b=per_day;…``) has little left."""
    for name in _QUOTA_HEADERS:
        for bucket in headers.get(name, "").split(","):
            parts = {key: int(value) for key, value in re.findall(_QUOTA_PART, bucket)}
            if "q" in parts and "r" in parts and parts["r"] <= parts["q"] * LITTLE:
                return True
    return False


def _time(text: str | None, clocks: tuple[float, ...], *, unix: bool) -> float | None:
    """The seconds to wait that a header says; a repeated header (``120, 120``) is its first value.

    Args:
        text: the header: a number of seconds, or a date.
        clocks: Unix time by the clocks that a moment may count from, the best first.
        unix: True: a large number is a Unix time.
    """
    if not text:
        return None
    found = re.fullmatch(_SECONDS, text, re.ASCII | re.IGNORECASE)
    seconds = _number(found[1]) if found else None
    if seconds is not None and not unix:
        return seconds
    end = unix_time(text) if seconds is None else unix_seconds(seconds)
    if end is None:
        return seconds
    return next((end - clock for clock in clocks if end > clock), end - clocks[-1])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _limit_reset(text: str | None) -> float | None:
    """The largest reset among the limits that are used up; among all, where none is."""
    limits = [text or ""] if "reset" in (text or "") else (text or "").split(",")
    spent = [limit for limit in limits if any(int(left) == 0 for left in re.findall(_LIMIT_REMAINING, limit))]
    return max((float(found) for limit in spent or limits for found in re.findall(_LIMIT_RESET, limit)), default=None)


def _quota_reset(text: str | None) -> float | None:
    """The largest ``t=``, in seconds from now: the bucket that is used up resets last."""
    resets = [float(found) for bucket in (text or "").split(",") for found in re.findall(_QUOTA_RESET, bucket)]
    return max(resets, default=None)
