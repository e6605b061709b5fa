"""The ledger's names and the budget's arithmetic: how many mints there were, and whether there may be another.

No I/O: the counts come from the shared cache and are an argument (BEHAVIOUR §4).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import NamedTuple

from .errors import ConfigurationError

__all__ = ["FAILED", "LedgerNames", "MintBudget", "MintCounts", "Spending", "period_ends_in"]

PERIODS = ("hour", "day", "month")
FAILED = "failed"
_FORMATS = {"hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}
_KEPT = {"hour": 2 * 3600.0, "day": 2 * 86400.0, "month": 32 * 86400.0}
"""How long a period's counters are kept, in seconds: a little longer than the period."""


class MintCounts(NamedTuple):
    """How many tokens one client has minted in the current UTC hour, day and month, by the ledger."""

    hour: int = 0
    day: int = 0
    month: int = 0


class Spending(Enum):
    """What the budget allows now."""

    FREE = "mint as usual"
    LOW = "mint as usual, and tell: 80 % are used"
    RESERVED = "mint only for callers who would otherwise have no token"
    EXHAUSTED = "do not mint"


class MintBudget(NamedTuple):
    """How many tokens a client may mint. At 80 % there is an event; the reserve is kept for cold callers.

    Within the reserve nothing is renewed early and no mint is forced, so tokens live to their end; at 100 % there
    is no mint, and :class:`~m2m_auth.errors.MintBudgetExhausted` once no token is held. Counted by the ledger in
    the shared cache, per token endpoint and client, so it survives restarts; without a shared cache, per process.
    """

    per_month: int | None = 1000
    """Mints in a UTC month; None: no limit."""
    per_hour: int | None = None
    """Mints in a UTC hour; None: no limit."""
    reserve: float = 0.1
    """The share of each limit that is kept for callers without a token."""

    def checked(self) -> MintBudget:
        """Return this budget, or raise a ConfigurationError that names the field and the fix."""
        for name, limit in (("per_month", self.per_month), ("per_hour", self.per_hour)):
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigurationError(f"budget.{name}={limit!r} must be a whole number of at least 1, or None")
        if self.per_month is None and self.per_hour is None:
            raise ConfigurationError("budget has no limit. Fix: per_month= or per_hour=, or leave budget= out")
        if not 0 <= self.reserve < 1:
            raise ConfigurationError(f"budget.reserve={self.reserve!r} must be at least 0 and less than 1")
        return self

    def spending(self, counts: MintCounts) -> Spending:
        """Return what is allowed after so many mints: the strictest of the two limits."""
        worst = Spending.FREE
        for limit, used in ((self.per_month, counts.month), (self.per_hour, counts.hour)):
            if limit is None:
                continue
            if used >= limit:
                return Spending.EXHAUSTED
            if used >= limit * (1 - self.reserve):
                worst = Spending.RESERVED
            elif used >= limit * 0.8 and worst is Spending.FREE:
                worst = Spending.LOW
        return worst

    def renews_in(self, counts: MintCounts, now: float) -> float:
        """Return the seconds until a used-up limit begins afresh; ``now`` is Unix time."""
        used_up = self.per_month is not None and counts.month >= self.per_month
        return period_ends_in("month" if used_up else "hour", now)


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


class LedgerNames:
    """The cache keys of one client's counters: per token endpoint and client id, whatever is asked for."""

    __slots__ = ("_client",)

    def __init__(self, token_endpoint: str, client_id: str) -> None:
        raw = token_endpoint.encode()
        digest = hashlib.sha256(len(raw).to_bytes(4, "big") + raw + client_id.encode()).digest()[:16]
        self._client = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def counter(self, period: str, what: str, now: float) -> tuple[str, float]:
        """Return the key and the time to live of a counter: ``what`` is a reason, ``all`` or ``failed``."""
        when = datetime.fromtimestamp(now, timezone.utc).strftime(_FORMATS[period])
        return f"m2m1.n.{self._client}.{when}.{what}", _KEPT[period]
