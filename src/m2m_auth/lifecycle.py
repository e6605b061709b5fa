"""The life cycle of a token, as arithmetic: no I/O, no clock, no lock, no randomness.

Time is an argument, and so is the random fraction behind every jitter; so every rule here is tested with
tables and properties, and the same code runs in the library, in its tests and in the simulation. All times
are seconds on one clock; the caller says which.

For a token of lifetime ``L`` that ends at ``E``: ``W = min(L/4, 3600)``, ``M = min(L/10, 60)``.

    fresh      until E-W+J    use it
    stale      until E-M      use it; one flight renews in the background
    expiring   until E        wait for a young flight, a little; then use it
    expired    from  E        wait for a flight, or fail from the recorded failure
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

from .errors import ConfigurationError
from .failure import Failure, Kind

__all__ = [
    "BAR_MAX",
    "DEFAULT_POLICY",
    "YOUNG",
    "Action",
    "Bar",
    "Decision",
    "Pause",
    "RenewalPolicy",
    "Schedule",
    "decide",
    "hold_off",
    "next_bar",
    "schedule",
    "state",
]


class RenewalPolicy(NamedTuple):
    """When tokens are renewed and how long anybody waits. Times in seconds, the rest are fractions.

    The defaults suit lifetimes from 2 s to 24 h; it is checked when a source is built.
    """

    window: float = 0.25
    """The share of the lifetime, before its end, in which the token is renewed."""
    window_cap: float = 3600.0
    """The longest such window."""
    margin: float = 0.1
    """The share of the lifetime, before its end, in which calls wait a moment for a running renewal."""
    margin_cap: float = 60.0
    """The longest such margin."""
    jitter: float = 0.5
    """The share of the window over which processes spread their renewals, from its start."""
    max_wait: float = 20.0
    """How long a caller without a usable token waits."""
    expiring_wait: float = 2.0
    """How old a flight may get before callers who still hold a good token stop waiting for it; ``M/4`` if shorter."""
    mint_deadline: float = 10.0
    """How long one token request may take, from connecting to the last byte."""
    lease: float = 15.0
    """How long one process may keep the others from minting; longer than ``mint_deadline``."""
    default_lifetime: float = 300.0
    """The lifetime of a token whose server does not say."""
    max_lifetime: float = 86400.0
    """Longer lifetimes are cut to this."""
    require_scope: bool = False
    """True: a token with less than the requested scope is an error, not a warning."""

    def lead(self, lifetime: float) -> float:
        """``W``: how long before its end a token becomes stale."""
        return min(lifetime * self.window, self.window_cap)

    def last_stretch(self, lifetime: float) -> float:
        """``M``: how long before its end a token is expiring."""
        return min(lifetime * self.margin, self.margin_cap)

    @property
    def flight_deadline(self) -> float:
        """Seconds after which a flight that has not landed is given up on: it waited for a lease, and minted."""
        return self.lease + self.mint_deadline

    def checked(self) -> RenewalPolicy:
        """The policy itself, or a ConfigurationError that names the field and the fix."""
        for name, value in self._asdict().items():
            if name == "require_scope":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ConfigurationError(f"policy.{name}={value!r} must be a number of at least 0")
        if not 0 < self.margin < self.window < 1:
            raise ConfigurationError(
                f"policy: 0 < margin ({self.margin}) < window ({self.window}) < 1 must hold: "
                "both are shares of the lifetime"
            )
        if self.margin_cap >= self.window_cap:
            raise ConfigurationError(
                f"policy.margin_cap={self.margin_cap:g} s must be shorter than policy.window_cap={self.window_cap:g} s"
            )
        if self.jitter > 0.5:
            raise ConfigurationError(f"policy.jitter={self.jitter} must be at most 0.5: half the window is for retries")
        if self.lease <= self.mint_deadline:
            raise ConfigurationError(
                f"policy.lease={self.lease:g} s must be longer than policy.mint_deadline={self.mint_deadline:g} s, "
                "or another process mints while this one still does. Fix: lease=mint_deadline+5"
            )
        return self


DEFAULT_POLICY = RenewalPolicy()


class Schedule(NamedTuple):
    """The three edges of a token's life, on the clock that its start was given on."""

    renew_at: float
    expiring_at: float
    expires_at: float


def schedule(start: float, lifetime: float, policy: RenewalPolicy, fraction: float) -> Schedule:
    """The edges for a token requested at ``start``; ``fraction`` (0 to 1) is this process's draw of the jitter.

    Jitter goes late into the window, so it never eats the half of the window kept for retries.
    """
    end = start + lifetime
    lead = policy.lead(lifetime)
    margin = policy.last_stretch(lifetime)
    renew_at = min(end - lead + lead * policy.jitter * fraction, end - margin)
    return Schedule(renew_at, end - margin, end)


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


def state(token: Schedule | None, now: float) -> str:
    """The name of the token's state at ``now``: none, fresh, stale, expiring or expired."""
    if token is None:
        return "none"
    if now < token.renew_at:
        return "fresh"
    if now < token.expiring_at:
        return "stale"
    return "expiring" if now < token.expires_at else "expired"


def hold_off(failure: Failure, lead: float, fraction: float) -> float:
    """Seconds until the next attempt after ``failure``; ``lead`` is ``W``, ``fraction`` (0 to 1) the jitter's draw.

    - throttled (429): what the server asked for, at most 3600 s, plus up to 5 s so that not all return at once;
    - the server or the way to it (5xx, timeouts, nonsense): from 1 s, doubling, to ``clamp(W/10, 1, 60)``,
      with equal jitter (half fixed, half random);
    - our own budget: until it renews, looked at every minute, since it is a matter of configuration;
    - refused credentials: 30 s, doubling to 5 min; a refused configuration: 60 s.
    """
    doublings = min(max(failure.attempts, 1) - 1, 30)
    if failure.kind is Kind.THROTTLED and failure.retry_after is not None:
        return min(failure.retry_after, 3600.0) + 5.0 * fraction
    if failure.kind is Kind.BUDGET:
        return min(failure.retry_after or 0.0, 60.0)
    if failure.kind is Kind.CREDENTIALS:
        return min(30.0 * 2.0**doublings, 300.0)
    if failure.kind is Kind.CONFIGURATION:
        return 60.0
    cap = min(max(lead / 10, 1.0), 60.0)
    step = min(2.0**doublings, cap)
    return step / 2 + step / 2 * fraction


YOUNG = 5.0
"""A refused token younger than this many seconds does not cause another mint: the API refuses new ones too."""
BAR, BAR_MAX = 60.0, 300.0
"""Seconds that forced mints are barred then; doubles up to the second."""


class Bar(NamedTuple):
    """Forced mints are barred until a time (Unix time when shared): an API refuses new tokens too."""

    until: float
    level: int


def next_bar(bar: Bar | None, now: float) -> Bar:
    """The next bar against forced mints: 60 s, doubling to 5 min while they follow each other."""
    follows = bar is not None and now < bar.until + BAR_MAX
    level = bar.level + 1 if bar is not None and follows else 0
    return Bar(now + min(BAR * 2.0**level, BAR_MAX), level)
