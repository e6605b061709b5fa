"""How long after a failure the next attempt is made, in numbers."""

from __future__ import annotations

import pytest

from m2m_auth.lifecycle.failure import Failure, FailureKind, hold_off
from m2m_auth.lifecycle.policy import RenewalPolicy


def failure(kind: FailureKind, attempts: int = 1, retry_after: float | None = None) -> Failure:
    """A failure of this kind."""
    return Failure(kind, "TokenEndpointUnavailable", "x", "x", retry_after, attempts)


@pytest.mark.parametrize(("lifetime", "cap"), [(2.0, 1.0), (5.0, 1.0), (300.0, 7.5), (3600.0, 60.0), (86400.0, 60.0)])
def test_backoff_doubles_to_a_cap_that_suits_the_lifetime(lifetime: float, cap: float) -> None:
    """From 1 s, doubling up to W/10, which is cut to 1 to 60 s: a token of 5 s is retried often."""
    lead = RenewalPolicy().lead(lifetime)
    steps = [hold_off(failure(FailureKind.UNAVAILABLE, attempts), lead, 1.0) for attempts in range(1, 9)]
    assert steps == [min(2.0**n, cap) for n in range(8)]


@pytest.mark.parametrize(("fraction", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_backoff_has_equal_jitter(fraction: float, share: float) -> None:
    """Half of each step is fixed, half random."""
    assert hold_off(failure(FailureKind.UNAVAILABLE, 3), 3600.0, fraction) == 4.0 * share


@pytest.mark.parametrize(("attempts", "hold"), [(1, 30.0), (2, 60.0), (3, 120.0), (4, 240.0), (5, 300.0), (999, 300.0)])
def test_refused_credentials_double_from_30_s_to_5_min(attempts: int, hold: float) -> None:
    """No jitter shortens the time."""
    assert hold_off(failure(FailureKind.CREDENTIALS, attempts), 75.0, 0.0) == hold


def test_a_configuration_error_is_remembered_for_60_s() -> None:
    """60 s after each attempt."""
    assert {hold_off(failure(FailureKind.CONFIGURATION, n), 75.0, 0.3) for n in (1, 2, 50)} == {60.0}


@pytest.mark.parametrize(
    ("asked", "fraction", "hold"),
    [(7.0, 0.0, 7.0), (7.0, 1.0, 12.0), (3600.0, 1.0, 3605.0), (1e9, 0.0, 3600.0)],
)
def test_a_429_is_obeyed_with_up_to_5_s_of_jitter(asked: float, fraction: float, hold: float) -> None:
    """What the server asked for, an hour at most, plus jitter, so that a fleet does not return at once."""
    assert hold_off(failure(FailureKind.THROTTLED, 1, asked), 75.0, fraction) == hold


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.BUDGET])
def test_a_wait_that_the_server_asks_for_is_obeyed_with_every_kind(kind: FailureKind) -> None:
    """Retry-After on a 503, 403 or 400 counts as on a 429, unless the kind's own time is longer."""
    assert hold_off(failure(kind, 1, 900.0), 75.0, 1.0) == 905.0
    assert hold_off(failure(kind, 50, 0.5), 75.0, 0.0) == max(hold_off(failure(kind, 50), 75.0, 0.0), 0.5)


def test_a_server_that_always_asks_for_no_time_is_not_asked_all_the_time() -> None:
    """``Retry-After: 0``, again and again: backoff as in an outage."""
    assert [hold_off(failure(FailureKind.THROTTLED, n, 0.0), 75.0, 1.0) for n in (1, 2, 3, 9)] == [1.0, 2.0, 4.0, 7.5]


@pytest.mark.parametrize(("attempts", "hold"), [(1, 1.0), (2, 30.0), (3, 60.0), (4, 120.0), (6, 300.0), (99, 300.0)])
def test_a_client_that_only_times_out_slows_down(attempts: int, hold: float) -> None:
    """The first timeout is an outage; a server that delays refused credentials (a tarpit) is asked every 5 min."""
    assert hold_off(failure(FailureKind.TIMEOUT, attempts), 75.0, 1.0) == hold


@pytest.mark.parametrize(("attempts", "hold"), [(1, 60.0), (2, 120.0), (6, 1920.0), (7, 3600.0), (99, 3600.0)])
def test_a_token_that_may_not_be_used_costs_a_handful_an_hour(attempts: int, hold: float) -> None:
    """Each attempt is a mint."""
    assert hold_off(failure(FailureKind.UNUSABLE, attempts), 75.0, 0.0) == hold


@pytest.mark.parametrize(("renews_in", "hold"), [(None, 0.0), (0.0, 0.0), (30.0, 30.0), (60.0, 60.0), (86400.0, 60.0)])
def test_the_clients_own_budget_is_checked_every_minute(renews_in: float | None, hold: float) -> None:
    """Until it renews, but a minute at most: an operator may raise it before."""
    assert hold_off(failure(FailureKind.BUDGET, 7, renews_in), 75.0, 1.0) == hold
