"""The mint budget: how many mints there were, and whether there may be another. The counts are an argument."""

from __future__ import annotations

from enum import Enum

from ..errors import ConfigurationError
from ..values import Value
from .utc_periods import period_ends_in

__all__ = ["MintBudget", "MintCounts", "Spending"]


class MintCounts(Value):
    """How many tokens one client has minted in the current UTC hour, day and month, by the ledger."""

    hour: int = 0
    day: int = 0
    month: int = 0


class Spending(Enum):
    """What the budget allows now."""

    FREE = "mint as usual"
    LOW = "mint as usual, and warn: 80 % are used"
    RESERVED = "mint only for callers that would otherwise have no token"
    EXHAUSTED = "do not mint"


class MintBudget(Value):
    """How many tokens a client may mint.

    At 80 % of a limit there is an event. In the reserve no token is renewed early and no mint is forced, so tokens
    live to their end. At 100 % there is no mint, and :class:`~m2m_auth.errors.MintBudgetExhausted` once no token is
    held. The ledger counts per token endpoint and client in the shared cache, so the count survives restarts; without
    a shared cache each process counts on its own.

    Raises:
        ConfigurationError: a field makes no sense; the message names it and the fix.
    """

    per_month: int | None = 1000
    """Mints in a UTC month; None: no limit."""
    per_hour: int | None = None
    """Mints in a UTC hour; None: no limit."""
    reserve: float = 0.1
    """The share of each limit that is kept for callers without a token."""

    def check(self) -> None:
        """Raises a ConfigurationError that names the field and the fix."""
        for name, limit in (("per_month", self.per_month), ("per_hour", self.per_hour)):
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigurationError(f"budget.{name}={limit!r} must be a whole number of at least 1, or None")
        if self.per_month is None and self.per_hour is None:
            raise ConfigurationError("budget has no limit. Fix: per_month= or per_hour=, or leave budget= out")
        if not 0 <= self.reserve < 1:
            raise ConfigurationError(f"budget.reserve={self.reserve!r} must be at least 0 and less than 1")

    def spending(self, counts: MintCounts) -> Spending:
        """Return what is allowed after these mints, by the stricter of the two limits."""
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
