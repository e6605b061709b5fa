"""A snapshot of a source, for dashboards and health checks."""

from __future__ import annotations

from ..lifecycle.schedule import state_at
from ..runtime.worker_thread import on_worker_thread
from ..shared_cache.shared_store import NOTHING_SHARED
from ..values import Value
from .ledger import LedgerReport, ledger_of
from .renewal_context import Credential, RenewalContext
from .token_state import TokenState

__all__ = ["SourceStatus", "status_of"]


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


def status_of(context: RenewalContext, state: TokenState, credential: Credential | None) -> SourceStatus:
    """The status of a source. The ledger is read from the shared cache of ``credential``; None: there is none."""
    now, wall = context.clock.monotonic(), context.clock.wall()
    held, pause = state.held, state.pause
    failure = pause.failure if pause is not None else None
    return SourceStatus(
        state=state_at(held.edges if held else None, held.now(now, wall) if held else now),
        fingerprint=held.token.fingerprint if held else None,
        issued_at=held.token.issued_at if held else None,
        renew_at=held.fresh_until_wall if held else None,
        expires_at=held.token.expires_at if held else None,
        last_failure=failure.message if failure else None,
        retry_in=pause.until - now if pause is not None and pause.until > now else None,
        mints=state.mints,
        ledger=_ledger(context, credential),
    )


def _ledger(context: RenewalContext, credential: Credential | None) -> LedgerReport:
    ledger, events = ledger_of(context), context.events
    if credential is None:
        return ledger.read(NOTHING_SHARED, events)

    def read() -> LedgerReport:
        try:
            return ledger.read(credential.store, events)
        finally:
            credential.store.release_thread()

    return on_worker_thread(read)  # the caller's thread may have connections of its own to the same cache
