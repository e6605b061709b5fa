"""What happens, told twice: as small typed events to ``on_event``, and in plain words to the logger ``m2m_auth``.

The log says a thing once per change, also where every request builds a source of its own: an outage of an hour is two
lines, not ten thousand. Neither ever carries a token, a secret or a response body.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

from .runtime.observers import notify, observers

__all__ = ["Event", "EventKind", "EventEmitter", "Subscriber", "all_of"]

EventKind = Literal[
    "minted",
    "renewed",
    "adopted",
    "cache_hit",
    "cache_miss",
    "served_stale",
    "quota_low",
    "renewal_failed",
    "renewal_noop",
    "rejected",
    "rejection_barred",
    "tombstone_hit",
    "lease_wait",
    "cache_fault",
    "cache_recovered",
    "undecryptable",
    "clock_skew",
    "scope_narrowed",
    "budget_low",
    "budget_exhausted",
]


class Event(NamedTuple):
    """One thing that happened to one source.

    Attributes:
        kind: what happened.
        client_id: the client it happened to.
        fingerprint: 8 hexadecimal digits for the token concerned, or ``""``.
        reason: why, in a word: ``cold``, ``renewal``, ``rejected``, ``forced``, or an error's cause code.
        seconds: how long it took: a token request, a wait for a lease.
        holds: for how many seconds from now it holds: a new token's life, the time to the next attempt, a ban.
        audience: the audience that the source asks for, or ``""``.
        alias: the source's ``alias``, or ``""``.
    """

    kind: EventKind
    client_id: str
    fingerprint: str = ""
    reason: str = ""
    seconds: float = 0.0
    holds: float = 0.0
    audience: str = ""
    alias: str = ""

    @property
    def source(self) -> str:
        """Which source it was, in words for people."""
        return f"{self.alias} (client {self.client_id})" if self.alias else f"client {self.client_id}"


Subscriber = Callable[[Event], object]


def all_of(*subscribers: Subscriber) -> Subscriber:
    """One subscriber that tells several, in this order; one that raises does not keep an event from the others."""

    def tell(event: Event) -> None:
        for subscriber in subscribers:
            _hand(subscriber, event)

    return tell


_log = logging.getLogger("m2m_auth")

_Words = tuple[int, str, str, str]
"""Level, topic, which field tells one occurrence from another within the topic, and the sentence."""
_WORDS: dict[EventKind, _Words] = {
    "minted": (
        logging.INFO,
        "token",
        "fingerprint",
        "minted token %(fingerprint)s in %(seconds).2f s (%(reason)s)",
    ),
    "renewed": (logging.DEBUG, "", "", "token %(fingerprint)s replaces the held one (%(reason)s)"),
    "adopted": (logging.DEBUG, "", "", "took token %(fingerprint)s from the shared cache"),
    "cache_hit": (logging.DEBUG, "", "", "the shared cache has token %(fingerprint)s"),
    "cache_miss": (logging.DEBUG, "", "", "the shared cache has no token"),
    "served_stale": (
        logging.WARNING,
        "stale",
        "fingerprint",
        "serving token %(fingerprint)s for another %(holds).0f s while it cannot be renewed (%(reason)s)",
    ),
    "quota_low": (logging.WARNING, "quota", "", "the server says that little is left of its quota; renewing late"),
    "renewal_failed": (
        logging.WARNING,
        "token",
        "reason",
        "no new token (%(reason)s); next attempt in %(holds).1f s",
    ),
    "renewal_noop": (
        logging.INFO,
        "noop",
        "fingerprint",
        "the server gave back a token that does not expire later (%(fingerprint)s)",
    ),
    "rejected": (logging.WARNING, "", "", "an API refused token %(fingerprint)s"),
    "rejection_barred": (
        logging.WARNING,
        "",
        "",
        "an API refuses new tokens too (%(fingerprint)s): no forced mint for %(holds).0f s",
    ),
    "tombstone_hit": (logging.DEBUG, "", "", "the shared cache still held a refused token"),
    "lease_wait": (logging.DEBUG, "", "", "waited %(seconds).2f s for another process to mint"),
    "cache_fault": (logging.WARNING, "cache", "reason", "the shared cache fails (%(reason)s); going on without it"),
    "cache_recovered": (logging.INFO, "cache", "", "the shared cache works again"),
    "undecryptable": (
        logging.WARNING,
        "undecryptable",
        "reason",
        "a value in the shared cache did not open (%(reason)s); ignored",
    ),
    "clock_skew": (
        logging.WARNING,
        "skew",
        "",
        "a token in the shared cache was minted %(seconds).0f s in the future: the hosts' clocks disagree",
    ),
    "budget_low": (logging.WARNING, "budget", "", "little is left of the mint budget (%(reason)s minted this month)"),
    "budget_exhausted": (logging.ERROR, "budget", "", "the mint budget is used up (%(reason)s minted this month)"),
    "scope_narrowed": (
        logging.WARNING,
        "scope",
        "reason",
        "the server granted less scope than asked (missing: %(reason)s)",
    ),
}


def _hand(subscriber: Subscriber, event: Event) -> None:
    try:
        subscriber(event)
    except Exception as error:  # its message might hold anything
        what = type(error).__name__
        level = logging.WARNING if _told_by(event).is_news("on_event", "raised", what) else logging.DEBUG
        _log.log(level, "on_event raised %s; ignored", what)


class _Told:
    """What the log has been told of one client, so that it is not told again while it stays so."""

    __slots__ = ("tokens", "topics")

    def __init__(self) -> None:
        self.tokens = 0
        """How many tokens came so far."""
        self.topics: dict[str, tuple[str, tuple[str, ...], int]] = {}
        """By topic: the latest kind, its latest details, and ``tokens`` at that time."""

    def is_news(self, topic: str, kind: str, detail: str) -> bool:
        """False if the same was said before, of this token or its predecessor, and nothing else of the topic since."""
        before, details, tokens = self.topics.get(topic, ("", (), 0))
        lasts = before == kind and self.tokens - tokens <= 1
        known = lasts and detail in details
        kept = details if known else (*details[-7:], detail) if lasts else (detail,)
        self.topics[topic] = (kind, kept, self.tokens)
        return not known


_told: dict[tuple[str, str], _Told] = {}
_MANY = 1024


def _told_by(event: Event) -> _Told:
    if len(_told) >= _MANY:
        _told.clear()  # at worst, things are said again
    return _told.setdefault((event.client_id, event.audience), _Told())


class EventEmitter:
    """Tells one source's events; a subscriber that raises breaks nothing."""

    __slots__ = ("_subscriber", "alias", "audience", "client_id")

    def __init__(
        self, client_id: str, subscriber: Subscriber | None, audience: str | None = None, alias: str = ""
    ) -> None:
        self.client_id = client_id
        self.audience = audience or ""
        self.alias = alias
        self._subscriber = subscriber

    def emit(
        self, kind: EventKind, fingerprint: str = "", reason: str = "", seconds: float = 0.0, holds: float = 0.0
    ) -> None:
        """Logs the event and hands it to the subscriber."""
        event = Event(kind, self.client_id, fingerprint[:8], reason, seconds, holds, self.audience, self.alias)
        _log_once(event)
        if self._subscriber is not None:
            _hand(self._subscriber, event)
        if observers:
            notify(event)


def _log_once(event: Event) -> None:
    level, topic, field, words = _WORDS[event.kind]
    told, facts = _told_by(event), event._asdict()
    if event.kind in ("minted", "adopted"):
        told.tokens += 1
    if topic and not told.is_news(topic, event.kind, facts.get(field, "")):
        level = logging.DEBUG
    if _log.isEnabledFor(level):
        _log.log(level, "%s: %s", event.source, words % facts)
