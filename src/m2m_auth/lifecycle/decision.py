"""The decision of one call: use the token, renew it, wait, or fail."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .failure import Failure
from .policy import RenewalPolicy
from .schedule import Schedule

__all__ = ["Action", "Decision", "Pause", "decide"]


class Pause(NamedTuple):
    """Nobody asks the server before ``until``; ``failure`` says why, None if nothing went wrong.

    Backoff, Retry-After, a lease that another process holds, a server that gives the same token again: all
    are a pause.
    """

    until: float
    failure: Failure | None = None


class Action(Enum):
    """What a call does next."""

    USE = "use the held token"
    RENEW = "use the held token, and have a flight renew it"
    WAIT = "wait for the flight, then use the held token: it is still good"
    NEED = "wait for the flight: there is no usable token"
    FAIL = "raise the recorded failure"


class Decision(NamedTuple):
    """An action, and until when to wait for the flight (WAIT only)."""

    action: Action
    until: float = 0.0


_USE, _RENEW, _NEED, _FAIL = (Decision(action) for action in (Action.USE, Action.RENEW, Action.NEED, Action.FAIL))


def decide(
    token: Schedule | None, now: float, policy: RenewalPolicy, pause: Pause | None, flight_started: float | None
) -> Decision:
    """What a call at ``now`` does, given the held token, the pause and the running flight (None: there is none)."""
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
    # Of a token that lives for seconds, two are half its life: a quarter of M is enough to wait.
    patience = min(policy.expiring_wait, (token.expires_at - token.expiring_at) / 4)
    until = (now if flight_started is None else flight_started) + patience
    return Decision(Action.WAIT, until) if now < until else _USE
