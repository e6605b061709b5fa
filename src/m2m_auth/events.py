"""What happens, told twice: as small typed events to ``on_event``, and in plain words to the logger ``m2m_auth``.

The log says a thing once per change: an outage of an hour is two lines, not ten thousand. Neither ever
carries a token, a secret or a response body.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

__all__ = ["Event", "EventKind", "Reporter", "Subscriber"]

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
        holds: for how many seconds from now it holds: a new token's life, the time to the next attempt, a bar.
    """

    kind: EventKind
    client_id: str
    fingerprint: str = ""
    reason: str = ""
    seconds: float = 0.0
    holds: float = 0.0


Subscriber = Callable[[Event], object]

_log = logging.getLogger("m2m_auth")

_Words = tuple[int, str, str]
"""Level, the topic within which a repetition is left out, and the sentence."""
_WORDS: dict[EventKind, _Words] = {
    "minted": (logging.INFO, "token", "minted token %(fingerprint)s in %(seconds).2f s (%(reason)s)"),
    "renewed": (logging.DEBUG, "", "token %(fingerprint)s replaces the held one (%(reason)s)"),
    "cache_hit": (logging.DEBUG, "", "the shared cache has token %(fingerprint)s"),
    "cache_miss": (logging.DEBUG, "", "the shared cache has no token"),
    "served_stale": (
        logging.WARNING,
        "stale",
        "serving token %(fingerprint)s for another %(holds).0f s while it cannot be renewed (%(reason)s)",
    ),
    "quota_low": (logging.WARNING, "quota", "the server says that little is left of its quota; renewing late"),
    "adopted": (logging.DEBUG, "", "took token %(fingerprint)s from the shared cache"),
    "renewal_failed": (logging.WARNING, "token", "no new token (%(reason)s); next attempt in %(holds).1f s"),
    "renewal_noop": (logging.INFO, "noop", "the server gave back a token that does not expire later (%(fingerprint)s)"),
    "rejected": (logging.WARNING, "", "an API refused token %(fingerprint)s"),
    "rejection_barred": (
        logging.WARNING,
        "",
        "an API refuses new tokens too (%(fingerprint)s): no forced mint for %(holds).0f s",
    ),
    "tombstone_hit": (logging.DEBUG, "", "the shared cache still held a refused token"),
    "lease_wait": (logging.DEBUG, "", "waited %(seconds).2f s for another process to mint"),
    "cache_fault": (logging.WARNING, "cache", "the shared cache fails (%(reason)s); going on without it"),
    "cache_recovered": (logging.INFO, "cache", "the shared cache works again"),
    "undecryptable": (logging.WARNING, "undecryptable", "a value in the shared cache did not open; ignored"),
    "clock_skew": (logging.WARNING, "skew", "a token in the shared cache was minted %(seconds).0f s in the future"),
    "budget_low": (logging.WARNING, "budget", "little is left of the mint budget (%(reason)s minted this month)"),
    "budget_exhausted": (logging.ERROR, "budget", "the mint budget is used up (%(reason)s minted this month)"),
    "scope_narrowed": (logging.WARNING, "scope", "the server granted less scope than asked (missing: %(reason)s)"),
}


class Reporter:
    """Tells one source's events; a subscriber that raises breaks nothing."""

    def __init__(self, client_id: str, subscriber: Subscriber | None) -> None:
        self.client_id = client_id
        self._subscriber = subscriber
        self._last: dict[str, tuple[str, str]] = {}

    def tell(
        self, kind: EventKind, fingerprint: str = "", reason: str = "", seconds: float = 0.0, holds: float = 0.0
    ) -> None:
        """Logs the event and hands it to the subscriber."""
        event = Event(kind, self.client_id, fingerprint[:8], reason, seconds, holds)
        self._log(event)
        if self._subscriber is not None:
            try:
                self._subscriber(event)
            except Exception as error:
                _log.warning("on_event raised %s; ignored", type(error).__name__)

    def _log(self, event: Event) -> None:
        level, topic, words = _WORDS[event.kind]
        if topic:
            # A mint is news each time; a failure is news when its reason changes.
            news = (event.kind, event.fingerprint or event.reason)
            if self._last.get(topic) == news:
                level = logging.DEBUG
            self._last[topic] = news
        if _log.isEnabledFor(level):
            _log.log(level, "client %s: %s", event.client_id, words % event._asdict())
