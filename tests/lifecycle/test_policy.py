"""RenewalPolicy: its defaults, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from m2m_auth import ConfigurationError, RenewalPolicy
from m2m_auth.values import as_dict, replace


def test_the_defaults() -> None:
    """Renewals begin after three quarters of a life, calls wait 20 s at most, and a lease outlives a token request."""
    policy = RenewalPolicy()
    assert (policy.window, policy.window_cap, policy.margin, policy.margin_cap) == (0.25, 3600.0, 0.1, 60.0)
    assert (policy.jitter, policy.max_wait, policy.expiring_wait) == (0.5, 20.0, 2.0)
    assert (policy.default_lifetime, policy.max_lifetime) == (300.0, 86400.0)
    assert policy.lease == policy.mint_deadline + 5.0 == 15.0
    assert policy.require_scope is False


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"margin": 0.25}, "policy: 0 < margin (0.25) < window (0.25) < 1 must hold: both are shares of the lifetime"),
        ({"margin": 0.0}, "policy: 0 < margin (0.0) < window (0.25) < 1 must hold: both are shares of the lifetime"),
        ({"window": 1.0}, "policy: 0 < margin (0.1) < window (1.0) < 1 must hold: both are shares of the lifetime"),
        ({"window": 300}, "policy: 0 < margin (0.1) < window (300) < 1 must hold: both are shares of the lifetime"),
        ({"jitter": 0.51}, "policy.jitter=0.51 must be at most 0.5: half the window is for retries"),
        (
            {"lease": 10.0},
            "policy.lease=10 s must be longer than policy.mint_deadline=10 s, "
            "or another process mints while this one still does. Fix: lease=mint_deadline+5",
        ),
        (
            {"mint_deadline": 30.0},
            "policy.lease=15 s must be longer than policy.mint_deadline=30 s, "
            "or another process mints while this one still does. Fix: lease=mint_deadline+5",
        ),
        ({"window_cap": 60.0}, "policy.margin_cap=60 s must be shorter than policy.window_cap=60 s"),
        ({"margin_cap": 3601}, "policy.margin_cap=3601 s must be shorter than policy.window_cap=3600 s"),
        ({"max_wait": -1}, "policy.max_wait=-1 must be a number of at least 0"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    """The message names the field, its value, and what it must be."""
    with pytest.raises(ConfigurationError) as caught:
        RenewalPolicy(**fields)
    assert str(caught.value) == message


NUMBERS = [name for name in as_dict(RenewalPolicy()) if name != "require_scope"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-0.001, math.nan, math.inf, -math.inf, None, "2", True, False])
def test_every_number_is_checked(name: str, value: object) -> None:
    """Infinity, nan, text and truth values are no times and no shares."""
    with pytest.raises(ConfigurationError) as caught:
        RenewalPolicy(**{name: value})
    assert str(caught.value) == f"policy.{name}={value!r} must be a number of at least 0"


def test_the_edges_of_what_is_allowed() -> None:
    """The smallest steps inside each bound pass."""
    RenewalPolicy(jitter=0.5, margin=0.2499, lease=10.001, max_wait=0, expiring_wait=0)
    RenewalPolicy(window=0.999, margin=0.0001, window_cap=60.001, jitter=0, mint_deadline=0, default_lifetime=0)


def test_a_policy_cannot_change_and_is_equal_by_its_fields() -> None:
    """Sources with equal policies share one token state, so a policy is a part of the state's key."""
    one, other = RenewalPolicy(max_wait=3), RenewalPolicy(max_wait=3.0)
    assert one == other != RenewalPolicy()
    assert hash(one) == hash(other)
    with pytest.raises(AttributeError):
        one.max_wait = 5  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match=r"policy\.max_wait=-1"):
        replace(one, max_wait=-1)


def test_a_policy_takes_keywords_only() -> None:
    """A number without its name says nothing to the next reader."""
    with pytest.raises(TypeError):
        RenewalPolicy(0.25)  # type: ignore[misc]


def test_a_flight_may_wait_for_a_lease_and_mint() -> None:
    """It is given up after the time of both."""
    assert RenewalPolicy(lease=7.0, mint_deadline=2.5).flight_deadline == 9.5
