"""What a flight does with a failure: records it, shares it, and obeys a failure that another process shared."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from ..lifecycle.decision import Pause
from ..lifecycle.failure import Failure, FailureKind, hold_off
from .renewal_context import Credential, RenewalContext

__all__ = ["FailureRecord", "failure_from_exception"]

RETURN = (0.5, 0.1)
"""The share of a failure's pause over which processes spread their next attempts: with a good token, and without."""


class FailureRecord:
    """The failures of one key, as one flight reads and writes them."""

    def __init__(self, context: RenewalContext, credential: Credential) -> None:
        self._context = context
        self._state, self._store = credential.state, credential.store
        self._clock, self._events = context.clock, context.events
        self.previous: Failure | None = self._state.pause.failure if self._state.pause else None
        """The failure before this flight; None after a success."""

    def shared(self) -> Failure | None:
        """The failure that another process has just shared, if the next attempt is not due; this process pauses, too.

        The processes do not all try again at once. Those with a good token try last, but before it expires.
        """
        known = self._store.read_failure(self._events)
        if known is None:
            return None
        self.previous, remaining = known
        if remaining <= 0:
            return None
        now, wall, held = self._clock.monotonic(), self._clock.wall(), self._state.held
        good = held is not None and held.is_good(now, wall)
        share = RETURN[0] if good else RETURN[1]
        until = now + remaining + min(remaining, 60.0) * share * self._clock.uniform()
        if held is not None and good:
            until = max(now + remaining, min(until, held.edges_at(now, wall).expiring_at))
        self._state.pause = Pause(until, self.previous)
        return self.previous

    def record(self, failure: Failure, took: float = 0.0) -> None:
        """Pauses this process, and every process that shares the cache; ``took``: seconds of the token request."""
        failure = failure.following(self.previous)
        policy, held = self._context.policy, self._state.held or self._state.refused
        lifetime = held.lifetime if held else policy.default_lifetime
        hold = hold_off(failure, policy.lead(lifetime), self._clock.uniform())
        self._state.pause = Pause(self._clock.monotonic() + hold, failure)
        self._store.write_failure(failure, hold, self._events)
        self._events.emit("renewal_failed", reason=failure.cause_code, seconds=took, holds=hold)
        served, now, wall = self._state.held, self._clock.monotonic(), self._clock.wall()
        if served is not None and served.is_good(now, wall):
            left = served.edges.expires_at - served.now(now, wall)
            self._events.emit("served_stale", served.fingerprint, failure.cause_code, holds=left)


def failure_from_exception(error: BaseException) -> Failure:
    """The failure behind an exception on a flight.

    Anything but a ConfigurationError is a bug in this package, or in the user's transport, clock or authentication
    object. The type and the place are enough to find it; the message might hold a secret.
    """
    if isinstance(error, ConfigurationError):
        return Failure(FailureKind.CONFIGURATION, "TokenUnavailable", str(error), "configuration")
    what = f"{type(error).__name__} while getting a token{_place(error)}"
    return Failure(FailureKind.UNAVAILABLE, "TokenUnavailable", what, "internal_error")


def _place(error: BaseException) -> str:
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""
