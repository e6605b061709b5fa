"""What is known of a source's token: by this process, and by the processes that share its cache."""

from __future__ import annotations

from typing import NamedTuple

from . import lifecycle
from .failure import Failure
from .kit import Identity, Kit
from .lifecycle import Schedule
from .source import TokenSource
from .status import SourceStatus
from .token import fingerprint

__all__ = ["Sight", "look_at"]


class Sight(NamedTuple):
    """A source's status, brought up to date by the shared cache."""

    status: SourceStatus
    expiring_at: float | None
    """Where its token's last stretch begins, in Unix time."""
    answers: bool
    """False while the shared cache is left alone after a fault: the status is this process's alone."""


def look_at(source: TokenSource, kit: Kit, identity: Identity | Failure) -> Sight:
    """The newest token that this process or the shared cache knows of, and the last failure; mints nothing."""
    status = source.status()
    if isinstance(identity, Failure):
        return Sight(status._replace(last_failure=status.last_failure or identity.message), None, answers=True)
    try:
        status = _with_shared(status, kit, identity)
    finally:
        identity.shared.release_thread()
    answers, expiring_at = not identity.shared.failing, None
    if status.expires_at is not None and status.issued_at is not None:
        expiring_at = status.expires_at - kit.policy.last_stretch(status.expires_at - status.issued_at)
    return Sight(status, expiring_at, answers)


def _with_shared(status: SourceStatus, kit: Kit, identity: Identity) -> SourceStatus:
    now = kit.clock.wall()
    entry = identity.shared.read(kit.report, newest=True)
    if entry is not None and entry.value is not None:
        mark = fingerprint(identity.mark_key, entry.value)
        start = min(entry.issued_at, now)  # a clock ahead of ours promises nothing
        edges = lifecycle.schedule(start, entry.lifetime, kit.policy, 0.0)
        refused = mark in entry.rejected or mark in identity.slot.rejected
        if not refused and edges.expires_at > max(status.expires_at or 0.0, now):
            status = _holding(status, mark, edges, entry.lifetime, now)
    if status.last_failure is None:
        shared_failure = identity.shared.read_failure(kit.report)
        if shared_failure is not None:
            failure, remaining = shared_failure
            status = status._replace(last_failure=failure.message, retry_in=remaining if remaining > 0 else None)
    return status


def _holding(status: SourceStatus, mark: str, edges: Schedule, lifetime: float, now: float) -> SourceStatus:
    return status._replace(
        state=lifecycle.state(edges, now),
        fingerprint=mark[:8],
        issued_at=edges.expires_at - lifetime,
        renew_at=edges.renew_at,
        expires_at=edges.expires_at,
    )
