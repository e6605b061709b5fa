"""What operators do with sources and caches: look, renew, clear, examine. Every command line and page calls this.

Nothing here shows a token or a secret: a token is its fingerprint of 8 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..lifecycle.mint_budget import MintBudget, MintCounts
from ..presentation.wording import called
from ..runtime.worker_thread import on_worker_thread
from ..shared_cache.mint_history import HostMints, HourCounts
from ..source.token_source import engine_of
from .doctor.doctor import Finding, doctor
from .token_view import look_at

if TYPE_CHECKING:
    from ..source.token_source import TokenSource

__all__ = ["ClientReport", "Finding", "HostMints", "HourCounts", "doctor", "reports"]


class ClientReport(NamedTuple):
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
    """From when on it is stale, and the next call has it renewed."""
    expiring_at: float | None
    """From when on calls wait a moment for its successor."""
    expires_at: float | None
    last_failure: str | None
    """Why the last attempt failed, in words; None if it did not."""
    retry_in: float | None
    """Seconds until the next attempt may be made, None if one may be made now."""
    mints: MintCounts
    """In the current UTC hour, day and month, by every process that shares the cache."""
    failed: MintCounts
    """Attempts that failed, likewise."""
    reasons: dict[str, int]
    """This month's mints by reason: cold, renewal, rejected, forced."""
    hosts: tuple[HostMints, ...]
    """The hosts that minted this client's tokens for this audience, the latest first; of very many the latest 16."""
    hours: tuple[HourCounts, ...]
    """Attempts to mint them in the last 24 UTC hours, the current one last."""
    budget: MintBudget | None
    cache: str
    """What the cache is called."""
    cache_answers: bool
    """False while the shared cache is left alone after a fault: then all this is what this process knows."""
    at: float
    """When this report was made."""


def reports(sources: Mapping[str, TokenSource]) -> list[ClientReport]:
    """What is known of each source, by its alias: in this process, and in the shared cache. Mints nothing.

    A cache that does not answer is told by ``cache_answers``, a secret that cannot be fetched as the last failure.
    """
    return [on_worker_thread(partial(_report, alias, source)) for alias, source in sources.items()]


def _report(alias: str, source: TokenSource) -> ClientReport:
    engine = engine_of(source)
    context, cache, credential = engine.context, engine.cache, engine.resolved_credential()
    status, expiring_at, answers = look_at(source, context, credential)
    return ClientReport(
        alias=alias,
        client_id=context.request.client_id,
        token_endpoint=context.request.token_endpoint,
        audience=context.request.audience,
        state=status.state,
        fingerprint=status.fingerprint,
        issued_at=status.issued_at,
        renew_at=status.renew_at,
        expiring_at=expiring_at,
        expires_at=status.expires_at,
        last_failure=status.last_failure,
        retry_in=status.retry_in,
        mints=status.ledger.mints,
        failed=status.ledger.failed,
        reasons=status.ledger.reasons,
        hosts=status.ledger.hosts,
        hours=status.ledger.hours,
        budget=context.budget,
        cache=called(cache),
        cache_answers=answers,
        at=context.clock.wall(),
    )
