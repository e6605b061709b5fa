"""What operators do with sources and caches: look, renew, clear, examine. Every command line and page calls this.

Nothing here shows a token or a secret: a token is its fingerprint of 8 hexadecimal digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ._doctor import Finding, doctor
from ._look import look_at
from ._words import called, iso, plain, when
from .apart import on_a_thread
from .budget import MintBudget, MintCounts
from .errors import CacheUnavailable
from .failure import Failure
from .history import HostMints, HourCounts

if TYPE_CHECKING:
    from .source import TokenSource
    from .token import AccessToken

__all__ = [
    "ClientReport",
    "Finding",
    "HostMints",
    "HourCounts",
    "as_json",
    "as_table",
    "clear",
    "doctor",
    "renew",
    "reports",
]


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
    return [on_a_thread(partial(_report, alias, source)) for alias, source in sources.items()]


def _report(alias: str, source: TokenSource) -> ClientReport:
    kit, cache, identity = source.inside()
    status, expiring_at, answers = look_at(source, kit, identity)
    return ClientReport(
        alias=alias,
        client_id=kit.request.client_id,
        token_endpoint=kit.request.token_endpoint,
        audience=kit.request.audience,
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
        budget=kit.budget,
        cache=called(cache),
        cache_answers=answers,
        at=kit.clock.wall(),
    )


def renew(source: TokenSource) -> AccessToken:
    """Has a new token minted now; single flight and the budget still apply. See :meth:`TokenSource.renew`.

    Raises:
        TokenUnavailable: the attempt failed, and why; a held token is kept.
    """
    source.inside()  # whose secret must be fetched: so that the shared token is not taken for a new one
    return source.renew()


def clear(source: TokenSource) -> None:
    """Forgets the token, the last failure and the bar against forced mints, here and in the shared cache.

    The next call mints. Another process that holds the token serves it on until it looks into the cache.

    Raises:
        CacheUnavailable: the shared cache did not answer, so the token may still be there; here it is forgotten.
        TokenUnavailable: the secret, by which the token is found, could not be fetched; nothing is forgotten.
    """
    kit, cache, identity = source.inside()
    if isinstance(identity, Failure):
        raise identity.error()
    slot = identity.slot
    flight = slot.flight
    if flight is not None:
        flight.wait(kit.policy.max_wait)  # or it would put back what is forgotten now

    def forget() -> bool:
        try:
            return identity.shared.forget(kit.report)
        finally:
            identity.shared.release_thread()

    forgotten = on_a_thread(forget)  # before the slot, or a call in between would take the token from there again
    with slot.lock:
        slot.held = slot.out = slot.pause = slot.bar = None
        slot.unleased = ""
    if not forgotten:
        raise CacheUnavailable(
            f"{called(cache)} did not answer: the token of {kit.request.client_id!r} is forgotten in this process, "
            "and may still be in the cache. Fix: see what doctor says of the cache, then clear again"
        )


_HEADINGS = ("client", "state", "token", "expires", "mints h/d/month", "budget", "minted on")
_NAMED = 2
"""Hosts that the table names; the JSON has them all."""


def as_table(reports: Iterable[ClientReport]) -> str:
    """A table for a terminal: aligned columns, one line per client, then what is wrong with whom, in full."""
    found = list(reports)
    rows = [_HEADINGS, *(_row(report) for report in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *_troubles(found)]) + "\n"


def _row(report: ClientReport) -> tuple[str, ...]:
    budget, mints = report.budget, report.mints
    limits: list[str] = []
    if budget is not None and budget.per_month is not None:
        limits.append(f"{mints.month} of {budget.per_month} a month")
    if budget is not None and budget.per_hour is not None:
        limits.append(f"{mints.hour} of {budget.per_hour} an hour")
    return (
        plain(report.alias),
        report.state,
        report.fingerprint or "-",
        when(report.expires_at, report.at),
        f"{mints.hour}/{mints.day}/{mints.month}",
        ", ".join(limits) or "none",
        _hosts(report.hosts),
    )


def _hosts(hosts: tuple[HostMints, ...]) -> str:
    named = [f"{plain(each.host)} ({each.mints})" for each in hosts[:_NAMED]]
    more = len(hosts) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named) or "-"


def _troubles(reports: list[ClientReport]) -> list[str]:
    lines: list[str] = []
    for report in reports:
        if report.last_failure is not None:
            again = "now" if report.retry_in is None else when(report.at + report.retry_in, report.at)
            lines.append(f"{plain(report.alias)}: {plain(report.last_failure)} (next attempt: {again})")
        if not report.cache_answers:
            lines.append(
                f"{plain(report.alias)}: {plain(report.cache)} does not answer; this is what one process knows"
            )
    return ["", *lines] if lines else []


def as_json(reports: Iterable[ClientReport]) -> str:
    """A JSON array, one object per client, with the names of :class:`ClientReport`'s fields.

    Every time is there twice: ``expires_at`` as Unix time in seconds, ``expires_at_iso`` by ISO 8601 in UTC.
    """
    return json.dumps([_object(report) for report in reports], indent=2) + "\n"


_TIMES = ("issued_at", "renew_at", "expiring_at", "expires_at", "at")


def _object(report: ClientReport) -> dict[str, Any]:
    found: dict[str, Any] = report._asdict()
    for name in ("mints", "failed", "budget"):
        found[name] = None if found[name] is None else found[name]._asdict()
    found["hosts"] = [{**each._asdict(), "last_at_iso": iso(each.last_at)} for each in report.hosts]
    found["hours"] = [each._asdict() for each in report.hours]
    return {**found, **{f"{name}_iso": iso(found[name]) for name in _TIMES}}
