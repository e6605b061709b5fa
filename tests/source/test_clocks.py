"""Clocks that disagree, jump or stood still."""

from __future__ import annotations

import time

import pytest
from engine_steps import ClockedStore, land, source

from m2m_auth import TokenSource
from m2m_auth.events import Event
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


def hosts(server: FakeAuthorizationServer, *clocks: FakeClock) -> list[TokenSource]:
    """One source per clock, on one shared cache that uses the first one's monotonic clock."""
    store = ClockedStore(clocks[0].monotonic)
    return [source(server, clock=clock, cache=store.beside()) for clock in clocks]


def other_clock(clock: FakeClock, skew: float) -> FakeClock:
    """Another host's clock: another start of the monotonic clock, and a wall clock that is wrong."""
    other = FakeClock(wall=clock.wall() + skew, monotonic=77_000.0)
    other.uniform = clock.uniform
    return other


@pytest.mark.parametrize("skew", [-300, -30, 0, 30, 300])
@pytest.mark.parametrize("lifetime", [3600, 86_400])  # of shorter ones the protocol cannot tell the age: no TTL in get
def test_skewed_hosts_always_have_a_good_token(
    timed_server: FakeAuthorizationServer, clock: FakeClock, skew: float, lifetime: float
) -> None:
    """Two hosts, one of them with a wrong wall clock, through four lifetimes: no call has a dead token."""
    timed_server.lifetime = lifetime
    other = other_clock(clock, skew)
    both = hosts(timed_server, clock, other)
    for _ in range(400):
        for it in both:
            assert timed_server.is_active(it.token().value)
            land(it)
        clock.advance(lifetime / 100)
        other.advance(lifetime / 100)
    # Four lifetimes of which the last quarter is for renewals; a host with a skewed clock may mint its own.
    assert timed_server.token_requests <= (6 if skew == 0 else 12)


@pytest.mark.parametrize("skew", [-300, 300])
def test_a_skewed_clock_changes_nothing_inside_a_process(
    timed_server: FakeAuthorizationServer, clock: FakeClock, skew: float
) -> None:
    """Without a shared cache a wall clock that was wrong from the start has no effect on the schedule."""
    wrong = other_clock(clock, skew)
    it = source(timed_server, clock=wrong)
    first = it.token()
    for clocks in (clock, wrong):
        clocks.advance(2699)
    assert it.token() == first
    land(it)
    assert timed_server.token_requests == 1


def test_a_token_from_the_future_is_reported(timed_server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A host whose clock is behind sees a token minted in its future: it uses it, and says so."""
    events: list[Event] = []
    store = ClockedStore(clock.monotonic)
    token = source(timed_server, clock=clock, cache=store).token()
    behind = other_clock(clock, -300)
    it = source(timed_server, clock=behind, cache=store.beside(), on_event=events.append)
    assert it.token() == token
    assert timed_server.token_requests == 1
    (skew,) = (event for event in events if event.kind == "clock_skew")
    assert 299 < skew.seconds <= 301


@pytest.mark.parametrize("how", ["suspend", "jump_wall"])
@pytest.mark.parametrize("seconds", [2800, 3700, 100_000])
def test_a_suspended_machine_renews_before_use(
    timed_server: FakeAuthorizationServer, clock: FakeClock, how: str, seconds: float
) -> None:
    """The monotonic clock stood still while the wall clock went on: the smaller remainder wins."""
    it = source(timed_server, clock=clock)
    first = it.token()
    getattr(clock, how)(seconds)
    second = it.token()
    land(it)
    assert (second == first) == (seconds < 3600)
    assert it.token() != first
    assert timed_server.is_active(it.token().value)
    assert timed_server.token_requests == 2


def test_a_wall_clock_that_is_set_back_does_not_prolong(
    timed_server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """A day back: the token ends when its lifetime is over, by the monotonic clock."""
    it = source(timed_server, clock=clock)
    first = it.token()
    clock.jump_wall(-86_400)
    clock.advance(3600)
    assert it.token() != first
    assert timed_server.token_requests == 2


def test_after_a_jump_the_next_token_has_its_whole_life(
    timed_server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """A clock that was set once costs one renewal, not one for each later call."""
    it = source(timed_server, clock=clock)
    it.token()
    clock.jump_wall(3000)
    for _ in range(200):
        it.token()
        land(it)
        clock.advance(10)
    assert timed_server.token_requests == 2


def test_tools_that_replace_the_clocks_work_on_a_source_that_exists(
    server: FakeAuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """freezegun and time-machine replace attributes of ``time``: each read goes through them, on the hot path too."""
    it = source(server)
    first = it.token()
    monotonic, wall = time.monotonic, time.time
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 3601)
    second = it.token()
    assert second != first
    assert it.token() == second
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 3602)
    monkeypatch.setattr(time, "time", lambda: wall() + 2 * 3600)
    assert it.token() not in (first, second)
    assert server.token_requests == 3
