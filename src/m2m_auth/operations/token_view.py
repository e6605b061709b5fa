"""What is known of a source's token: by this process, and by the processes that share its cache."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..lifecycle.failure import Failure
from ..lifecycle.schedule import Schedule, schedule, state_at
from ..oauth2.tokens import token_fingerprint
from ..source.renewal_context import Credential, RenewalContext
from ..source.status import SourceStatus
from ..source.token_source import TokenSource

__all__ = ["Sight", "look_at"]


class Sight(NamedTuple):
    """A source's status, brought up to date by the shared cache."""

    status: SourceStatus
    expiring_at: float | None
    """Where its token's last stretch begins, in Unix time."""
    answers: bool
    """False while the shared cache is left alone after a fault: the status is this process's alone."""


def look_at(source: TokenSource, context: RenewalContext, credential: Credential | Failure) -> Sight:
    """The newest token that this process or the shared cache knows of, and the last failure; mints nothing."""
    status = source.status()
    if isinstance(credential, Failure):
        return Sight(replace(status, last_failure=status.last_failure or credential.message), None, answers=True)
    try:
        status = _with_shared(status, context, credential)
    finally:
        credential.store.release_thread()
    answers, expiring_at = not credential.store.failing, None
    if status.expires_at is not None and status.issued_at is not None:
        expiring_at = status.expires_at - context.policy.last_stretch(status.expires_at - status.issued_at)
    return Sight(status, expiring_at, answers)


def _with_shared(status: SourceStatus, context: RenewalContext, credential: Credential) -> SourceStatus:
    now = context.clock.wall()
    entry = credential.store.read(context.events, newest=True)
    if entry is not None and entry.value is not None:
        fingerprint = token_fingerprint(credential.fingerprint_key, entry.value)
        start = min(entry.issued_at, now)  # a clock ahead of ours promises nothing
        edges = schedule(start, entry.lifetime, context.policy, 0.0)
        refused = fingerprint in entry.rejected or fingerprint in credential.state.rejected
        if not refused and edges.expires_at > max(status.expires_at or 0.0, now):
            status = _holding(status, fingerprint, edges, entry.lifetime, now)
    if status.last_failure is None:
        shared_failure = credential.store.read_failure(context.events)
        if shared_failure is not None:
            failure, remaining = shared_failure
            status = replace(status, last_failure=failure.message, retry_in=remaining if remaining > 0 else None)
    return status


def _holding(status: SourceStatus, fingerprint: str, edges: Schedule, lifetime: float, now: float) -> SourceStatus:
    return replace(
        status,
        state=state_at(edges, now),
        fingerprint=fingerprint[:8],
        issued_at=edges.expires_at - lifetime,
        renew_at=edges.renew_at,
        expires_at=edges.expires_at,
    )
