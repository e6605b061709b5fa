"""What happens: small typed events for ``on_event``, and the same in plain words in the logger ``m2m_auth``.

The log has one line per change, also where every request builds a source: an outage of an hour is two lines, not ten
thousand. Neither an event nor a line ever carries a token, a secret or a response body.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Literal, NamedTuple

from .runtime.bounded_map import BoundedMap
from .runtime.observers import notify, observers
from .values import Value, replace

__all__ = ["Event", "EventEmitter", "EventKind", "Subscriber", "all_of"]

EventKind = Literal[
    "minted",
    "renewed",
    "adopted",
    "cache_hit",
    "cache_miss",
    "served_stale",
    "quota_low",
    "unusable",
    "renewal_failed",
    "renewal_noop",
    "rejected",
    "forced_mint_ban",
    "forced_mint_ban_ended",
    "refused_early",
    "tombstone_hit",
    "lease_wait",
    "cache_fault",
    "cache_recovered",
    "undecryptable",
    "clock_skew",
    "scope_narrowed",
    "lifetime_assumed",
    "budget_low",
    "budget_exhausted",
]


class Event(Value):
    """One thing that happened to one source."""

    kind: EventKind
    """What happened."""
    client_id: str
    """The client it happened to."""
    fingerprint: str = ""
    """8 hexadecimal digits for the token concerned, or ``""``."""
    reason: str = ""
    """Why, in a word: ``cold``, ``renewal``, ``rejected``, ``forced``, or an error's cause code."""
    seconds: float = 0.0
    """How long it took: a token request, a wait for a lease."""
    holds: float = 0.0
    """For how many seconds from now it holds: a new token's life, the time to the next attempt, a ban."""
    audience: str = ""
    """The audience that the source asks for, or ``""``."""
    alias: str = ""
    """The source's ``alias``, or ``""``."""

    @property
    def source(self) -> str:
        """Which source it was, in words."""
        return f"{self.alias} (client {self.client_id})" if self.alias else f"client {self.client_id}"


Subscriber = Callable[[Event], object]


def all_of(*subscribers: Subscriber) -> Subscriber:
    """One subscriber that calls several, in this order. One that raises does not keep the event from the others."""

    def call_all(event: Event) -> None:
        for subscriber in subscribers:
            _call(subscriber, event)

    return call_all


_log = logging.getLogger("m2m_auth")


class _LogLine(NamedTuple):
    """The log line of one kind of event."""

    level: int
    topic: str
    """Lines of one topic replace each other, such as "fails" and "works again". The log repeats none of them."""
    detail: str
    """The event's field whose change makes the log write another line of the same kind."""
    text: str
    once: bool = False
    """True: the log has it once for each client and audience, and not again for later tokens."""


_LOG_LINES: dict[EventKind, _LogLine] = {
    "minted": _LogLine(
        logging.INFO, "token", "fingerprint", "minted token {fingerprint} in {seconds:.2f} s ({reason})"
    ),
    "renewed": _LogLine(logging.DEBUG, "", "", "token {fingerprint} replaces the held one ({reason})"),
    "adopted": _LogLine(logging.DEBUG, "", "", "took token {fingerprint} from the shared cache"),
    "cache_hit": _LogLine(logging.DEBUG, "", "", "the shared cache has token {fingerprint}"),
    "cache_miss": _LogLine(logging.DEBUG, "", "", "the shared cache has no token"),
    "served_stale": _LogLine(
        logging.WARNING,
        "stale",
        "fingerprint",
        "serving token {fingerprint} for another {holds:.0f} s while it cannot be renewed ({reason})",
    ),
    "quota_low": _LogLine(
        logging.WARNING, "quota", "", "the server reports that little is left of its quota; renewing late"
    ),
    "unusable": _LogLine(logging.DEBUG, "", "", "the server minted a token that may not be used ({reason})"),
    "renewal_failed": _LogLine(
        logging.WARNING, "token", "reason", "no new token ({reason}); next attempt in {holds:.1f} s"
    ),
    "renewal_noop": _LogLine(
        logging.INFO, "noop", "fingerprint", "the server gave back a token that does not expire later ({fingerprint})"
    ),
    "rejected": _LogLine(logging.WARNING, "", "", "an API refused token {fingerprint}"),
    "forced_mint_ban": _LogLine(
        logging.WARNING, "", "", "an API refuses new tokens too ({fingerprint}): no forced mint for {holds:.0f} s"
    ),
    "forced_mint_ban_ended": _LogLine(logging.INFO, "", "", "the API takes token {fingerprint}: the ban is over"),
    "refused_early": _LogLine(
        logging.WARNING,
        "refused_early",
        "",
        "an API took a new token and soon refused it, {reason} times in a row (the latest: {fingerprint}). The likely "
        "reason: another client mints with these credentials, and the server keeps one token alive. "
        "Fix: one cache= for all of them, or a client of its own for each",
    ),
    "tombstone_hit": _LogLine(logging.DEBUG, "", "", "the shared cache still held a refused token"),
    "lease_wait": _LogLine(logging.DEBUG, "", "", "waited {seconds:.2f} s for another process to mint"),
    "cache_fault": _LogLine(
        logging.WARNING, "cache", "reason", "the shared cache fails ({reason}); going on without it"
    ),
    "cache_recovered": _LogLine(logging.INFO, "cache", "", "the shared cache works again"),
    "undecryptable": _LogLine(
        logging.WARNING, "undecryptable", "reason", "a value in the shared cache did not open ({reason}); ignored"
    ),
    "clock_skew": _LogLine(
        logging.WARNING,
        "skew",
        "",
        "a token in the shared cache was minted {seconds:.0f} s in the future: the hosts' clocks disagree",
    ),
    "budget_low": _LogLine(
        logging.WARNING, "budget", "", "little is left of the mint budget ({reason} minted this month)"
    ),
    "budget_exhausted": _LogLine(
        logging.ERROR, "budget", "", "the mint budget is used up ({reason} minted this month)"
    ),
    "scope_narrowed": _LogLine(
        logging.WARNING, "scope", "reason", "the server granted less scope than requested (missing: {reason})"
    ),
    "lifetime_assumed": _LogLine(
        logging.WARNING,
        "lifetime",
        "reason",
        "the server does not say how long a token lives ({reason}): {holds:.0f} s are assumed. "
        "Fix: policy.default_lifetime, or answers=AnswerRules(…) if it says so in its own way",
        once=True,
    ),
}


class _ClientLog:
    """The latest log lines of one client and audience, so that an unchanged state is logged once."""

    __slots__ = ("tokens", "topics")

    def __init__(self) -> None:
        self.tokens = 0
        """How many tokens the client has received so far."""
        self.topics: dict[str, tuple[str, tuple[str, ...], int]] = {}
        """By topic: the kind of the latest line, its latest details, and ``tokens`` at that time."""

    def is_change(self, topic: str, kind: str, detail: str, *, once: bool = False) -> bool:
        """False if the latest line of the topic said the same, of this token or of the one before it.

        ``once``: of any earlier token.
        """
        latest, details, tokens = self.topics.get(topic, ("", (), 0))
        lasts = latest == kind and (once or self.tokens - tokens <= 1)
        known = lasts and detail in details
        kept = details if known else (*details[-7:], detail) if lasts else (detail,)
        self.topics[topic] = (kind, kept, self.tokens)
        return not known


_client_logs: BoundedMap[tuple[str, str], _ClientLog] = BoundedMap(1024)
"""If a client is forgotten, the log may repeat a line at worst."""


def _client_log(event: Event) -> _ClientLog:
    return _client_logs.get_or_add((event.client_id, event.audience), _ClientLog)


def _call(subscriber: Subscriber, event: Event) -> None:
    try:
        subscriber(event)
    except Exception as error:  # its message might hold anything
        name = type(error).__name__
        level = logging.WARNING if _client_log(event).is_change("on_event", "raised", name) else logging.DEBUG
        _log.log(level, "on_event raised %s; ignored", name)


def _log_change(event: Event) -> None:
    level, topic, detail, text, once = _LOG_LINES[event.kind]
    client_log = _client_log(event)
    if event.kind in ("minted", "adopted"):
        client_log.tokens += 1
    if topic and not client_log.is_change(topic, event.kind, getattr(event, detail) if detail else "", once=once):
        level = logging.DEBUG
    if _log.isEnabledFor(level):
        facts = {name: getattr(event, name) for name in ("fingerprint", "reason", "seconds", "holds")}
        _log.log(level, "%s: %s", event.source, text.format(**facts))


class Listeners:
    """The emitters whose subscribers hear of one key's events: those of all sources that live and use the key.

    It refers to them weakly: a source that is built for one request is forgotten with the request.
    """

    __slots__ = ("_emitters",)

    def __init__(self) -> None:
        self._emitters: tuple[weakref.ref[EventEmitter], ...] = ()

    def add(self, emitter: EventEmitter) -> None:
        """Adds one more; a lock of the caller keeps two calls apart."""
        living = self.living()
        if emitter not in living:
            self._emitters = tuple(weakref.ref(each) for each in (*living, emitter))

    def remove(self, emitter: EventEmitter) -> None:
        """Removes it; a lock of the caller keeps two calls apart."""
        self._emitters = tuple(weakref.ref(each) for each in self.living() if each is not emitter)

    def living(self) -> list[EventEmitter]:
        """Those that are still there, the oldest first."""
        return [emitter for emitter in (reference() for reference in self._emitters) if emitter is not None]


class EventEmitter:
    """Emits one source's events; a subscriber that raises breaks nothing.

    Attributes:
        listeners: the emitters of the sources with the same key, whose subscribers hear of the event too.
    """

    __slots__ = ("__weakref__", "alias", "audience", "client_id", "listeners", "subscriber")

    def __init__(
        self, client_id: str, subscriber: Subscriber | None, audience: str | None = None, alias: str = ""
    ) -> None:
        self.client_id = client_id
        self.audience = audience or ""
        self.alias = alias
        self.subscriber = subscriber
        self.listeners = Listeners()

    def emit(
        self, kind: EventKind, fingerprint: str = "", reason: str = "", seconds: float = 0.0, holds: float = 0.0
    ) -> None:
        """Logs the event, calls each subscriber of the key once, by its source's alias, and the context's observer."""
        event = Event(
            kind=kind,
            client_id=self.client_id,
            fingerprint=fingerprint[:8],
            reason=reason,
            seconds=seconds,
            holds=holds,
            audience=self.audience,
            alias=self.alias,
        )
        _log_change(event)
        called: list[Subscriber] = []
        for emitter in (self, *self.listeners.living()):
            subscriber = emitter.subscriber
            if subscriber is not None and subscriber not in called:
                called.append(subscriber)
                _call(subscriber, event if emitter.alias == event.alias else replace(event, alias=emitter.alias))
        if observers:
            notify(event)
