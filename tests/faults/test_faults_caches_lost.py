"""Real caches that forget, or that fail between two steps of a mint: at most one extra mint, and no failed call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cache_fault_world import FAULTS, KINDS, QUICK, Kind, World, land, make_ready, store_of, world_of
from real_servers.stores import Store

from m2m_auth import AccessToken
from m2m_auth.caches.protocol import Capabilities, TokenCache
from m2m_auth.shared_cache.circuit_breaker import OPEN_FOR

pytestmark = pytest.mark.processes

STEPS = (("get", 1), ("add", 1), ("get", 3), ("increment", 1), ("get", 4), ("set", 1), ("delete_if", 1))
"""An operation of a cold mint, and its number among those with the same name."""
STRIKES = [
    *(("refuses", step) for step in STEPS),
    *(("never replies", step) for step in STEPS if step[0] in ("add", "increment", "set", "delete_if")),
    *(("swallows all", step) for step in STEPS if step[0] in ("add", "set")),
]
"""A refused operation is not carried out; one without a reply is, unknown to the caller; a swallowed one is, later."""


class Striking:
    """A cache that calls back just before one of its operations."""

    def __init__(self, inner: TokenCache, operation: str, number: int, strike: Callable[[], None]) -> None:
        self._inner, self._operation, self._left, self._strike = inner, operation, number, strike

    @property
    def capabilities(self) -> Capabilities:
        """The inner cache's capabilities."""
        return self._inner.capabilities

    @property
    def struck(self) -> bool:
        """Whether the operation has come."""
        return self._left <= 0

    def get(self, key: str) -> bytes | None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._count("get")
        return self._inner.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._count("set")
        self._inner.set(key, value, ttl)

    def delete(self, key: str) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._inner.delete(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._count("add")
        return self._inner.add(key, value, ttl)

    def delete_if(self, key: str, value: bytes) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._count("delete_if")
        return self._inner.delete_if(key, value)

    def increment(self, key: str, ttl: float) -> int:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._count("increment")
        return self._inner.increment(key, ttl)

    def close(self) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._inner.close()

    def _count(self, operation: str) -> None:
        self._left -= operation == self._operation
        if self._left == 0 and operation == self._operation:
            self._strike()


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


@pytest.mark.parametrize(("fault", "step"), STRIKES, ids=[f"{fault}: {name} {n}" for fault, (name, n) in STRIKES])
def test_a_fault_between_two_steps_of_a_mint(world: World, fault: str, step: tuple[str, int]) -> None:
    """The call has its token. Whatever the cache holds then, even a lease, costs the next process one mint at most."""
    world.clock.uniform = lambda: 1.0  # polls every 150 ms
    cache = Striking(world.connected_cache(1.0), *step, lambda: FAULTS[fault](world.proxy))
    first = world.source(cache, policy=QUICK)
    token = world.token(first)
    assert cache.struck
    assert world.server.mints == 1
    world.proxy.recover()
    before = world.clock.monotonic()
    after = world.source(world.cache(5.0), policy=QUICK).token()
    longest = QUICK.lease + 2 * cache.capabilities.resolution
    assert world.clock.monotonic() - before < longest + 1, "waited longer than a lease"
    assert world.server.mints <= 2
    assert world.source(world.cache(5.0), policy=QUICK).token() == after
    assert world.token(first) == token
    assert world.server.mints <= 2


def test_a_server_that_was_killed_and_forgot_everything(world: World) -> None:
    """Two processes keep the token; the first of three new ones mints for all three. The renewal is one mint."""
    old = [world.source(world.connected_cache()) for _ in range(2)]
    first = {world.token(source).value for source in old}
    assert len(first) == world.server.mints == 1
    world.store.stop()
    assert {world.token(source).value for source in old} == first
    world.store.start()
    make_ready(world.kind, world.store)
    new = [world.source() for _ in range(3)]
    second = {world.token(source).value for source in new}
    assert len(second) == 1
    assert world.server.mints == 2, "one extra mint: the cache has lost the first token"
    world.clock.advance(1000)
    assert {world.token(source).value for source in old} == first
    world.clock.advance(1750)
    for _ in range(3):  # an old connection may have to be found dead first, which is a fault, and a pause
        for source in (*old, *new):
            world.token(source)
            land(source)
        world.clock.advance(OPEN_FOR + 400)
    held = {world.token(source).value for source in (*old, *new)}
    assert len(held) == 1
    assert world.server.mints == 3, "the renewal of all five is one mint"


def test_a_server_that_is_killed_during_the_mint(world: World) -> None:
    """With the lease taken, and started again before the token is written: one extra mint at most, and no failure."""
    reached, goes_on = threading.Event(), threading.Event()

    def strike() -> None:
        reached.set()
        assert goes_on.wait(60)

    cache = Striking(world.connected_cache(), "get", 4, strike)  # before step 6 reads the shared entry
    source = world.source(cache)

    def restart() -> AccessToken:
        assert reached.wait(60)
        world.store.stop()
        world.store.start()
        make_ready(world.kind, world.store)
        goes_on.set()
        return world.source().token()

    # The server is started by this thread, with which it dies.
    with ThreadPoolExecutor(1) as pool:
        minting = pool.submit(source.token)
        other = restart()
        token = minting.result(60)
    assert world.server.is_active(token.value)
    assert world.server.mints <= 2
    third = world.token(world.source())
    assert third in (token, other)
    assert world.server.mints <= 2
