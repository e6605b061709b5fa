"""The life cycle's edges, each with the smallest unit of time on either side (BEHAVIOUR §1)."""

from __future__ import annotations

import itertools
import math

import pytest

from m2m_auth.lifecycle.decision import Action, Decision, Pause, decide
from m2m_auth.lifecycle.failure import Failure, FailureKind
from m2m_auth.lifecycle.policy import RenewalPolicy
from m2m_auth.lifecycle.schedule import Schedule, schedule, state_at

POLICY = RenewalPolicy()
START = 1_000.0
LIFETIMES = [2.0, 5.0, 300.0, 3600.0, 86400.0]
DOWN = Failure(FailureKind.UNAVAILABLE, "TokenEndpointUnavailable", "down", "timeout")


def before(time: float) -> float:
    """The last instant before ``time`` that a clock can show."""
    return math.nextafter(time, -math.inf)


@pytest.mark.parametrize(
    ("lifetime", "lead", "margin"),
    [
        (2.0, 0.5, 0.2),
        (5.0, 1.25, 0.5),
        (300.0, 75.0, 30.0),
        (3600.0, 900.0, 60.0),
        (86400.0, 3600.0, 60.0),
    ],
)
def test_edges_of_each_lifetime(lifetime: float, lead: float, margin: float) -> None:
    """W = min(L/4, 3600), M = min(L/10, 60), and the jitter's full draw is W/2, late in the window."""
    first = schedule(START, lifetime, POLICY, 0.0)
    last = schedule(START, lifetime, POLICY, 1.0)
    end = START + lifetime
    assert POLICY.lead(lifetime) == lead
    assert first == pytest.approx((end - lead, end - margin, end))
    assert last == pytest.approx((end - lead + lead / 2, end - margin, end))


@pytest.mark.parametrize("lifetime", LIFETIMES)
@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_state_around_each_edge(lifetime: float, fraction: float) -> None:
    """Each edge belongs to the later state; the instant before it to the earlier one."""
    edges = schedule(START, lifetime, POLICY, fraction)
    names = ["fresh", "stale", "expiring", "expired"]
    assert state_at(edges, START) == "fresh"
    for edge, (earlier, later) in zip(edges, itertools.pairwise(names), strict=True):
        assert (state_at(edges, before(edge)), state_at(edges, edge)) == (earlier, later)


def test_no_token_is_its_own_state() -> None:
    """Without a token there is nothing that could be fresh or expired."""
    assert state_at(None, START) == "none"


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_decisions_around_each_edge(lifetime: float) -> None:
    """With nothing in the way: use, renew in the background, wait a little, need."""
    edges = schedule(START, lifetime, POLICY, 0.5)
    wait = Action.WAIT
    table = [
        (START, Action.USE),
        (before(edges.renew_at), Action.USE),
        (edges.renew_at, Action.RENEW),
        (before(edges.expiring_at), Action.RENEW),
        (edges.expiring_at, wait),
        (before(edges.expires_at), wait),
        (edges.expires_at, Action.NEED),
        (edges.expires_at + 1e6, Action.NEED),
    ]
    found = [(now, decide(edges, now, POLICY, None, None).action) for now, _ in table]
    assert found == table


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_decisions_while_a_flight_runs(lifetime: float) -> None:
    """One flight is enough: nobody starts another, and only those who must wait do."""
    edges = schedule(START, lifetime, POLICY, 0.5)
    table = [
        (edges.renew_at, Action.USE),
        (before(edges.expiring_at), Action.USE),
        (edges.expiring_at, Action.WAIT),
        (before(edges.expires_at), Action.WAIT),
        (edges.expires_at, Action.NEED),
    ]
    assert [(now, decide(edges, now, POLICY, None, now).action) for now, _ in table] == table


def test_an_expiring_token_waits_until_the_flight_is_2_s_old() -> None:
    """The wait counts from the flight's start, not from the caller's: an old flight delays nobody."""
    edges = Schedule(75.0, 90.0, 100.0)
    flight = 91.0
    assert decide(edges, 91.0, POLICY, None, flight) == Decision(Action.WAIT, 93.0)
    assert decide(edges, before(93.0), POLICY, None, flight) == Decision(Action.WAIT, 93.0)
    assert decide(edges, 93.0, POLICY, None, flight).action is Action.USE
    assert decide(edges, 99.9, POLICY, None, flight).action is Action.USE
    assert decide(edges, 94.0, POLICY, None, None) == Decision(Action.WAIT, 96.0), "a new flight starts now"


@pytest.mark.parametrize("failure", [None, DOWN])
def test_a_pause_keeps_a_good_token_in_use_until_it_lapses(failure: Failure | None) -> None:
    """While paused, stale and expiring tokens are just used; from the pause's end on, renewed again."""
    edges = Schedule(75.0, 90.0, 100.0)
    for now, after in [(80.0, Action.RENEW), (95.0, Action.WAIT)]:
        pause = Pause(now + 1, failure)
        assert decide(edges, now, POLICY, pause, None).action is Action.USE
        assert decide(edges, before(now + 1), POLICY, pause, None).action is Action.USE
        assert decide(edges, now + 1, POLICY, pause, None).action is after


@pytest.mark.parametrize("edges", [None, Schedule(1.0, 2.0, 3.0)])
def test_without_a_usable_token_a_recorded_failure_fails_fast(edges: Schedule | None) -> None:
    """Expired or none: the failure is raised until the next attempt is due, unless a flight is under way."""
    pause = Pause(20.0, DOWN)
    assert decide(edges, 10.0, POLICY, pause, None).action is Action.FAIL
    assert decide(edges, before(20.0), POLICY, pause, None).action is Action.FAIL
    assert decide(edges, 20.0, POLICY, pause, None).action is Action.NEED
    assert decide(edges, 10.0, POLICY, pause, 9.0).action is Action.NEED, "the flight may bring a token"


def test_a_pause_without_a_failure_never_fails_a_call() -> None:
    """A lease that another process holds is a pause, too: whoever has no token still asks."""
    assert decide(None, 10.0, POLICY, Pause(20.0), None).action is Action.NEED
