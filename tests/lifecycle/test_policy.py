"""RenewalPolicy: its defaults, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from m2m_auth import ConfigurationError, RenewalPolicy


def test_the_defaults_are_the_specification() -> None:
    """BEHAVIOUR §1 and §2 in numbers, and they pass their own check."""
    policy = RenewalPolicy()
    assert policy.checked() is policy
    assert (policy.window, policy.window_cap, policy.margin, policy.margin_cap) == (0.25, 3600.0, 0.1, 60.0)
    assert (policy.jitter, policy.max_wait, policy.expiring_wait) == (0.5, 20.0, 2.0)
    assert (policy.default_lifetime, policy.max_lifetime) == (300.0, 86400.0)
    assert policy.lease == policy.mint_deadline + 5.0 == 15.0
    assert policy.require_scope is False


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"margin": 0.25}, ["margin (0.25)", "window (0.25)", "shares of the lifetime"]),
        ({"margin": 0.0}, ["0 < margin (0.0)"]),
        ({"window": 1.0}, ["window (1.0)", "< 1"]),
        ({"window": 300}, ["window (300)", "shares of the lifetime"]),
        ({"jitter": 0.51}, ["policy.jitter=0.51", "at most 0.5"]),
        ({"lease": 10.0}, ["policy.lease=10 s", "policy.mint_deadline=10 s", "Fix: lease=mint_deadline+5"]),
        ({"mint_deadline": 30.0}, ["policy.lease=15 s", "policy.mint_deadline=30 s"]),
        ({"max_wait": -1}, ["policy.max_wait=-1", "at least 0"]),
        ({"max_wait": math.nan}, ["policy.max_wait=nan", "number"]),
        ({"max_wait": math.inf}, ["policy.max_wait=inf", "number"]),
        ({"max_wait": None}, ["policy.max_wait=None", "number"]),
        ({"expiring_wait": "2"}, ["policy.expiring_wait='2'", "number"]),
        ({"default_lifetime": True}, ["policy.default_lifetime=True", "number"]),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, Any], words: list[str]) -> None:
    """The message names the field, its value, and what would do."""
    with pytest.raises(ConfigurationError) as caught:
        RenewalPolicy(**fields).checked()
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_edges_of_what_is_allowed() -> None:
    """The smallest sensible steps inside of each bound pass."""
    RenewalPolicy(jitter=0.5, margin=0.2499, lease=10.001, max_wait=0, expiring_wait=0).checked()
