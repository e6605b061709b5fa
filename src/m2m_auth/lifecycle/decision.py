"""The decision of one call: use the token, renew it, wait, or fail."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .failure import Failure
from .policy import RenewalPolicy
from .schedule import Schedule

__all__ = ["Action", "Decision", "Pause", "decide"]


class Pause(NamedTuple):
    """A time in which no token is requested: backoff, Retry-After, a lease that another process holds, a ban.

    A server that returns the same token again is a reason, too.
    """

    until: float
    """The end of the pause, on the caller's clock."""
    failure: Failure | None = None
    """Why there is a pause; None if nothing went wrong."""


class Action(Enum):
    """What a call does next; each value says it in words."""

    USE = "use the held token"
    RENEW = "use the held token, and start a flight that renews it"
    WAIT = "wait for the flight, then use the held token, which is still good"
    NEED = "wait for the flight: there is no usable token"
    FAIL = "raise the recorded failure"


class Decision(NamedTuple):
    """An action."""

    action: Action
    until: float = 0.0
    """The time at which a call that waits for the flight stops waiting; for WAIT only."""


_USE, _RENEW, _NEED, _FAIL = (Decision(action) for action in (Action.USE, Action.RENEW, Action.NEED, Action.FAIL))


def decide(
    token: Schedule | None, now: float, policy: RenewalPolicy, pause: Pause | None, flight_started: float | None
) -> Decision:
    """Return what a call does.

    Args:
        token: the edges of the held token's life; None: no token is held.
        now: the time of the call, on the same clock as all other times.
        policy: how long a call waits.
        pause: the current or last pause; None: there is none.
        flight_started: when the running flight started; None: no flight is running.
    """
    paused = pause is not None and now < pause.until
    if token is None or now >= token.expires_at:
        failed = paused and pause is not None and pause.failure is not None
        return _FAIL if failed and flight_started is None else _NEED
    if now < token.renew_at:
        return _USE
    if flight_started is None and paused:
        return _USE
    if now < token.expiring_at:
        return _RENEW if flight_started is None else _USE
    # Two seconds are half the life of a token that lives for four, so the wait is a quarter of M at most.
    patience = min(policy.expiring_wait, (token.expires_at - token.expiring_at) / 4)
    until = (now if flight_started is None else flight_started) + patience
    return Decision(Action.WAIT, until) if now < until else _USE
