"""Two Valkey servers, and a fail-over to the one that lacks the last writes: no failed call, one extra mint at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis
from cache_fault_world import KINDS, QUICK, World, land, world_of
from real_servers.fault_proxy import FaultProxy
from real_servers.stores import Store, start_valkey

from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.shared_cache.circuit_breaker import OPEN_FOR

pytestmark = pytest.mark.processes

REDIS = KINDS["redis"]


class Pair:
    """A primary, and a replica that follows it through a link that a test may cut."""

    def __init__(self, primary: Store, replica: Store, link: FaultProxy) -> None:
        self.primary, self.replica, self.link = primary, replica, link
        with closing(client_of(primary)) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with closing(client_of(replica)) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", link.port)

    def keys(self, store: Store, kind: str = "?") -> dict[bytes, bytes]:
        """What a server holds: ``t`` tokens, ``l`` leases."""
        with closing(client_of(store)) as client:
            return {key: client.get(key) for key in client.keys(f"m2m1.{kind}.*")}

    def in_step(self) -> None:
        """Waits until the replica holds all that the primary holds, and more than nothing."""
        until = time.monotonic() + 30
        while not self.keys(self.replica) or self.keys(self.replica) != self.keys(self.primary):
            assert time.monotonic() < until, "the replica did not follow"
            time.sleep(0.02)

    def fail_over(self, clients: FaultProxy) -> None:
        """The primary dies, the replica is promoted, and clients are directed to it."""
        self.primary.stop()
        with closing(client_of(self.replica)) as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        clients.point_at(self.replica.port)


def client_of(store: Store) -> redis.Redis:
    """redis-py's own client."""
    return redis.Redis(port=store.port)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The two servers."""
    with start_valkey() as primary, start_valkey() as replica, FaultProxy(primary.port) as link:
        yield Pair(primary, replica, link)


@pytest.fixture
def world(pair: Pair) -> Iterator[World]:
    """The primary, behind the clients' own proxy."""
    with world_of(REDIS, pair.primary) as made:
        yield made


def test_the_newest_token_is_lost(world: World, pair: Pair) -> None:
    """The renewed token is on the dead primary only: its holders keep it, the others renew the one before, once."""
    holder = world.source(world.connected_cache())
    first = world.token(holder)
    pair.in_step()
    pair.link.black_hole()
    world.clock.advance(2750)
    world.token(holder)
    land(holder)
    second = world.token(holder)
    assert second != first
    assert pair.keys(pair.primary, "t") != pair.keys(pair.replica, "t")
    pair.fail_over(world.proxy)
    assert world.token(holder) == second
    others = [world.source() for _ in range(3)]
    for _ in range(2):
        for source in others:
            assert world.token(source) in (first, second) or world.server.mints == 3
            land(source)
        world.clock.advance(1)
    assert len({world.token(source).value for source in others}) == 1
    assert world.server.mints == 3, "one extra mint"
    world.clock.advance(2800)  # and from there on all go together
    for _ in range(3):
        for source in (holder, *others):
            world.token(source)
            land(source)
        world.clock.advance(OPEN_FOR)
    assert len({world.token(source).value for source in (holder, *others)}) == 1
    assert world.server.mints == 4


def test_the_first_token_is_lost(world: World, pair: Pair) -> None:
    """The replica never received a token: the first process mints, the others find its token."""
    pair.link.black_hole()
    holder = world.source(world.connected_cache())
    first = world.token(holder)
    pair.fail_over(world.proxy)
    tokens = {world.token(world.source()).value for _ in range(3)}
    assert len(tokens) == 1
    assert world.token(holder) == first
    assert world.server.mints == 2


def test_the_lease_is_lost_during_the_mint(world: World, pair: Pair) -> None:
    """The holder mints while another server gives its lease away: two mints, both calls served, nothing raised."""
    asked, answered = threading.Event(), threading.Event()

    def gate(request: HttpRequest) -> HttpResponse:
        asked.set()
        assert answered.wait(60)
        return wire(request)

    wire = as_transport(None)
    holder = world.source(world.connected_cache(), transport=gate)
    pair.link.black_hole()
    with ThreadPoolExecutor(1) as pool:
        minting = pool.submit(holder.token)
        assert asked.wait(60)
        assert pair.keys(pair.primary, "l")
        pair.fail_over(world.proxy)
        assert not pair.keys(pair.replica, "l")
        other = world.token(world.source())
        answered.set()
        token = minting.result(60)
    assert world.server.is_active(token.value)
    assert world.token(world.source()) in (token, other)
    assert world.server.mints == 2


def test_the_lease_of_a_dead_holder_outlives_the_fail_over(world: World, pair: Pair) -> None:
    """The replica has a lease whose holder's token it lacks: the next caller waits for it, and mints once."""
    with closing(client_of(pair.primary)) as client:
        world.token(world.source())
        (name,) = pair.keys(pair.primary, "t")
        client.flushall()
        client.set(name.replace(b".t.", b".l."), b"died", px=2000)
    pair.in_step()
    pair.fail_over(world.proxy)
    before = world.clock.monotonic()
    tokens = {world.source(policy=QUICK).token().value for _ in range(2)}
    assert world.clock.monotonic() - before < QUICK.lease + 1
    assert len(tokens) == 1
    assert world.server.mints == 2


def test_a_primary_that_became_a_replica(world: World, pair: Pair) -> None:
    """Clients stay on a server that has become read-only: writes and leases fail, calls do not."""
    source = world.source(world.connected_cache())
    token = world.token(source)
    with closing(client_of(pair.primary)) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", pair.replica.port)
    world.clock.advance(2750)
    assert world.token(source) == token
    land(source)
    world.clock.advance(900)
    assert world.token(source) != token
    reasons = {event.reason for event in world.events if event.kind == "cache_fault"}
    assert any("read" in reason.lower() for reason in reasons), reasons
    assert world.server.mints == 2
