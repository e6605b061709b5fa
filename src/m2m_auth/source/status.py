"""A snapshot of a source, for dashboards and health checks."""

from __future__ import annotations

from ..values import Value
from .ledger import LedgerReport

__all__ = ["SourceStatus"]


class SourceStatus(Value):
    """What one process knows about a source at one moment. Times are Unix times in seconds."""

    state: str
    """none, fresh, stale, expiring or expired."""
    fingerprint: str | None
    """8 hexadecimal digits for the held token."""
    issued_at: float | None
    renew_at: float | None
    """From then on the next call in this process starts a renewal."""
    expires_at: float | None
    last_failure: str | None
    """Why the last attempt failed, in words; None if it succeeded."""
    retry_in: float | None
    """Seconds until the next attempt is due; None if one may be made now."""
    mints: int
    """How many tokens this process has minted for this key."""
    ledger: LedgerReport
    """How many tokens this client has minted, in every process that shares the cache."""
