"""What a flight does with a failure: records it, shares it, and obeys a failure that another process shared."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from ..lifecycle.decision import Pause
from ..lifecycle.failure import ASKED_SPREAD, Failure, FailureKind, asked_wait, hold_off
from .renewal_context import Credential, RenewalContext

__all__ = ["FailureRecord", "failure_from_exception"]

RETURN = (0.5, 0.1)
"""The share of a failure's pause over which processes spread their next attempts: with a good token, and without."""


class FailureRecord:
    """The failures of one key, as one flight reads and writes them."""

    def __init__(self, context: RenewalContext, credential: Credential) -> None:
        self._context = context
        self._state, self._store = credential.state, credential.store
        self._clock, self._events, self._wait = context.clock, context.events, credential.wait
        self.previous: Failure | None = self._state.pause.failure if self._state.pause else None
        """The failure before this flight; None after a success."""

    def shared(self) -> Failure | None:
        """The failure that another process has shared, if the next attempt is not due; this process pauses, too."""
        known = self._store.read_failure(self._events)
        if known is None:
            return None
        self.previous, remaining = known
        return self._pause_with_the_others(self.previous, remaining)

    def own(self) -> Failure | None:
        """The failure of this process, if the next attempt is not due: a flight for another source met it."""
        pause = self._state.pause
        return pause.failure if pause is not None and self._clock.monotonic() < pause.until else None

    def waiting(self) -> Failure | None:
        """The wait that the token endpoint asked this client for, if it is not over; this request pauses, too."""
        known, now = self._wait.pause, self._clock.monotonic()
        noticed = max(now, self._clock.wall() - self._wait.offset)
        if known is not None and known.failure is not None and noticed < known.until:
            return self._pause_with_the_others(known.failure, known.until - noticed)
        shared = self._store.read_wait(self._events)
        if shared is None or shared[1] <= 0:
            return None
        failure, remaining = shared
        self._begin_wait(Pause(now + remaining, failure))
        return self._pause_with_the_others(failure, remaining)

    def _begin_wait(self, pause: Pause) -> None:
        self._wait.offset = self._clock.wall() - self._clock.monotonic()
        self._wait.pause = pause

    def _pause_with_the_others(self, failure: Failure, remaining: float) -> Failure | None:
        """Processes and audiences do not all ask at once. Those with a good token try last, but before it expires."""
        if remaining <= 0:
            return None
        now, wall, held = self._clock.monotonic(), self._clock.wall(), self._state.held
        good = held is not None and held.is_good(now, wall)
        spread = min(remaining, 60.0) * (RETURN[0] if good else RETURN[1])
        if asked_wait(failure) is not None:
            spread = min(spread, ASKED_SPREAD)
        until = now + remaining + spread * self._clock.uniform()
        if held is not None and good:
            until = max(now + remaining, min(until, held.edges_at(now, wall).expiring_at))
        self._state.pause = Pause(until, failure)
        return failure

    def clear(self) -> None:
        """After a success: neither this failure nor the wait counts any more, in any process."""
        if self.previous is not None:
            self._store.clear_failure(self._events)
        if self._wait.pause is not None:
            self._wait.pause = None
            self._store.clear_wait(self._events)

    def record(self, failure: Failure, took: float = 0.0) -> Failure:
        """Pauses this process, and every process that shares the cache; ``took``: seconds of the token request.

        Returns the failure, with its attempts counted on.
        """
        failure = failure.following(self.previous)
        policy, held = self._context.policy, self._state.held or self._state.refused
        lifetime = held.lifetime if held else policy.default_lifetime
        lead, fraction, asked = policy.lead(lifetime), self._clock.uniform(), asked_wait(failure)
        hold = hold_off(failure, lead, fraction)
        if asked is not None:
            wait = failure.of_the_endpoint()
            self._begin_wait(Pause(self._clock.monotonic() + asked, wait))
            self._store.write_wait(wait, asked, self._events)
        self._state.pause = Pause(self._clock.monotonic() + hold, failure)
        self._store.write_failure(failure, hold_off(failure, lead, fraction, spread=False), self._events)
        self._events.emit("renewal_failed", reason=failure.cause_code, seconds=took, holds=hold)
        served, now, wall = self._state.held, self._clock.monotonic(), self._clock.wall()
        if served is not None and served.is_good(now, wall):
            left = served.edges.expires_at - served.now(now, wall)
            self._events.emit("served_stale", served.fingerprint, failure.cause_code, holds=left)
        return failure


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
