"""When a server says to come back: ``Retry-After`` (RFC 9110 §10.2.3) and what vendors send instead of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

__all__ = ["LITTLE", "MAX_RETRY_AFTER", "quota_is_low", "retry_after"]

MAX_RETRY_AFTER = 3600.0
"""The longest wait that a server can ask for, in seconds."""

LITTLE = 0.1
"""A quota is low when this share of it, or less, is left."""

_QUOTA_HEADERS = ("auth0-client-quota-limit", "auth0-organization-quota-limit")
# Strings: re compiles them when they are first used, which keeps the import cheap.
_QUOTA_RESET = r"(?:^|;)\s*t=(\d{1,10})\b"
_QUOTA_PART = r"(?:^|;)\s*([qr])=(\d{1,18})\b"
_SMALLEST_UNIX_TIME = 1e9
"""A reset that is larger is a Unix time; a smaller one is a number of seconds from now."""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait from ``now`` (Unix time), 3600 at most; None if no header says.

    The first header that can be read counts: ``Retry-After`` (seconds or a date), ``X-RateLimit-Reset`` (Unix time, or
    seconds from now), then the ``t=`` of a quota header. The names in ``headers`` are in lower case.
    """
    waits = (
        _retry_after_header(headers.get("retry-after"), now),
        _reset(headers.get("x-ratelimit-reset"), now),
        *(_quota_reset(headers.get(name)) for name in _QUOTA_HEADERS),
    )
    wait = next((wait for wait in waits if wait is not None), None)
    return None if wait is None else min(max(wait, 0.0), MAX_RETRY_AFTER)


def quota_is_low(headers: Mapping[str, str]) -> bool:
    """Return whether a bucket of a quota header (``b=per_hour;q=10;r=7;t=3540,b=per_day;…``) has little left."""
    for name in _QUOTA_HEADERS:
        for bucket in headers.get(name, "").split(","):
            parts = {key: int(value) for key, value in re.findall(_QUOTA_PART, bucket)}
            if "q" in parts and "r" in parts and parts["r"] <= parts["q"] * LITTLE:
                return True
    return False


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _retry_after_header(text: str | None, now: float) -> float | None:
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _reset(text: str | None, now: float) -> float | None:
    value = _number(text)
    if value is None:
        return None
    return value - now if value > _SMALLEST_UNIX_TIME else value


def _quota_reset(text: str | None) -> float | None:
    """The largest ``t=``, in seconds from now: the bucket that is used up resets last."""
    resets = [float(found) for bucket in (text or "").split(",") for found in re.findall(_QUOTA_RESET, bucket)]
    return max(resets, default=None)
