"""What a call gets in each state of the held token: fresh, stale, expiring, expired."""

from __future__ import annotations

import pytest
from engine_support import OUTAGE, ScriptedServer, kinds, settle, source_on

from m2m_auth import RenewalPolicy, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.runtime.clock import Clock
from m2m_auth.testing import FakeClock


class Seeded(FakeClock):
    """A clock whose jitter is drawn by the test."""

    draw = 0.0

    def uniform(self) -> float:
        """The draw."""
        return self.draw


@pytest.fixture
def clock() -> Seeded:
    """A fake clock with a jitter of 0."""
    return Seeded()


def test_fresh_until_the_window_begins(clock: Seeded) -> None:
    """Until E-W a call gets the held token and no flight starts; the first call after it starts one."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    clock.advance(74.9)
    assert source.token() is first
    settle(source)
    assert len(server.requests) == 1
    clock.advance(0.2)
    assert source.token() is first, "stale: the held token at once"
    settle(source)
    assert source.token() != first
    assert len(server.minted) == 2


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_jitter_goes_late_into_the_window(clock: Seeded, draw: float) -> None:
    """Renewal starts at E-W+J with J = draw x W/2: half of the window is kept for retries."""
    clock.draw = draw
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    source.token()
    clock.advance(75 + 12.5 * draw - 0.1)
    source.token()
    settle(source)
    assert len(server.requests) == 1
    clock.advance(0.2)
    source.token()
    settle(source)
    assert len(server.minted) == 2


def test_a_stale_call_never_waits(clock: Seeded) -> None:
    """While stale the token request may hang: calls get the held token at once, and start no second flight."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    server.gate.clear()
    clock.advance(80)
    for _ in range(50):
        assert source.token() is first
    server.gate.set()
    settle(source)
    assert len(server.requests) == 2


def test_an_expiring_call_waits_for_a_young_flight(clock: Seeded) -> None:
    """From E-M a call waits for the flight that it starts, and gets the new token."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    clock.advance(95)
    assert source.token() != first


def test_an_expiring_call_does_not_wait_for_an_old_flight(clock: Seeded) -> None:
    """A flight older than 2 s is not waited for: the held token is still good."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    server.gate.clear()
    clock.advance(88)
    source.token()
    clock.advance(5)
    assert source.token() is first
    server.gate.set()
    settle(source)


def test_an_expiring_call_does_not_wait_after_a_failure(clock: Seeded) -> None:
    """After a failed attempt the held token is given at once until the next one is due."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    server.down = OUTAGE
    clock.advance(91)
    assert source.token() is first
    requests = len(server.requests)
    assert [source.token() for _ in range(20)] == [first] * 20
    assert len(server.requests) == requests


def test_expired_waits_then_fails_from_the_record(clock: Seeded) -> None:
    """From E a call waits for a flight; while the outage is recorded, calls fail at once with its cause."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    source.token()
    server.down = OUTAGE
    clock.advance(101)
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    requests = len(server.requests)
    for _ in range(20):
        with pytest.raises(TokenUnavailable) as again:
            source.token()
    assert len(server.requests) == requests
    assert caught.value.cause_code == again.value.cause_code == "connection"
    assert caught.value is not again.value, "each caller has an error of its own"
    assert 0 < (again.value.retry_after or 0) <= 10


def test_max_wait_ends_a_callers_patience_not_the_flight() -> None:
    """A caller gives up after max_wait; the flight goes on, and its token is there for the next call."""
    server = ScriptedServer()
    source = source_on(server, Clock(), policy=RenewalPolicy(max_wait=0.05))
    server.gate.clear()
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert caught.value.cause_code == "max_wait"
    server.gate.set()
    settle(source)
    assert source.token().value == server.minted[0]
    assert len(server.requests) == 1


def test_an_idle_token_is_not_renewed(clock: Seeded) -> None:
    """Without a call no flight starts, however old the token gets."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    source.token()
    clock.advance(10_000)
    settle(source)
    assert len(server.requests) == 1


@pytest.mark.parametrize("lifetime", [2, 5, 50, 3600, 86400])
def test_every_lifetime_lives(clock: Seeded, lifetime: float) -> None:
    """Tokens of 2 s to 24 h serve ten lifetimes of steady calls with less than 1.5 mints per lifetime, none expired."""
    server = ScriptedServer(lifetime=lifetime)
    source = source_on(server, clock)
    for _ in range(200):
        token = source.token()
        assert token.expires_at > clock.wall()
        settle(source)
        clock.advance(lifetime / 20)
    assert 10 <= len(server.minted) <= 15


def test_a_suspended_machine_renews_before_use(clock: Seeded) -> None:
    """The wall clock jumped past the token's end while the monotonic one stood still: it is not used again."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    clock.suspend(200)
    assert source.token() != first
    assert len(server.minted) == 2


def test_a_wall_clock_set_back_prolongs_nothing(clock: Seeded) -> None:
    """Half an hour gained by setting the clock back is not used: the monotonic clock still counts."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    clock.jump_wall(-1800)
    clock.advance(101)
    assert source.token() != first


def test_the_same_token_again_is_no_renewal(clock: Seeded) -> None:
    """A server that gives back the same token is asked again at E-M and at E, never in a loop."""
    events: list[Event] = []
    server = ScriptedServer(lifetime=100)
    server.extra["access_token"] = "always-the-same"
    source = source_on(server, clock, events)
    source.token()
    asked = []
    for _ in range(199):
        clock.advance(0.5)
        before = len(server.requests)
        source.token()
        settle(source)
        if len(server.requests) > before:
            asked.append(round(clock.monotonic() - 1000))
    assert asked == [75, 90]
    assert kinds(events).count("renewal_noop") == 2
    clock.advance(1)
    source.token()
    assert len(server.requests) == 4


def test_a_token_that_ends_earlier_is_not_taken(clock: Seeded) -> None:
    """A renewal that does not expire later keeps the held token."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    server.lifetime = 10
    clock.advance(76)
    source.token()
    settle(source)
    assert source.token() is first


def test_renew_is_forced_and_single(clock: Seeded) -> None:
    """renew() mints though the token is fresh; a failed one raises and keeps the held token."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    clock.advance(1)
    second = source.renew()
    assert second != first
    assert source.token() is second
    server.down = OUTAGE
    with pytest.raises(TokenUnavailable):
        source.renew()
    assert source.token() is second
