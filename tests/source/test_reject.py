"""reject() and renew(): only the refused token is dropped, one mint replaces it, and no API uses up the quota."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_steps import ClockedStore, at_once, land, source

from m2m_auth import AccessToken, TokenSource
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.errors import TokenEndpointUnavailable
from m2m_auth.events import Event
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


@pytest.fixture
def events() -> list[Event]:
    """The source's events."""
    return []


@pytest.fixture
def it(timed_server: FakeAuthorizationServer, clock: FakeClock, events: list[Event]) -> TokenSource:
    """A source on the fake clock."""
    return source(timed_server, clock=clock, on_event=events.append)


def old_token(it: TokenSource, clock: FakeClock) -> AccessToken:
    """A token that is old enough to be refused for good reason."""
    token = it.token()
    clock.advance(10)
    return token


def pair(server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path) -> list[TokenSource]:
    """Two sources on one folder, each with a token state of its own: to the engine, two processes."""
    return [source(server, clock=clock, cache=DiskTokenCache(tmp_path / "cache")) for _ in range(2)]


def test_a_rejected_token_is_replaced_once(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock, events: list[Event]
) -> None:
    """16 calls that were refused together: one mint, for the reason "rejected"."""
    first = old_token(it, clock)

    def refused() -> AccessToken:
        it.reject(first)
        return it.token()

    second = set(at_once(16, refused))
    assert len(second) == 1
    assert first not in second
    assert timed_server.token_requests == 2
    assert [event.reason for event in events if event.kind == "minted"] == ["cold", "rejected"]


def test_another_token_is_not_touched(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock, events: list[Event]
) -> None:
    """Compare first: rejecting the predecessor, or another source's token, does nothing."""
    first = old_token(it, clock)
    other = source(timed_server, clock=clock, audience="other").token()
    it.reject(other)
    assert it.token() == first
    it.reject(first)
    second = it.token()
    clock.advance(10)
    it.reject(first)
    assert it.token() == second
    assert timed_server.token_requests == 3
    assert [event.kind for event in events].count("rejected") == 1


def test_a_second_refusal_causes_no_mint_and_a_ban_that_doubles(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock, events: list[Event]
) -> None:
    """An API that refuses every new token: 2 mints, then 60 s without a forced mint, 120, 240, 480 s, to 4 h."""
    bans: list[float] = []
    it.reject(it.token())
    for _ in range(5):
        token = it.token()
        it.reject(token)
        for _ in range(3):
            assert it.token() == token
            it.reject(token)
        bans.append(next(event.holds for event in reversed(events) if event.kind == "forced_mint_ban"))
        clock.advance(bans[-1] - 1)
        it.reject(token)
        assert it.token() == token, "the ban is not over yet"
        clock.advance(2)
        it.reject(token)
    assert bans == [60, 120, 240, 480, 960]
    assert timed_server.token_requests == 6


def test_a_row_of_bans_ends(it: TokenSource, clock: FakeClock, events: list[Event]) -> None:
    """More than four hours after the last one the next ban on forced mints is 60 s again."""
    for _ in range(2):
        it.reject(it.token())
        it.reject(it.token())
        clock.advance(20_000)
    assert [event.holds for event in events if event.kind == "forced_mint_ban"] == [60, 60]


def test_the_ban_is_shared(timed_server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path) -> None:
    """One process sees new tokens refused: the others make no forced mint either; their calls get the held token."""
    one, two = pair(timed_server, clock, tmp_path)
    one.reject(one.token())
    token = one.token()
    assert two.token() == token
    one.reject(token)
    land(one)
    clock.advance(10)
    two.reject(token)
    assert two.token() == token
    assert timed_server.token_requests == 2
    clock.advance(60)
    two.reject(token)
    assert two.token() != token
    assert timed_server.token_requests == 3


def test_a_tombstone_is_shared(timed_server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path) -> None:
    """Two processes whose calls are refused: the second takes the first one's new token, and mints nothing."""
    one, two = pair(timed_server, clock, tmp_path)
    first = old_token(one, clock)
    assert two.token() == first
    one.reject(first)
    second = one.token()
    two.reject(first)
    assert two.token() == second
    assert timed_server.token_requests == 2


def test_a_tombstone_outlives_a_failed_mint(
    timed_server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path
) -> None:
    """Processes that start during the outage do not use the refused token, and it does not come back after it."""
    one, two = pair(timed_server, clock, tmp_path)
    first = old_token(one, clock)
    one.reject(first)
    timed_server.fail("500")
    for it in (one, two):
        with pytest.raises(TokenEndpointUnavailable):
            it.token()
    timed_server.recover()
    clock.advance(100)
    second = two.token()
    assert second != first
    assert one.token() == second
    assert timed_server.token_requests == 3


def test_the_rejected_token_again(timed_server: FakeAuthorizationServer, clock: FakeClock, tmp_path: Path) -> None:
    """A server that gives the refused token back: calls get it again, one attempt is made, and the ban holds."""
    timed_server.same_token = True
    for it in (source(timed_server, clock=clock), *pair(timed_server, clock, tmp_path)):
        first, before = old_token(it, clock), timed_server.token_requests
        for _ in range(20):
            it.reject(first)
            assert it.token() == first
        assert timed_server.token_requests <= before + 1


def test_renew_is_a_forced_mint(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock, events: list[Event]
) -> None:
    """renew() mints though the token is fresh; 16 callers at once share it."""
    first = it.token()
    timed_server.latency = 0.3
    renewed = set(at_once(16, it.renew))
    assert len(renewed) == 1
    assert renewed != {first}
    assert it.token() in renewed
    assert timed_server.token_requests == 2
    assert [event.reason for event in events if event.kind == "minted"] == ["cold", "forced"]


def test_renew_is_shared(timed_server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """Another process takes the renewed token when its own is due, or when it starts."""
    store = ClockedStore(clock.monotonic)
    one, two, three = (source(timed_server, clock=clock, cache=store.beside()) for _ in range(3))
    first = one.token()
    assert two.token() == first
    clock.advance(100)
    second = one.renew()
    assert three.token() == second
    clock.advance(2650)
    assert two.token() == first
    land(two)
    assert two.token() == second
    assert timed_server.token_requests == 2


def test_a_failed_renew_keeps_the_token(it: TokenSource, timed_server: FakeAuthorizationServer) -> None:
    """renew() raises for its caller; all other calls get the held token."""
    first = it.token()
    timed_server.fail("503")
    with pytest.raises(TokenEndpointUnavailable) as caught:
        it.renew()
    assert caught.value.cause_code == "http_503"
    assert it.token() == first


@pytest.mark.parametrize("lifetime", [100, 300, 3600])
def test_the_same_token_again_is_no_loop(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock, lifetime: float
) -> None:
    """A server that does not renew early is asked at E-W, at E-M and at E, however many calls there are."""
    timed_server.same_token, timed_server.lifetime = True, lifetime
    first, start = it.token(), clock.monotonic()
    while clock.monotonic() < start + lifetime - 2:
        assert it.token() == first
        clock.advance(lifetime / 200)
        land(it)
    assert timed_server.token_requests <= 4


def test_a_token_that_ends_earlier_is_not_taken(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """A renewal that brings a shorter token: the longer one is kept, and the server is not asked again at once."""
    first = it.token()
    timed_server.lifetime = 60
    clock.advance(2750)
    for _ in range(100):
        assert it.token() == first
        land(it)
        clock.advance(1)
    assert timed_server.token_requests == 2


def test_revocations_days_apart_without_any_report_of_success(
    it: TokenSource, timed_server: FakeAuthorizationServer, clock: FakeClock, events: list[Event]
) -> None:
    """An SDK that calls reject() after each 401, and never says that a token works: no ban, at any age of the token."""
    timed_server.lifetime = 86_400
    it.reject(it.token())
    for age in (600, 5, 60_000, 8_000):
        for _ in range(3):
            clock.advance(70_000)
            it.token()
            land(it)
        clock.advance(age)
        token, before = it.token(), timed_server.token_requests
        it.reject(token)
        assert it.token() != token
        assert timed_server.token_requests == before + 1
    assert "forced_mint_ban" not in [event.kind for event in events]
