"""Rules that hold for every token, time, policy and draw."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.lifecycle.decision import Action, Pause, decide
from m2m_auth.lifecycle.failure import Failure, FailureKind, hold_off
from m2m_auth.lifecycle.policy import RenewalPolicy
from m2m_auth.lifecycle.schedule import Schedule, schedule, state_at

FRACTIONS = st.floats(0.0, 1.0)
LIFETIMES = st.floats(0.1, 86400.0)
STARTS = st.floats(0.0, 4e9)


@st.composite
def policies(draw: st.DrawFn) -> RenewalPolicy:
    """Valid policies, with caps that keep the margin inside the window."""
    window = draw(st.floats(0.02, 0.9))
    margin = draw(st.floats(0.01, 0.99)) * window
    cap = draw(st.floats(1.0, 7200.0))
    jitter = draw(st.floats(0.0, 0.5))
    return RenewalPolicy(window=window, margin=margin, window_cap=cap, margin_cap=cap * margin, jitter=jitter)


TIMELINES = st.builds(schedule, STARTS, LIFETIMES, policies(), FRACTIONS)
KINDS = st.sampled_from(FailureKind)
RETRY = st.none() | st.floats(0.0, 3600.0)


@st.composite
def failures(draw: st.DrawFn) -> Failure:
    """Any failure after any number of attempts."""
    attempts = draw(st.integers(1, 10_000))
    return Failure(draw(KINDS), "TokenEndpointUnavailable", "x", "x", draw(RETRY), attempts)


@settings(max_examples=200, deadline=None)
@given(STARTS, LIFETIMES, policies(), FRACTIONS)
def test_edges_are_ordered(start: float, lifetime: float, policy: RenewalPolicy, fraction: float) -> None:
    """Renew, then expiring, then the end: in this order for any policy and any jitter."""
    edges = schedule(start, lifetime, policy, fraction)
    assert edges.renew_at <= edges.expiring_at <= edges.expires_at == start + lifetime


@settings(max_examples=200, deadline=None)
@given(LIFETIMES, policies(), FRACTIONS)
def test_jitter_goes_late_and_leaves_half_the_window(lifetime: float, policy: RenewalPolicy, fraction: float) -> None:
    """The draw never starts a renewal before E-W, and never later than half of the window."""
    edges = schedule(0.0, lifetime, policy, fraction)
    lead, rounding = policy.lead(lifetime), lifetime * 1e-9
    margin = edges.expires_at - edges.expiring_at
    assert edges.renew_at >= lifetime - max(lead, margin) - rounding
    assert edges.renew_at <= lifetime - min(lead, margin) + rounding
    assert edges.renew_at <= lifetime - lead / 2 + rounding or margin > lead / 2


@settings(max_examples=200, deadline=None)
@given(
    st.none() | TIMELINES,
    st.floats(-10.0, 5e9),
    st.none() | st.builds(Pause, st.floats(0.0, 5e9), st.none() | failures()),
    st.none() | st.floats(0.0, 5e9),
)
def test_a_used_token_is_never_expired(
    edges: Schedule | None, now: float, pause: Pause | None, flight: float | None
) -> None:
    """USE, RENEW and WAIT end with the held token, so it is good; FAIL has a reason."""
    action = decide(edges, now, RenewalPolicy(), pause, flight).action
    if action in (Action.USE, Action.RENEW, Action.WAIT):
        assert edges is not None
        assert now < edges.expires_at
        assert state_at(edges, now) in ("fresh", "stale", "expiring")
    else:
        assert state_at(edges, now) in ("none", "expired")
    if action is Action.FAIL:
        assert pause is not None
        assert pause.failure is not None
        assert now < pause.until


@settings(max_examples=200, deadline=None)
@given(TIMELINES, st.floats(0.0, 1.5), st.none() | st.floats(0.0, 5e9))
def test_a_wait_is_short_and_for_a_good_token_only(edges: Schedule, share: float, flight: float | None) -> None:
    """A caller with a good token waits until the flight is 2 s old at most, or M/4 if that is shorter."""
    now = edges.renew_at + share * (edges.expires_at - edges.renew_at)
    decision = decide(edges, now, RenewalPolicy(), None, flight)
    if decision.action is Action.WAIT:
        assert edges.expiring_at <= now < edges.expires_at
        patience = min(2.0, (edges.expires_at - edges.expiring_at) / 4)
        assert now < decision.until == (now if flight is None else flight) + patience


@settings(max_examples=200, deadline=None)
@given(failures(), st.floats(0.0, 3600.0), FRACTIONS)
def test_hold_off_keeps_to_its_bounds(failure: Failure, lead: float, fraction: float) -> None:
    """Each kind of failure has a longest and a shortest time."""
    hold = hold_off(failure, lead, fraction)
    if failure.kind is FailureKind.BUDGET:
        assert hold == min(failure.retry_after or 0.0, 60.0)
        return
    asked = min(failure.retry_after or 0.0, 3600.0)
    shortest, longest = {
        FailureKind.CREDENTIALS: (30.0, 300.0),
        FailureKind.CONFIGURATION: (60.0, 60.0),
        FailureKind.UNUSABLE: (60.0, 3600.0),
        FailureKind.TIMEOUT: (0.5, 300.0),
    }.get(failure.kind, (0.5, min(max(lead / 10, 1.0), 60.0)))
    assert max(shortest, asked) <= hold <= max(longest, asked + 5.0)


@settings(max_examples=100, deadline=None)
@given(KINDS, st.integers(1, 50), st.floats(0.0, 3600.0), FRACTIONS)
def test_another_failure_never_shortens_the_hold(
    kind: FailureKind, attempts: int, lead: float, fraction: float
) -> None:
    """Backoff only grows with the attempts in a row."""
    first = Failure(kind, "TokenEndpointUnavailable", "x", "x", None, attempts)
    second = first._replace(attempts=attempts + 1)
    assert hold_off(first, lead, fraction) <= hold_off(second, lead, fraction)
