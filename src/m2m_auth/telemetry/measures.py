"""What is measured, for both libraries: the instruments, and what an event adds to them.

Labels are bounded: the client, the audience, and fixed words. A fingerprint or a message is never a label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..events import Event, EventKind

__all__ = ["INSTRUMENTS", "SECONDS", "ErrorTypes", "Instrument", "Measure", "is_token_request", "life", "measures"]


class Instrument(NamedTuple):
    """A histogram of seconds, or a counter."""

    name: str
    """Below ``m2m_auth.client``, as OpenTelemetry's semantic conventions form it."""
    kind: Literal["seconds", "count"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    """Beside the client and the audience."""


class Measure(NamedTuple):
    """One number for one instrument; ``labels`` in the order of the instrument's."""

    instrument: Instrument
    value: float
    labels: tuple[str, ...] = ()


REQUESTS = Instrument("token.request.duration", "seconds", "s", "Duration of token requests.", ("reason", "error.type"))
MINTS = Instrument(
    "token.mints", "count", "{token}", "Tokens that the server minted, as the ledger has them.", ("reason",)
)
WAITS = Instrument("lease.wait.duration", "seconds", "s", "Waits for another process that mints.", ("reason",))
LOOKUPS = Instrument("cache.lookups", "count", "{lookup}", "Lookups of a token in the shared cache.", ("result",))
REJECTIONS = Instrument("token.rejections", "count", "{token}", "Tokens that an API refused.")
STALE = Instrument(
    "token.served_stale",
    "count",
    "{attempt}",
    "Failed renewals after which calls got the held token.",
    ("error.type",),
)
FAILURES = Instrument("token.failures", "count", "{attempt}", "Failed attempts to get a token.", ("error.type",))
EVENTS = Instrument("events", "count", "{event}", "Everything that happened.", ("kind",))
INSTRUMENTS = (REQUESTS, MINTS, WAITS, LOOKUPS, REJECTIONS, STALE, FAILURES, EVENTS)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""The histograms' buckets: OpenTelemetry's for HTTP, up to the longest wait of a call."""
_LOOKUPS: dict[EventKind, str] = {"cache_hit": "hit", "cache_miss": "miss", "cache_fault": "fault"}


class ErrorTypes:
    """At most 32 error types, then ``_OTHER``: a server may send any word as its OAuth error."""

    MANY = 32

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, cause_code: str) -> str:
        """The value for ``error.type``."""
        if cause_code not in self._known:
            if len(self._known) >= self.MANY:
                return "_OTHER"
            self._known.add(cause_code)
        return cause_code


def is_token_request(event: Event) -> bool:
    """True if the event ended a token request; a failure of, say, a secret manager comes before any request."""
    return event.kind == "minted" or (event.kind == "renewal_failed" and event.seconds > 0)


def life(event: Event) -> float | None:
    """Seconds that the event's new token lives; None if the event brought none."""
    return event.holds if event.kind in ("minted", "adopted") else None


def measures(event: Event, error_type: ErrorTypes) -> Iterator[Measure]:
    """What this event adds to which instrument."""
    yield Measure(EVENTS, 1, (event.kind,))
    if event.kind in ("minted", "unusable"):
        yield Measure(MINTS, 1, (event.reason,))
    if event.kind == "minted":
        yield Measure(REQUESTS, event.seconds, (event.reason, ""))
    elif event.kind == "renewal_failed":
        error = error_type(event.reason)
        yield Measure(FAILURES, 1, (error,))
        if is_token_request(event):
            yield Measure(REQUESTS, event.seconds, ("", error))
    elif event.kind in _LOOKUPS:
        yield Measure(LOOKUPS, 1, (_LOOKUPS[event.kind],))
    elif event.kind == "lease_wait":
        yield Measure(WAITS, event.seconds, (event.reason,))
    elif event.kind == "rejected":
        yield Measure(REJECTIONS, 1)
    elif event.kind == "served_stale":
        yield Measure(STALE, 1, (error_type(event.reason),))
