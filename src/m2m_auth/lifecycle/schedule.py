"""The life cycle of a token, as arithmetic: no I/O, no clock, no lock, no randomness.

Time is an argument, and so is the random fraction behind every jitter. So tables and properties test every rule, and
the same code runs in the library, in its tests and in the simulation. All times are seconds on one clock, which the
caller chooses.

For a token of lifetime ``L`` that ends at ``E``: ``W = min(L/4, 3600)``, ``M = min(L/10, 60)``.

    fresh      until E-W+J    use it
    stale      until E-M      use it; one flight renews in the background
    expiring   until E        wait for a young flight, a little; then use it
    expired    from  E        wait for a flight, or fail from the recorded failure
"""

from __future__ import annotations

from typing import NamedTuple

from .policy import RenewalPolicy

__all__ = ["Schedule", "schedule", "state_at"]


class Schedule(NamedTuple):
    """The three edges of a token's life, on the clock of its start."""

    renew_at: float
    """From then on the token is stale: a flight renews it in the background."""
    expiring_at: float
    """From then on calls wait a moment for the flight."""
    expires_at: float
    """From then on the token must not be used."""


def schedule(start: float, lifetime: float, policy: RenewalPolicy, fraction: float) -> Schedule:
    """Return the edges of a token's life.

    The jitter delays the renewal, by half the window at most: the other half is for retries.

    Args:
        start: when the token was requested.
        lifetime: how long it lives, in seconds.
        policy: the window, the margin and the jitter.
        fraction: this process's draw of the jitter, 0 to 1.
    """
    end = start + lifetime
    lead = policy.lead(lifetime)
    margin = policy.last_stretch(lifetime)
    renew_at = min(end - lead + lead * policy.jitter * fraction, end - margin)
    return Schedule(renew_at, end - margin, end)


def state_at(token: Schedule | None, now: float) -> str:
    """Return the name of the token's state at ``now``: none, fresh, stale, expiring or expired."""
    if token is None:
        return "none"
    if now < token.renew_at:
        return "fresh"
    if now < token.expiring_at:
        return "stale"
    return "expiring" if now < token.expires_at else "expired"
