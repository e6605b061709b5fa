"""What the tests of cache faults share: a real cache server behind a fault proxy, an authorization server, a clock."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import requests
from real_servers.fault_proxy import FaultProxy
from real_servers.stores import Store, start_dynamodb, start_memcached, start_valkey

from m2m_auth import AccessToken, RenewalPolicy, TokenSource
from m2m_auth.caches.opening import from_url
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.events import Event
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

TABLE = "m2m-auth-faults"
BOUND = 4.0
"""Seconds that no call may take, whatever the cache does: proves that no call waits for a cache's 5 s."""
QUICK = RenewalPolicy(lease=2.0, mint_deadline=1.5)
"""Leases of 2 s, for tests that wait for an unreleased lease to lapse."""
T = TypeVar("T")
_clients = itertools.count()


class Kind(NamedTuple):
    """A kind of cache: how its server is started, and its URL."""

    name: str
    start: Callable[[], Store]
    url: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("redis", start_valkey, "redis://127.0.0.1:{port}/0?timeout={timeout}"),
        Kind("memcached", start_memcached, "memcached://127.0.0.1:{port}?timeout={timeout}"),
        Kind(
            "dynamodb",
            start_dynamodb,
            f"dynamodb://{TABLE}?region=us-east-1&endpoint_url=http://127.0.0.1:{{port}}&timeout={{timeout}}",
        ),
    )
}
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-test-test", "AWS_EC2_METADATA_DISABLED": "true"}

FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "refuses": FaultProxy.refuse,
    "resets": FaultProxy.reset,
    "replies after 5 s": FaultProxy.delay,
    "never replies": FaultProxy.half_open,
    "swallows all": FaultProxy.black_hole,
    "closes without a reply": lambda proxy: proxy.truncate(0),
    "closes in mid-reply": lambda proxy: proxy.truncate(3),
    "stops in mid-reply": lambda proxy: proxy.truncate(3, close=False),
}
"""What makes every operation of the cache fail."""


class World:
    """A store that is reached through a proxy, and a client of its own at a fake authorization server."""

    def __init__(self, kind: Kind, store: Store, proxy: FaultProxy, server: FakeAuthorizationServer) -> None:
        self.kind, self.store, self.proxy, self.server = kind, store, proxy, server
        self.clock = FakeClock()
        self.clock.uniform = lambda: 0.0  # jitter falls on the early edge
        self.client_id = f"faulty-{os.getpid()}-{next(_clients)}"
        self.events: list[Event] = []
        server.clock, server.accept_any_client = self.clock, True
        self._caches: list[TokenCache] = []

    def cache(self, timeout: float = 0.5, port: int | None = None) -> TokenCache:
        """A cache object of its own, as another process has one; through the proxy, unless a port is named."""
        opened = from_url(self.kind.url.format(port=port or self.proxy.port, timeout=timeout))
        self._caches.append(opened)
        return opened

    def connected_cache(self, timeout: float = 0.5) -> TokenCache:
        """A cache object that has a connection already."""
        opened = self.cache(timeout)
        assert opened.get("m2m1.nothing") is None
        return opened

    def source(self, cache: TokenCache | None = None, **options: Any) -> TokenSource:
        """A source with a cache object, and so a token state, of its own."""
        options = {"on_event": self.events.append, "clock": self.clock, **options}
        given = cache if cache is not None else self.cache()
        return TokenSource(self.server.token_endpoint, self.client_id, "secret", cache=given, **options)

    def token(self, source: TokenSource) -> AccessToken:
        """The source's token, which must be good and must have come within :data:`BOUND` seconds."""
        start = time.monotonic()
        token = source.token()
        assert time.monotonic() - start < BOUND
        assert self.server.is_active(token.value)
        return token

    def audience(self, token: AccessToken) -> Any:
        """The audience that the server minted the token for; None if it is not active."""
        data, login = {"token": token.value}, (self.client_id, "secret")
        facts = requests.post(f"{self.server.base_url}/introspect", data=data, auth=login, timeout=10).json()
        return facts.get("aud") if facts["active"] else None

    def kinds(self, *which: str) -> list[str]:
        """The events of these kinds, in their order."""
        return [event.kind for event in self.events if event.kind in which]

    def close(self) -> None:
        """Closes every cache."""
        for cache in self._caches:
            cache.close()


@contextmanager
def store_of(kind: Kind) -> Generator[Store, None, None]:
    """A running server, its table made where it has tables."""
    with kind.start() as store:
        make_ready(kind, store)
        yield store


def make_ready(kind: Kind, store: Store) -> None:
    """After a start: the table, and one operation, which imports the client library."""
    os.environ.update(AWS)  # ministack takes any
    cache: Any = from_url(kind.url.format(port=store.port, timeout=30))
    try:
        if kind.name == "dynamodb":
            cache.create_table()
        assert cache.get("m2m1.nothing") is None
    finally:
        cache.close()


@contextmanager
def world_of(kind: Kind, store: Store) -> Iterator[World]:
    """A world around a running store."""
    with FaultProxy(store.port) as proxy, FakeAuthorizationServer() as server:
        world = World(kind, store, proxy, server)
        try:
            yield world
        finally:
            proxy.recover()  # flights that hang land
            world.close()


def land(source: TokenSource) -> None:
    """Waits until the running flight, if there is one, has landed."""
    flight = engine_of(source).state.flight
    if flight is not None:
        flight.future.result(20)


def together(*actions: Callable[[], T]) -> list[T]:
    """The result of each action, on a thread of its own; all start at once. Raises what one of them raised."""
    barrier = threading.Barrier(len(actions))
    given: dict[int, T] = {}
    raised: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait(30)
        try:
            given[number] = actions[number]()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if raised:
        raise raised[0]
    return [given[number] for number in range(len(actions))]
