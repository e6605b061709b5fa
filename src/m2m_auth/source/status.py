"""What a source tells about itself."""

from __future__ import annotations

from typing import NamedTuple

from .ledger import LedgerReport

__all__ = ["SourceStatus"]


class SourceStatus(NamedTuple):
    """A snapshot of a source, for dashboards and health checks. Times are Unix times in seconds."""

    state: str
    """none, fresh, stale, expiring or expired."""
    fingerprint: str | None
    """8 hexadecimal digits for the held token."""
    issued_at: float | None
    renew_at: float | None
    """From when on the next call has the token renewed, in this process."""
    expires_at: float | None
    last_failure: str | None
    """Why the last attempt failed, in words; None if it did not."""
    retry_in: float | None
    """Seconds until the next attempt may be made, None if one may be made now."""
    mints: int
    """How many tokens this process has minted for this key."""
    ledger: LedgerReport
    """How many tokens this client has minted, in every process that shares the cache."""
