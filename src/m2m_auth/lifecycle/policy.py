"""The renewal policy: when a token is renewed and how long a call waits."""

from __future__ import annotations

import math

from ..errors import ConfigurationError
from ..values import Value

__all__ = ["DEFAULT_POLICY", "RenewalPolicy"]


class RenewalPolicy(Value):
    """When a token is renewed and how long a call waits. Times are in seconds, the other numbers are shares.

    The defaults suit lifetimes from 2 s to 24 h.

    Raises:
        ConfigurationError: a field makes no sense; the message names it and the fix.
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
    """The share of the window, from its start, over which processes spread their renewals."""
    max_wait: float = 20.0
    """How long a caller without a usable token waits."""
    expiring_wait: float = 2.0
    """The age of a flight at which callers that hold a good token stop waiting for it; ``M/4`` if that is shorter."""
    mint_deadline: float = 10.0
    """How long one token request may take, from connecting to the last byte."""
    lease: float = 15.0
    """How long one process may keep the others from minting; longer than ``mint_deadline``."""
    default_lifetime: float = 300.0
    """The lifetime of a token whose server does not say."""
    max_lifetime: float = 86400.0
    """Longer lifetimes are cut to this."""
    require_scope: bool = False
    """True: a token with less than the requested scope is an error; False: it is a warning."""

    def check(self) -> None:
        """Raises a ConfigurationError that names the field and the fix."""
        for name in _NUMBERS:
            value = getattr(self, name)
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

    def lead(self, lifetime: float) -> float:
        """``W``: how long before its end a token of this lifetime becomes stale."""
        return min(lifetime * self.window, self.window_cap)

    def last_stretch(self, lifetime: float) -> float:
        """``M``: how long before its end a token of this lifetime is expiring."""
        return min(lifetime * self.margin, self.margin_cap)

    @property
    def flight_deadline(self) -> float:
        """Seconds after which a flight that has not landed is given up: it has waited for a lease, and minted."""
        return self.lease + self.mint_deadline


_NUMBERS = (
    *("window", "window_cap", "margin", "margin_cap", "jitter", "max_wait", "expiring_wait", "mint_deadline"),
    *("lease", "default_lifetime", "max_lifetime"),
)

DEFAULT_POLICY = RenewalPolicy()
