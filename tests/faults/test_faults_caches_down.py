"""Real caches whose network fails in eight ways: no call fails, none waits long, and then the cache is used again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
import requests
from cache_fault_world import BOUND, FAULTS, KINDS, Kind, World, land, store_of, world_of
from real_servers.stores import Store

from m2m_auth.requests import M2MAuth
from m2m_auth.shared_cache.circuit_breaker import OPEN_FOR


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Redis, memcached and DynamoDB, one after the other."""
    return KINDS[request.param]


@pytest.fixture(scope="module")
def store(kind: Kind) -> Iterator[Store]:
    """The running server."""
    with store_of(kind) as running:
        yield running


@pytest.fixture
def world(kind: Kind, store: Store) -> Iterator[World]:
    """The server behind a proxy."""
    with world_of(kind, store) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cold_call_gets_its_token(world: World, fault: str) -> None:
    """With a connection that is open and with none: one mint each, and no call waits for the 5 s."""
    caches = world.connected_cache(0.2), world.cache(0.2)
    FAULTS[fault](world.proxy)
    tokens = {world.token(world.source(cache)).value for cache in caches}
    assert len(tokens) == world.server.mints == 2
    assert world.kinds("cache_fault") == ["cache_fault"] * 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_held_token_is_served_and_renewed(world: World, fault: str) -> None:
    """Fresh, stale, expiring and expired under the fault: there is a good token, renewed before its end."""
    source = world.source(world.cache(0.2))
    first = world.token(source)
    FAULTS[fault](world.proxy)
    assert world.token(source) == first
    world.clock.advance(2750)  # stale: a flight finds that the cache fails, and waits for half of what is left
    start = time.monotonic()
    assert world.token(source) == first
    land(source)
    assert time.monotonic() - start < BOUND
    world.clock.advance(400)
    assert world.token(source) == first
    land(source)
    second = world.token(source)
    assert second != first
    assert world.server.mints == 2
    world.clock.advance(3590)  # expiring
    world.token(source)
    land(source)
    world.clock.advance(4000)  # expired
    assert world.token(source) not in (first, second)
    assert set(world.kinds("cache_fault", "cache_recovered")) == {"cache_fault"}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_cache_is_used_again_within_one_breaker_period(world: World, fault: str) -> None:
    """After an outage during which it had a connection: one event, and another process takes the token from it."""
    source = world.source(world.connected_cache())
    FAULTS[fault](world.proxy)
    world.token(source)
    world.proxy.recover()
    world.clock.advance(OPEN_FOR)
    shared = source.renew()
    assert world.kinds("cache_fault", "cache_recovered") == ["cache_fault", "cache_recovered"]
    assert world.token(world.source()) == shared
    assert world.kinds("adopted") == ["adopted"]
    assert world.server.mints == 2


@pytest.mark.parametrize("fault", ["refuses", "swallows all"])
def test_a_dead_cache_is_left_alone_by_every_source(world: World, fault: str) -> None:
    """Fifty sources of one cache object: one of them meets the fault, the others do not use the cache."""
    cache = world.connected_cache(0.2)
    FAULTS[fault](world.proxy)
    start = time.monotonic()
    for number in range(50):
        world.token(world.source(cache, audience=f"https://api-{number}.example"))
    assert time.monotonic() - start < 10
    assert world.kinds("cache_fault") == ["cache_fault"]
    assert world.server.mints == 50


@pytest.mark.parametrize("fault", ["refuses", "replies after 5 s", "swallows all"])
def test_calls_through_requests(world: World, fault: str) -> None:
    """Through a session: its cache fails from the first call, or in the middle."""
    for source in (world.source(world.cache(0.2)), world.source(world.cache(0.2))):
        with requests.Session() as session:
            session.auth = M2MAuth.from_source(source)
            for moment in (0, 10, 2750, 3600):
                world.clock.advance(moment)
                start = time.monotonic()
                response = session.get(f"{world.server.base_url}/api/hello", timeout=10)
                assert response.status_code == 200
                assert time.monotonic() - start < BOUND
                land(source)
                FAULTS[fault](world.proxy)
    assert all(call.status == 200 for call in world.server.api_calls)
    assert world.server.mints <= 6


def test_the_log_has_a_line_per_change(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Half an hour each of refused, working, silent: one warning per outage and cause, not per call."""
    caplog.set_level(logging.INFO, "m2m_auth")
    world.server.lifetime = 300
    source = world.source(world.connected_cache(0.2))
    said: list[list[tuple[str, int]]] = []
    for change in (FAULTS["refuses"], lambda proxy: proxy.recover(), FAULTS["swallows all"]):
        change(world.proxy)
        caplog.clear()
        for _ in range(360):
            world.clock.advance(5)
            source.token()
            land(source)
        lines = [(line.getMessage(), line.levelno) for line in caplog.records]
        said.append([line for line in lines if "shared cache" in line[0]])
    reasons = {event.reason for event in world.events if event.kind == "cache_fault"}
    warnings = [line for line, level in said[0] + said[2] if level == logging.WARNING]
    assert [level for _, level in said[1]] == [logging.INFO]
    assert "works again" in said[1][0][0]
    assert len(world.kinds("cache_fault")) > 10
    assert len(warnings) == len(said[0]) + len(said[2]) <= 4
    assert len(warnings) == len(reasons), "each cause is one line per outage"
    assert "secret" not in caplog.text
