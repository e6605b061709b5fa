"""A report on each client: its token, its mints, its last failure, its cache.

A report joins what this process knows with what other processes have written to the shared cache. It mints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..lifecycle.failure import Failure
from ..lifecycle.mint_budget import MintBudget, MintCounts
from ..lifecycle.schedule import schedule, state_at
from ..oauth2.tokens import token_fingerprint
from ..presentation.wording import cache_name
from ..runtime.worker_thread import on_worker_thread
from ..shared_cache.mint_history import HostMints, HourCounts
from ..source.renewal_context import Credential, RenewalContext
from ..source.token_source import engine_of
from ..values import Value, replace

if TYPE_CHECKING:
    from .. import TokenSource

__all__ = ["ClientReport", "reports"]


class ClientReport(Value):
    """One client as an operator sees it. Times are Unix times in seconds."""

    alias: str
    client_id: str
    token_endpoint: str
    audience: str | None
    state: str
    """none, fresh, stale, expiring or expired: of the newest token that this process or its shared cache knows."""
    fingerprint: str | None
    """8 hexadecimal digits for that token."""
    issued_at: float | None
    renew_at: float | None
    """When it becomes stale: the next call starts a renewal."""
    expiring_at: float | None
    """When it becomes expiring: calls wait a moment for the next token."""
    expires_at: float | None
    last_failure: str | None
    """Why the last attempt failed, in words; None if it succeeded."""
    retry_in: float | None
    """Seconds until the next attempt is allowed; None if one is allowed now."""
    mints: MintCounts
    """Mints in the current UTC hour, day and month, by all processes that share the cache."""
    failed: MintCounts
    """Failed attempts, counted the same way."""
    reasons: dict[str, int]
    """This month's mints by reason: cold, renewal, rejected, forced."""
    hosts: tuple[HostMints, ...]
    """The last 16 hosts that minted this client's tokens for this audience, the latest first."""
    hours: tuple[HourCounts, ...]
    """Attempts to mint them in each of the last 24 UTC hours, the current hour last."""
    budget: MintBudget | None
    cache: str
    """Name of the cache."""
    cache_answers: bool
    """False while the shared cache is not used after a fault. The report is then what this process alone knows."""
    at: float
    """When this report was made."""


def reports(sources: Mapping[str, TokenSource]) -> list[ClientReport]:
    """Return a report for each source, by its alias. It mints nothing.

    A cache that does not answer shows in ``cache_answers``, a secret that cannot be fetched in ``last_failure``.
    """
    return [on_worker_thread(partial(_report, alias, source)) for alias, source in sources.items()]


def _report(alias: str, source: TokenSource) -> ClientReport:
    engine = engine_of(source)
    context, credential, status = engine.context, engine.resolved_credential(), source.status()
    own = ClientReport(
        alias=alias,
        client_id=context.request.client_id,
        token_endpoint=context.request.token_endpoint,
        audience=context.request.audience,
        state=status.state,
        fingerprint=status.fingerprint,
        issued_at=status.issued_at,
        renew_at=status.renew_at,
        expiring_at=None,
        expires_at=status.expires_at,
        last_failure=status.last_failure,
        retry_in=status.retry_in,
        mints=status.ledger.mints,
        failed=status.ledger.failed,
        reasons=status.ledger.reasons,
        hosts=status.ledger.hosts,
        hours=status.ledger.hours,
        budget=context.budget,
        cache=cache_name(engine.cache),
        cache_answers=True,
        at=context.clock.wall(),
    )
    if isinstance(credential, Failure):
        return replace(own, last_failure=own.last_failure or credential.message)
    try:
        known = _with_shared_failure(_with_shared_token(own, context, credential), context, credential)
    finally:
        credential.store.release_thread()
    return replace(known, expiring_at=_expiring_at(known, context), cache_answers=not credential.store.failing)


def _with_shared_token(report: ClientReport, context: RenewalContext, credential: Credential) -> ClientReport:
    """The same, with the shared cache's token if that one lives longer and no API has refused it."""
    entry = credential.store.read(context.events, newest=True)
    if entry is None or entry.value is None:
        return report
    fingerprint = token_fingerprint(credential.fingerprint_key, entry.value)
    start = min(entry.issued_at, report.at)  # the minting host's clock may be ahead; it must not lengthen the life
    edges = schedule(start, entry.lifetime, context.policy, 0.0)
    refused = fingerprint in entry.rejected or fingerprint in credential.state.rejected
    if refused or edges.expires_at <= max(report.expires_at or 0.0, report.at):
        return report
    return replace(
        report,
        state=state_at(edges, report.at),
        fingerprint=fingerprint[:8],
        issued_at=edges.expires_at - entry.lifetime,
        renew_at=edges.renew_at,
        expires_at=edges.expires_at,
    )


def _with_shared_failure(report: ClientReport, context: RenewalContext, credential: Credential) -> ClientReport:
    """The same, with the last failure of another process where this process has none of its own."""
    found = credential.store.read_failure(context.events) if report.last_failure is None else None
    if found is None:
        return report
    failure, remaining = found
    return replace(report, last_failure=failure.message, retry_in=remaining if remaining > 0 else None)


def _expiring_at(report: ClientReport, context: RenewalContext) -> float | None:
    if report.expires_at is None or report.issued_at is None:
        return None
    return report.expires_at - context.policy.last_stretch(report.expires_at - report.issued_at)
